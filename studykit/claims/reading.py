"""Where an estimate stands in a study's committed tables, and how it is read from there.

So a verdict can be judged again by anybody, from the tables beside it, without training. The ways:

``interval``
    Rows that hold a value with its interval. Several rows are averaged; a row in ``over`` is held against
    them. Spreads are then added as if all moved together, which no correlation can exceed: the interval is
    never narrower than one from the repetitions themselves.
``repetitions``
    One value for each ``by`` (and ``across``, a second sample crossed with it); further rows are averaged.
``exact``
    Cells without sampling error.
``largest``
    The largest of such cells, over rows and over the columns that ``value`` names, "; " between them.
``mean``
    Cells that are means over repetitions whose spread the table does not give: the interval is open. A gate
    can fail by it, as its low end lies below its mean, and can never be passed by it.
``speed-up``
    Curves of the table of runs: the arm of ``over`` against that of ``where``, by a ``clock`` and to a
    ``depth`` of target; :mod:`studykit.report.curve_reading` reads it.
``rise``
    From the same curves, the largest rise above the best so far: that of ``where`` less that of ``over``.
"""

import csv
import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from studykit.claims.estimate import Estimate

MAIN = "estimate"
"""The name under which a reading gives the rule's own estimate."""

SPEED_UP, RISE = "speed-up", "rise"
HOW = ("interval", "repetitions", "exact", "largest", "mean", SPEED_UP, RISE)
Row = Mapping[str, str]


@dataclass(frozen=True)
class Reading:
    """One number of a claim, by table, rows and columns.

    Attributes:
        of: ``estimate``, or the name of a gate or an alternative.
        table: a CSV file of the study's folder.
        value: its column.
        where: rows that are averaged; a row fits one of them if all its named cells agree, and ``{}`` always.
        over: rows that they are held against, as a difference or a ratio by ``scale``.
        against: a column that ``value`` is held against in each row.
        plus: added to every value first.
        together: rows are multiplied (ratios) or added (differences) in place of averaged.
        study: the study whose folder has the table, if not the claim's own.
        by: the column of the repetition; across: that of a second sample.
        low, high, censored: columns of the interval's ends and of the number of censored repetitions.
        n: column of the number of repetitions, or the number itself where the table leaves it out.
        bound: every repetition was censored, and none can lie above this: the sign test's bound.
        counted: an exact number that stands in no table; ``place`` then says where it was counted.
        clock: of curves: ``steps``, ``flops`` or ``seconds``.
        depth: of a speed-up: ``0.25 to 0.9`` of the baseline's improvement, averaged, or one share of it.
        unit: of the estimate; by default × for a ratio and none for a difference.
    """

    of: str
    table: str = ""
    value: str = ""
    how: str = "interval"
    where: tuple[Row, ...] = ()
    over: tuple[Row, ...] = ()
    against: str = ""
    plus: float = 0.0
    together: bool = False
    scale: str = "difference"
    study: str = ""
    by: str = ""
    across: str = ""
    low: str = "low"
    high: str = "high"
    n: str = "n"
    censored: str = ""
    bound: float | None = None
    counted: float | None = None
    place: str = ""
    clock: str = "steps"
    depth: str = "0.25 to 0.9"
    unit: str | None = None

    def __post_init__(self) -> None:
        if self.how not in HOW:
            raise ValueError(f"key 'how' is {self.how!r}; known: {', '.join(HOW)}")
        if self.counted is not None:
            if not self.place or self.table:
                raise ValueError("a counted number needs key 'place', and no table")
        elif not (self.table and self.value and self.where):
            raise ValueError("keys 'table', 'value' and 'where' are needed")
        if bool(self.by) != (self.how == "repetitions"):
            raise ValueError("key 'by' belongs to how = \"repetitions\"")


def read_estimate(reading: Reading, folder: Path, kind: str) -> Estimate | None:
    """The estimate that a reading points at, or None where its table is not there or lacks it.

    Args:
        reading: of the claim.
        folder: ``<results>/<study>/<profile>`` of the claim's study.
        kind: kind of evidence, for an estimate that is not exact.
    """
    unit = reading.unit if reading.unit is not None else "×" if reading.scale == "ratio" else ""
    if reading.counted is not None:
        return Estimate.exact(reading.counted, unit)
    if reading.study:
        folder = folder.parent.parent / reading.study / folder.name
    rows = _rows(folder / reading.table)
    first, second = _picked(rows, reading.where), _picked(rows, reading.over)
    if not first or (reading.over and not second) or _lacks_numbers(reading, [*first, *second]):
        return None
    if reading.how == "repetitions":
        return _from_repetitions(reading, first, second, kind, unit)
    if reading.how == "interval":
        return _from_intervals(reading, first, second, kind, unit)
    if reading.how == "largest":
        return Estimate.exact(max(float(row[key]) for row in first for key in _columns(reading)), unit)
    value = _held(reading, _centre(reading, first), _centre(reading, second) if second else None)
    if reading.how == "exact":
        return Estimate.exact(value, unit)
    least, n = 0.0 if reading.scale == "ratio" else -math.inf, _count(reading, first[0])
    return Estimate(value, least, math.inf, n, kind, method="mean, its spread not at hand", unit=unit)


