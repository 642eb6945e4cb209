"""Contestants timed side by side: in turn within one process, as medians, and as the ratio of a peer to ours.

Each round gives every contestant one turn, A B A B …, so that whatever slows the machine down for a while
slows all of them down. A ratio above 1 says that ours is faster.
"""

import argparse
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import torch
from kinds import kind

from studykit import atomic, home
from studykit.report.tables import markdown, write_table
from studykit.runs.provenance import in_words, provenance

RESAMPLES = 2000
WHY = "slower because"
"""Column with the reason of a row below 1; the last one, and left out where no row is."""
STARTED = datetime.now(UTC)
_clocks: set[Callable[[], float]] = set()


@dataclass(frozen=True)
class Ratio:
    """Peer's median time over ours, with its 95 % interval: a percentile bootstrap over whole rounds."""

    value: float
    low: float
    high: float


def processor() -> float:
    """Seconds of processor that this process has had, of all its threads; on a GPU seconds of the clock.

    What else runs on a machine takes the processor's time from a turn, and is not counted here.
    """
    return time.perf_counter() if torch.cuda.is_available() else time.process_time()


def race(
    contestants: Mapping[str, Callable[[], object]],
    rounds: int,
    *,
    warm_up: int = 2,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, np.ndarray]:
    """Seconds of each contestant and round, (rounds,) each; where there is a GPU, each turn ends on it.

    Args:
        clock: :func:`processor` where all work of a turn is this process's own.
    """
    _clocks.add(clock)
    synchronise = torch.cuda.synchronize if torch.cuda.is_available() else lambda: None
    seconds = {name: np.empty(rounds) for name in contestants}
    for index in range(-warm_up, rounds):
        for name, turn in contestants.items():
            synchronise()
            start = clock()
            turn()
            synchronise()
            if index >= 0:
                seconds[name][index] = clock() - start
    return seconds


def ratio(ours: np.ndarray, peer: np.ndarray, seed: int = 0) -> Ratio:
    """How many times longer ``peer`` takes than ``ours``; both (rounds,), from one race."""
    rows = np.random.default_rng(seed).integers(len(ours), size=(RESAMPLES, len(ours)))
    resampled = np.median(peer[rows], axis=1) / np.median(ours[rows], axis=1)
    low, high = np.quantile(resampled, (0.025, 0.975))
    return Ratio(float(np.median(peer) / np.median(ours)), float(low), float(high))


def compared(
    ours: np.ndarray, peer: np.ndarray, target: float = np.nan, *, why: str = ""
) -> dict[str, float | str]:
    """Columns of a row: medians and interquartile ranges in ms, the ratio, and whether it is enough.

    Args:
        why: what makes ours the slower one; told where it is.
    """
    found = ratio(ours, peer)
    row: dict[str, float | str] = {}
    for name, seconds in (("ours", ours), ("peer", peer)):
        low, middle, high = np.quantile(seconds * 1e3, (0.25, 0.5, 0.75))
        row |= {f"{name} (ms)": middle, f"{name} IQR (ms)": high - low}
    row |= {"peer / ours": found.value, "low": found.low, "high": found.high, "rounds": len(ours)}
    met = "" if np.isnan(target) else "yes" if found.value >= target else "no"
    return {**row, "target": target, "met": met, WHY: why if found.value < 1 else ""}


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def is_quick(description: str) -> bool:
    """Whether the script was called with ``--quick``."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few rounds, and nothing is written")
    return parser.parse_args().quick


def write_result(name: str, rows: list[dict[str, float | str]], notes: str, *, quick: bool) -> None:
    """Print a table, and unless ``quick`` write it to ``results/benchmarks/<name>-<kind>``.

    Args:
        rows: what was compared, and its :func:`compared`.
        notes: what the contestants are; the hardware and the number of threads are added.
    """
    frame, facts = pd.DataFrame(rows), provenance(STARTED)
    if WHY in frame:
        reasons = frame.pop(WHY)
        frame = frame.assign(**{WHY: reasons}) if reasons.any() else frame
    on_cpu = processor in _clocks and not torch.cuda.is_available()
    what = "Seconds of processor, of all threads together: medians" if on_cpu else "Medians"
    notes = f"{notes} {what} over rounds in turn. {in_words(facts)}, {facts['threads']} CPU threads."
    print(markdown(frame, notes), flush=True)
    if quick:
        return
    folder, name = home.results_dir() / "benchmarks", f"{name}-{kind()}"
    write_table(frame, folder, name, caption=notes)
    atomic.write_json(folder / f"{name}.json", {"notes": notes, "provenance": facts})
