"""The centre of a sample in which some values are only known to lie below or above what was seen.

Two estimators. Tobit (normal values, maximum likelihood) where at least three values are whole; its interval
is the profile likelihood's, with the limit at which it becomes Student's t when nothing is censored. Else the
sign test's: order statistics bound the median whatever the distribution (Conover, Practical Nonparametric
Statistics, section 3.4), and a value that is only bounded stands at infinity on its open side. The coverage
of both is measured in ``benchmarks/bench_coverage.py``.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from numpy import ndarray

WHOLE_FOR_TOBIT = 3


@dataclass(frozen=True)
class Centre:
    """A centre with its interval; ``confidence`` is the one that the method reaches."""

    value: float
    low: float
    high: float
    confidence: float
    method: str


def censored_centre(values: "ndarray", below: "ndarray", above: "ndarray", confidence: float) -> Centre:
    """Mean (Tobit) or median (sign test) of ``values`` (n,), of which some are bounds.

    Args:
        values: what was seen.
        below: (n,) flags: the truth lies at or below the value.
        above: (n,) flags: the truth lies at or above it; both flags: nothing is known of it.
        confidence: of the interval.
    """
    whole = ~(below | above)
    if whole.sum() >= WHOLE_FOR_TOBIT and values[whole].std() > 0:
        return tobit(values, below, above, confidence)
    return sign_test(values, below, above, confidence)


def sign_test(values: "ndarray", below: "ndarray", above: "ndarray", confidence: float) -> Centre:
    """The median, between the order statistics that bound it at ``confidence`` or the most that n allows."""
    import numpy as np
    from scipy.special import bdtr

    n = values.size
    rank = 0
    while rank + 1 < (n + 1) // 2 and 1 - 2 * bdtr(rank + 1, n, 0.5) >= confidence:
        rank += 1
    low = float(np.sort(np.where(below, -math.inf, values))[rank])
    high = float(np.sort(np.where(above, math.inf, values))[n - 1 - rank])
    reached = 1 - 2 * float(bdtr(rank, n, 0.5))
    if reached <= 0:
        return Centre(float(values[0]), -math.inf, math.inf, confidence, "one repetition, unbounded")
    return Centre(float(np.median(values)), low, high, reached, "median, sign test")


def tobit(values: "ndarray", below: "ndarray", above: "ndarray", confidence: float) -> Centre:
    """The mean of a normal sample, with the interval of its profile likelihood.

    Without censoring the profile is (n / 2) · log(1 + t² / (n − 1)) below its top, which gives the limit its
    value at Student's quantile t. Only whole values count for n there, so that censoring widens it.
    """
    import numpy as np
    from scipy.optimize import brentq, minimize_scalar
    from scipy.special import log_ndtr, stdtrit

    known = ~(below & above)
    values, below, above = values[known], below[known], above[known]
    whole = values[~(below | above)]
    scale = float(values.std()) or 1.0

    def deviance(mean: float, log_sigma: float) -> float:
        sigma = math.exp(log_sigma)
        z = (values - mean) / sigma
        logs = np.where(below, log_ndtr(z), np.where(above, log_ndtr(-z), -(z**2) / 2 - log_sigma))
        return -float(logs.sum())

    span = (math.log(scale) - 6, math.log(scale) + 8)

    def profile(mean: float) -> float:
        return float(minimize_scalar(lambda s: deviance(mean, s), bounds=span, method="bounded").fun)

    middle = minimize_scalar(profile, bracket=(whole.mean() - scale / 4, whole.mean() + scale / 4))
    n = whole.size
    quantile = float(stdtrit(n - 1, (1 + confidence) / 2))
    limit = float(middle.fun) + n / 2 * math.log1p(quantile**2 / (n - 1))

    def end(sign: int) -> float:
        step = scale
        while profile(middle.x + sign * step) < limit:
            step *= 2
            if step > 1e4 * scale:
                return sign * math.inf
        return float(
            brentq(lambda x: profile(x) - limit, middle.x, middle.x + sign * step, xtol=1e-6 * scale)
        )

    return Centre(float(middle.x), end(-1), end(1), confidence, "mean, Tobit profile likelihood")