def _from_intervals(
    reading: Reading, first: Sequence[Row], second: Sequence[Row], kind: str, unit: str
) -> Estimate:
    ends = [[_mean(reading, (float(row[key]) for row in first)) for key in _ends(reading)]]
    if second:
        ends.append([_mean(reading, (float(row[key]) for row in second)) for key in _ends(reading)])
    value, low, high = ends[0]
    if second:
        other, other_low, other_high = ends[1]
        value, low, high = (
            _held(reading, value, other), _held(reading, low, other_high), _held(reading, high, other_low)
        )  # fmt: skip
    n = min(_count(reading, row) for row in (*first, *second))
    censored = 0
    if reading.censored:
        censored = max(int(float(row[reading.censored])) for row in (*first, *second))
    method, confidence = "read from its table", 0.95
    if len(first) > 1 or second:
        method = "combined from intervals of a table, spreads added"
    if reading.bound is not None:
        if censored != n:
            raise ValueError(f"reading of {reading.of!r}: a bound needs all of {n} censored, got {censored}")
        low, high, confidence = 0.0, reading.bound, 1 - 2.0 ** (1 - n)
        value, method = min(value, high), "bound by the sign test, every repetition censored"
    return Estimate(value, low, high, n, kind, confidence, censored=censored, method=method, unit=unit)


def _from_repetitions(
    reading: Reading, first: Sequence[Row], second: Sequence[Row], kind: str, unit: str
) -> Estimate | None:
    from studykit.claims.crossed import crossed_interval
    from studykit.claims.stats import mean_interval, paired_log_ratio

    sides = [_by_unit(reading, rows) for rows in (first, second) if rows]
    units = sorted(sides[0])
    if any(sorted(side) != units for side in sides):
        return None
    values = [_held(reading, sides[0][u], sides[1][u] if second else None) for u in units]
    if reading.scale == "ratio":
        return paired_log_ratio(values, [1.0] * len(values), kind=kind)
    if not reading.across:
        return mean_interval(values, kind=kind, unit=unit)
    found = dict(zip(units, values, strict=True))
    rows, columns = (sorted({u[i] for u in units}) for i in (0, 1))
    if len(found) != len(rows) * len(columns):
        return None
    return crossed_interval([[found[r, c] for c in columns] for r in rows], kind=kind, unit=unit)


def _by_unit(reading: Reading, rows: Iterable[Row]) -> dict[tuple[str, ...], float]:
    keys = (reading.by, reading.across) if reading.across else (reading.by,)
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in keys), []).append(row)
    return {unit: _centre(reading, own) for unit, own in groups.items()}


def _centre(reading: Reading, rows: Sequence[Row]) -> float:
    return _mean(reading, (_cell(reading, row) for row in rows))


def _cell(reading: Reading, row: Row) -> float:
    value = float(row[reading.value].replace(",", "")) + reading.plus
    return _held(reading, value, float(row[reading.against]) + reading.plus if reading.against else None)


def _held(reading: Reading, value: float, other: float | None) -> float:
    if other is None:
        return value
    if reading.scale == "difference":
        return value - other
    return value / other if other else math.inf


def _mean(reading: Reading, values: Iterable[float]) -> float:
    """The arithmetic mean, or of ratios the geometric one; sum or product where rows go together."""
    numbers = list(values)
    if reading.together:
        return math.prod(numbers) if reading.scale == "ratio" else math.fsum(numbers)
    if reading.scale == "difference" or len(numbers) == 1:
        return fmean(numbers)
    return math.exp(fmean(math.log(number) for number in numbers)) if min(numbers) > 0 else 0.0


def _count(reading: Reading, row: Row) -> int:
    return int(float(row.get(reading.n, reading.n if reading.n.isdigit() else "1")))


def _lacks_numbers(reading: Reading, rows: Sequence[Row]) -> bool:
    """Whether a cell that the reading needs is empty, as the interval of too few repetitions is."""
    needed = _ends(reading) if reading.how == "interval" else (*_columns(reading), reading.against)
    return any(row.get(key) == "" for row in rows for key in needed if key)


def _columns(reading: Reading) -> list[str]:
    return reading.value.split("; ") if reading.how == "largest" else [reading.value]


def _ends(reading: Reading) -> tuple[str, str, str]:
    return reading.value, reading.low, reading.high


def _picked(rows: Sequence[Row], filters: Sequence[Row]) -> list[Row]:
    return [row for row in rows if any(own.items() <= row.items() for own in filters)]


@functools.lru_cache(maxsize=64)
def _read_rows(path: Path, stamp: int) -> tuple[Row, ...]:
    with path.open(encoding="utf-8", newline="") as file:
        return tuple(csv.DictReader(file))


def _rows(path: Path) -> tuple[Row, ...]:
    return _read_rows(path, path.stat().st_mtime_ns) if path.is_file() else ()
