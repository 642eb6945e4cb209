"""Trainings side by side: steps a second of all together, by processes at a time and threads of each.

On a CPU one process on all threads against one of one thread a core, over sizes on either side of the bounds
in :mod:`studykit.runs.threads`, which decide what a study does; on a GPU one to four processes on one card,
as ``studykit run --on-a-card`` makes them.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass

import numpy as np
import torch
from timing import device, is_quick, processor, write_result

from studykit.arms.profiles import pretraining_profile
from studykit.methods import build_method
from studykit.runs.threads import MOST_TOKEN_VOXELS, MOST_VOXELS, on_one_thread
from studykit.training.graphs import replayed

SECONDS, QUICK_SECONDS = 0.7, 0.2
ROUNDS = 3
NOTES = (
    "Steps (forward and backward of a batch on a mask at hand) a second of {clock}, and how many times as "
    "many as one process alone on {alone} makes; medians of {rounds} rounds in turn, in which all processes "
    "of a row work at once. "
)
RULE = (
    "What waits takes no time of the processor (OMP_WAIT_POLICY=passive, as in trainings), so what threads "
    "lose by waiting for each other comes on top. On one thread by the rule: what a study does with runs of "
    "that size, up to {most:,} voxels a batch, or {tokens:,} where networks hold it as tokens of patches."
)
NEAR = "within a tenth of one process, where either choice will do"
Row = dict[str, float | str]


@dataclass(frozen=True)
class Size:
    """A training of ``batch`` crops of ``side``³ voxels."""

    method: str
    batch: int
    side: int
    embed_dim: int = 96
    depth: int = 4
    num_heads: int = 4
    patch_size: int = 4

    @property
    def on_one_thread(self) -> bool:
        config = {
            "training": {"batch_size": self.batch},
            "data": {"crop_size": self.side},
            "method": {"name": self.method, "options": {}},
        }
        return on_one_thread(config)

    @property
    def options(self) -> dict[str, int]:
        names = ("embed_dim", "depth", "num_heads", "patch_size")
        if self.method == "masked-volume":
            return {"img_size": self.side, "model": "unet"}
        return {"img_size": self.side} | {name: getattr(self, name) for name in names}


ON_CPU = (
    Size("mae", 8, 24),
    Size("bertswin", 8, 24),
    Size("bertswin", 4, 32),
    Size("masked-volume", 4, 32),
    Size("bertswin", 8, 32),
    Size("masked-volume", 4, 48),
    Size("volta", 16, 40, patch_size=8),
)
QUICK = ON_CPU[:2]


def on_a_card() -> tuple[Size, ...]:
    sizes = pretraining_profile("gpu")
    common = (
        sizes.batch_size,
        sizes.crop_size,
        sizes.embed_dim,
        sizes.depth,
        sizes.num_heads,
        sizes.patch_size,
    )
    return tuple(Size(method, *common) for method in ("mae", "bertswin"))


def work(size: Size, seconds: float) -> None:
    """A process of its own: gets ready, and after each line says how many steps a second it makes."""
    network = build_method(size.method, **size.options).to(device())
    volume = torch.randn(size.batch, 1, *(size.side,) * 3, device=device())
    mask = network.draw_masks(len(volume), torch.Generator().manual_seed(0), volume)
    card = device().type == "cuda"

    def once() -> None:
        network.zero_grad()
        with torch.autocast(device().type, torch.bfloat16, enabled=card, cache_enabled=False):
            loss = sum(network(volume, mask).values())
        loss.backward()

    turn = replayed(once, device()) if card else once
    for _ in range(2):
        turn()
    print("ready", flush=True)
    for _ in sys.stdin:
        clock = time.perf_counter if card else processor
        start, steps = clock(), 0
        while (now := clock()) < start + seconds:
            turn()
            if card:
                torch.cuda.synchronize()
            steps += 1
        print(steps / (now - start), flush=True)


class Crew:
    """So many processes of one training, each on so many threads; they wait until they are asked.

    Raises:
        RuntimeError: one of them failed.
    """

    def __init__(self, size: Size, processes: int, threads: int, seconds: float) -> None:
        command = [sys.executable, __file__, "--worker", json.dumps(asdict(size)), "--seconds", str(seconds)]
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "passive"}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": environment}
        self._crew = [subprocess.Popen(command, **pipes) for _ in range(processes)]
        if any(one.stdout.readline() != "ready\n" for one in self._crew):
            raise RuntimeError(f"a process of {size} did not get ready")

    def rate(self) -> float:
        """Steps a second: of all together on a card, of each process's processor time on a CPU."""
        for one in self._crew:
            one.stdin.write("go\n")
            one.stdin.flush()
        rates = [float(one.stdout.readline()) for one in self._crew]
        return sum(rates) if device().type == "cuda" else sum(rates) / len(rates)

    def __enter__(self) -> "Crew":
        return self

    def __exit__(self, *_: object) -> None:
        for one in self._crew:
            one.communicate()


def rates(size: Size, settings: Sequence[tuple[int, int]], seconds: float, rounds: int) -> np.ndarray:
    """(settings, rounds), by turns."""
    with ExitStack() as stack:
        crews = [stack.enter_context(Crew(size, *setting, seconds)) for setting in settings]
        return np.array([[crew.rate() for crew in crews] for _ in range(rounds)]).T


def main(quick: bool) -> None:
    seconds, rounds = (QUICK_SECONDS, 1) if quick else (SECONDS, ROUNDS)
    card, cores = device().type == "cuda", os.cpu_count() or 1
    settings = [(n, 1) for n in (1, 2, 3, 4)] if card else [(1, cores), (cores, 1)]
    rows: list[Row] = []
    for size in on_a_card() if card else QUICK if quick else ON_CPU:
        found = rates(size, list(dict.fromkeys(settings)), seconds, rounds)
        for (processes, threads), own in zip(dict.fromkeys(settings), found, strict=True):
            row: Row = {"method": size.method, "crops": f"{size.batch} × {size.side}³"}
            row |= {"processes": processes, "threads of each": threads, "steps a second": np.median(own)}
            row |= {"least": own.min(), "most": own.max()}
            times = float(np.median(own) / np.median(found[0]))
            row["times one process"] = times
            if not card:
                rule, beside = size.on_one_thread, processes > 1
                right = abs(times - 1) < 0.1 or rule == (times > 1)
                row["on one thread by the rule"] = "yes" if rule else "no"
                row["rule is right"] = ("yes" if right else "no") if beside else ""
                row["note"] = NEAR if beside and abs(times - 1) < 0.1 else ""
            rows.append(row)
    notes = NOTES.format(
        clock="the clock, all processes together," if card else "processor",
        alone="the card" if card else f"{cores} threads",
        rounds=rounds,
    )
    if not card:
        notes += RULE.format(most=MOST_VOXELS, tokens=MOST_TOKEN_VOXELS)
    write_result("beside", rows, notes, quick=quick)


if __name__ == "__main__":
    if "--worker" in sys.argv:
        parser = argparse.ArgumentParser()
        parser.add_argument("--worker", type=json.loads)
        parser.add_argument("--seconds", type=float)
        own = parser.parse_args()
        work(Size(**own.worker), own.seconds)
    else:
        main(is_quick(__doc__))
