"""How many threads a run trains with: part of what decides how its sums are rounded, not of its identity.

Small networks train on one thread, always: alone, side by side, or one after another, on a machine of two
cores or of sixty-four. So the same run ends in the same bits on every number of cores (of one kind of
processor), and all arms of a study, which share crop and batch, are timed on the same number of threads.
Larger ones take every thread that torch would take. The number is in the run's provenance (``threads``);
a run that has a checkpoint goes on at the number it was made with, so that it ends bit-equal there too.
Runs at other numbers of threads, such as those made before this rule, are the same experiment up to
rounding: as runs on another processor are, they are reused, and their provenance says what they ran on.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from studykit.runs.store import Run
from studykit.training.checkpoint import CHECKPOINT

PROVENANCE = "provenance.json"
MOST_VOXELS = 200_000
"""Voxels of a batch up to which a run trains on one thread.

Measured by the seconds of processor that a step costs, in one process of two threads and in two of one, as
``benchmarks/bench_beside.py`` does: 10 to 19 % less on one thread at 8 × 24³ and 4 × 32³ voxels (MAE,
BertsWin, U-Net), and two threads wait as well; 8 to 10 % more at 8 × 32³ and 4 × 48³, where two networks
presumably crowd each other out of the caches.
"""
TOKEN_METHODS = ("volta", "simclr", "classification")
TOKEN_MODELS = ("vit-autoencoder",)
"""What holds a batch as tokens of patches, so that caches hold more of it."""
MOST_TOKEN_VOXELS = 1_100_000
"""As :data:`MOST_VOXELS`, for those: at 16 × 40³ voxels and patches of 8³ a step costs 12 to 20 % less of the
processor's time on one thread (VolTA-3D, classification)."""


def on_one_thread(config: Mapping[str, Any]) -> bool:
    """Whether a run is so small that a second thread helps less than another run beside it.

    On a GPU none is: the card is what counts there.
    """
    voxels = config["training"]["batch_size"] * config["data"]["crop_size"] ** 3
    method = config["method"]
    tokens = method["name"] in TOKEN_METHODS or method["options"].get("model") in TOKEN_MODELS
    return voxels <= (MOST_TOKEN_VOXELS if tokens else MOST_VOXELS) and not torch.cuda.is_available()


def threads_of(config: Mapping[str, Any]) -> int:
    """Threads that a run starts to train with on this machine's processor."""
    return 1 if on_one_thread(config) else torch.get_num_threads()


def threads_to_go_on_with(run: Run) -> int:
    """Threads that a run trains with: those of its checkpoint, or those that its size asks for."""
    facts = made_with(run)
    if (run.folder / CHECKPOINT).exists() and facts.get("device") == "cpu":
        return facts.get("threads") or threads_of(run.config)
    return threads_of(run.config)


def made_with(run: Run) -> dict[str, Any]:
    """Code and hardware that a run was made with, empty before its first work."""
    path = run.folder / PROVENANCE
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


@contextmanager
def at_threads(count: int) -> Iterator[None]:
    """While open, torch computes with ``count`` threads in this process."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
