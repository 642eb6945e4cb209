"""When a loss component has made most of its improvement, and how much of another is left by then.

The components of the squared error (arXiv 2512.21769) fall at different times; this is our measure of it. A
curve's improvement runs from its first value, before any training, to its best.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from studykit.claims.estimate import Estimate
from studykit.claims.stats import paired_log_ratio
from studykit.metrics.convergence import CensoredTime, Curve

MOST = 0.9
"""Share of a curve's improvement after which it counts as converged."""


def time_of_improvement(curve: Curve, share: float = MOST) -> CensoredTime:
    """The x of the first evaluation at which the curve has made ``share`` of all its improvement.

    Not interpolated: no finer than the evaluations. A curve that never comes below its first value is
    censored at its last x.

    Raises:
        ValueError: a share outside (0, 1].
    """
    if not 0 < share <= 1:
        raise ValueError(f"a share of an improvement must be in (0, 1], got {share}")
    first, best = float(curve.error[0]), float(curve.error.min())
    if not best < first:
        return CensoredTime(float(curve.x[-1]), censored=True)
    made = (first - curve.error) / (first - best)
    return CensoredTime(float(curve.x[np.flatnonzero(made >= share)[0]]), censored=False)


def share_left(curve: Curve, x: float) -> float:
    """The curve's value at ``x``, linear between evaluations, over its first value.

    Raises:
        ValueError: ``x`` outside the curve, or a first value that is not positive.
    """
    if not curve.x[0] <= x <= curve.x[-1]:
        raise ValueError(f"the curve runs from {curve.x[0]:g} to {curve.x[-1]:g}, asked at {x:g}")
    first = float(curve.error[0])
    if not (first > 0 and math.isfinite(first)):
        raise ValueError(f"a share needs a positive first value, got {first}")
    return float(np.interp(x, curve.x, curve.error)) / first


def typical_time(times: Sequence[CensoredTime], kind: str = "reduced-scale") -> Estimate:
    """The geometric mean of times, one a seed, in their unit; its interval is on their logarithms.

    So no end of it lies below 0, where no time can. A censored time counts as at least its value.

    Raises:
        ValueError: no time, or one that is not above 0.

    >>> round(typical_time([CensoredTime(100.0, False), CensoredTime(400.0, False)]).value)
    200
    """
    reached = [time.time for time in times]
    censored = [time.censored for time in times]
    return replace(paired_log_ratio(reached, np.ones(len(reached)), censored, kind=kind), unit="")


def later_than(early: Sequence[CensoredTime], late: Sequence[CensoredTime], kind: str) -> Estimate:
    """How many times as long the later component takes as the earlier one, paired by seed.

    Raises:
        ValueError: not one time a seed of both, or one that is not above 0.

    >>> round(later_than([CensoredTime(100.0, False)], [CensoredTime(300.0, False)], "mechanism").value, 6)
    3.0
    """
    times = [[own.time for own in reached] for reached in (late, early)]
    censored = [[own.censored for own in reached] for reached in (late, early)]
    return paired_log_ratio(*times, *censored, kind=kind)
