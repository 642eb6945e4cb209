"""Speed-ups and rises read from the curves of a study's table of runs, at any depth and by any clock."""

import functools
import re
from collections.abc import Mapping
from pathlib import Path

from studykit.claims.estimate import Estimate
from studykit.claims.reading import Reading
from studykit.claims.stats import mean_interval
from studykit.metrics.convergence import Curve, largest_rise, speedup_over_range, speedup_profile
from studykit.runs.run_table import FILE, Row, curves_by_seed, read_run_table


def read_speedup(reading: Reading, folder: Path, kind: str) -> Estimate | None:
    """The speed-up that a reading asks for, paired by seed; None without a table of runs or one of its arms.

    Raises:
        ValueError: a depth or a weight that cannot be read, or a clock that is unknown.
    """
    (start, end), (fast, slow) = depth(reading.depth), _pairs(reading, folder)
    return _speedup(slow, fast, start, end, kind) if slow else None


def read_rise(reading: Reading, folder: Path, kind: str) -> Estimate | None:
    """Largest rise of an error above its best so far, one arm's less the other's, paired by seed.

    None without a table of runs, or one of its arms.
    """
    first, second = (list(map(largest_rise, curves)) for curves in _pairs(reading, folder))
    if not first:
        return None
    return mean_interval([one - other for one, other in zip(first, second, strict=True)], kind=kind)


def weights(words: str) -> Mapping[str, float]:
    """Weights of recorded values: ``error`` alone, or ``0.3 brightness + 0.2 contrast + 1 structure``."""
    found = {}
    for term in words.split("+"):
        match = re.fullmatch(r"(?:([0-9.]+) )?([a-z_]+)", term.strip())
        if match is None:
            raise ValueError(f"cannot read {term!r} in {words!r}; write it as 0.3 brightness + 0.2 contrast")
        found[match[2]] = float(match[1] or 1)
    return found


def depth(words: str) -> tuple[float, float]:
    """Both ends of a range of shares of the baseline's improvement, equal for a single one."""
    try:
        ends = [float(word) for word in words.split(" to ")]
    except ValueError:
        ends = []
    if len(ends) not in (1, 2):
        raise ValueError(f"cannot read the depth {words!r}; write it as 0.25 to 0.9, or as 1")
    return ends[0], ends[-1]


def _pairs(reading: Reading, folder: Path) -> tuple[list[Curve], list[Curve]]:
    """Curves of the arm that a reading looks at and of the one it is held against, by seed."""
    if reading.study:
        folder = folder.parent.parent / reading.study / folder.name
    rows, of = _rows(folder), weights(reading.value)
    own, other = (
        curves_by_seed(rows, side[0]["arm"], reading.clock, of) for side in (reading.where, reading.over)
    )
    seeds = sorted(own.keys() & other.keys())
    return [own[seed] for seed in seeds], [other[seed] for seed in seeds]


def _speedup(
    baseline: list[Curve], treatment: list[Curve], start: float, end: float, kind: str
) -> Estimate | None:
    if start == end:
        return speedup_profile(baseline, treatment, (end,), kind=kind)[0].estimate
    return speedup_over_range(baseline, treatment, start, end, kind=kind).estimate


def _rows(folder: Path) -> tuple[Row, ...]:
    path = folder / FILE
    return _cached(folder, path.stat().st_mtime_ns) if path.is_file() else ()


@functools.lru_cache(maxsize=4)
def _cached(folder: Path, stamp: int) -> tuple[Row, ...]:
    return read_run_table(folder)
