"""What the arms are made of, and how much sooner one is there than another."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from studykit.claims.estimate import Estimate
from studykit.metrics.compute import count_parameters
from studykit.metrics.convergence import Curve, speedup_profile

if TYPE_CHECKING:
    from studykit.arms.arm import Arm
    from studykit.study.study import Study

DEEP, SHALLOW = "the whole improvement", "three quarters of it"
"""How much of the baseline's improvement a target asks for."""


def described(study: "Study", arm: "Arm") -> dict[str, str | float]:
    """Parameters, and operations of one crop, forward and with backward; 2 per multiply-accumulate."""
    forward, step = study.flops(arm).total, study.flops(arm, backward=True).total
    parameters = count_parameters(study.untrained(arm))
    return {
        "arm": arm.name,
        "parameters": parameters,
        "GFLOP forward": forward / 1e9,
        "GFLOP training": step / 1e9,
    }


def speedups_by_depth(
    baseline: Sequence[Curve], treatment: Sequence[Curve], kind: str
) -> dict[str, Estimate | None]:
    """How many times sooner the treatment is there, by the depth of the target; None where no ratio exists.

    Args:
        baseline, treatment: one curve a seed, paired.
        kind: of evidence.

    Raises:
        ValueError: see :func:`~studykit.metrics.convergence.speedup_profile`.
    """
    shallow, deep = speedup_profile(baseline, treatment, (0.75, 1.0), kind=kind)
    return {DEEP: deep.estimate, SHALLOW: shallow.estimate}


def cells_of(estimate: Estimate | None, name: str) -> dict[str, float]:
    """An estimate as cells of a table's row, with the censored of its n; without one, no number and n 0.

    >>> cells_of(None, "speed-up")
    {'speed-up': nan, 'low': nan, 'high': nan, 'n': 0, 'censored': 0}
    """
    if estimate is None:
        return dict.fromkeys((name, "low", "high"), float("nan")) | {"n": 0, "censored": 0}
    return estimate.cells(name) | {"censored": estimate.censored}
