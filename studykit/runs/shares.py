"""How many runs share a machine: small ones a core each, or as many on one GPU as it was asked to bear.

At sizes that a card does in a moment, one training leaves most of it idle; several processes at a time fill
its gaps. What they win depends on the card, and on whether NVIDIA's multi-process service runs, so it is
asked for (``studykit run --on-a-card N``) and not guessed; ``benchmarks/bench_beside.py`` measures it. A run
ends in the same numbers whoever shares the card, and costs its share of it.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
import torch

from studykit.home import runs_on_a_card
from studykit.runs.threads import on_one_thread

WORKER_BYTES = 3 * 2**29
"""Memory that is set aside for a training on one thread, twice what the largest of them took."""
CARD_BYTES = 8 * 2**30
"""Memory of a GPU that is set aside for each of the runs that share it."""
SHARED_BY = "STUDYKIT_SHARED_BY"
"""In a worker's environment: how many workers there are."""


def may_share(config: Mapping[str, Any]) -> bool:
    """Whether another run beside it is quicker than the whole machine for this one."""
    return on_one_thread(config) or (torch.cuda.is_available() and runs_on_a_card() > 1)


def most_workers() -> int:
    """Trainings that this machine bears at once: by its cores, and by the memory that is free.

    ``OMP_NUM_THREADS`` limits them on a CPU, as it does torch's own threads. On a GPU there are no more than
    were asked for.
    """
    if torch.cuda.is_available():
        free, _ = torch.cuda.mem_get_info()
        return max(1, min(runs_on_a_card(), free // CARD_BYTES))
    return max(1, min(torch.get_num_threads(), psutil.virtual_memory().available // WORKER_BYTES))


def sure_gain(workers: int) -> int:
    """By how much several workers are quicker than one, as far as it is known before they have begun.

    Each has a core of its own; what a GPU gains is only seen by the pace of what is done there.
    """
    return 1 if torch.cuda.is_available() else workers


def sharers() -> int:
    """Processes that share this one's GPU, itself among them."""
    return int(os.environ.get(SHARED_BY, 1))


def worker_environment(workers: int) -> dict[str, str]:
    """The environment of one of several processes that train with this very package, on one thread each.

    It waits passively, so that on a busy machine it costs its share and not ten times it.
    """
    package = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
    own = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive", "PYTHONPATH": path}
    own |= {SHARED_BY: str(workers)}
    return {**os.environ, **own}
