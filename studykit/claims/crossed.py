"""The mean of a table of seeds × subjects, both of which are samples: crossed two-way random effects.

Seeds meet the same subjects, so neither seeds nor seeds × subjects are independent units by themselves. By
the usual analysis of variance, Var(mean) = (MS_seeds + MS_subjects − MS_rest) / (seeds · subjects), with
Satterthwaite's degrees of freedom (Searle, Casella and McCulloch, Variance Components, 1992, chapters 4, 2).
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from studykit.claims.estimate import Estimate
from studykit.claims.words import format_number

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Spread:
    """Standard deviations: between seeds, between subjects, and what is left of both."""

    seeds: float
    subjects: float
    rest: float


def crossed_interval(
    table: "ArrayLike", confidence: float = 0.95, *, kind: str = "reduced-scale", unit: str = ""
) -> Estimate:
    """The mean of ``table`` (seeds, subjects), such as paired differences, over both; ``n`` counts the seeds.

    The variance is never taken below what seeds or subjects alone give. How it was come to, ``method``, says
    both spreads.

    Raises:
        ValueError: fewer than two seeds or two subjects, or a value that is NaN or infinite.
    """
    from scipy.special import stdtrit

    values = _table(table)
    seeds, subjects = values.shape
    by_seed, by_subject, rest = _mean_squares(values)
    parts = [(by_seed, seeds - 1), (by_subject, subjects - 1), (rest, (seeds - 1) * (subjects - 1))]
    total = by_seed + by_subject - rest
    if total > max(by_seed, by_subject):
        degrees = total**2 / sum(part**2 / own for part, own in parts)
    else:
        total, degrees = max(parts[:2])
    mean = float(values.mean())
    error = math.sqrt(total / values.size)
    half = float(stdtrit(degrees, (1 + confidence) / 2)) * error if error else 0.0
    spread = crossed_spread(values)
    method = (
        f"mean, crossed variance of {seeds} seeds × {subjects} subjects; "
        f"standard deviation {format_number(spread.seeds, 2)} between seeds, "
        f"{format_number(spread.subjects, 2)} between subjects, {format_number(spread.rest, 2)} beside"
    )
    return Estimate(
        mean, mean - half, mean + half, seeds, kind, confidence, method=method, unit=unit, degrees=degrees
    )


def crossed_spread(table: "ArrayLike") -> Spread:
    """Both spreads and the rest, in the table's unit; a negative variance counts as none."""
    values = _table(table)
    seeds, subjects = values.shape
    by_seed, by_subject, rest = _mean_squares(values)
    return Spread(
        math.sqrt(max(by_seed - rest, 0) / subjects),
        math.sqrt(max(by_subject - rest, 0) / seeds),
        math.sqrt(rest),
    )


def _mean_squares(values) -> tuple[float, float, float]:
    seeds, subjects = values.shape
    mean = values.mean()
    rows, columns = values.mean(axis=1), values.mean(axis=0)
    left = values - rows[:, None] - columns[None] + mean
    return (
        float(subjects * ((rows - mean) ** 2).sum() / (seeds - 1)),
        float(seeds * ((columns - mean) ** 2).sum() / (subjects - 1)),
        float((left**2).sum() / ((seeds - 1) * (subjects - 1))),
    )


def _table(table: "ArrayLike"):
    import numpy as np

    values = np.asarray(table, dtype=np.float64)
    if values.ndim != 2 or min(values.shape) < 2:
        raise ValueError(
            f"a crossed table is (seeds, subjects), two of each at least; got shape {values.shape}"
        )
    if not np.isfinite(values).all():
        raise ValueError("a crossed table has a value that is NaN or infinite")
    return values
