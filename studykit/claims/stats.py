"""Estimates with intervals for few repetitions: means, paired ratios, rank correlations.

Intervals of means are Student t up to thirty values and bias-corrected and accelerated bootstrap (Efron 1987)
beyond: on normal data the bootstrap is still too narrow at twenty, as ``benchmarks/bench_coverage.py``
measures. Everything random takes a seed.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING

from studykit.claims.estimate import Estimate

if TYPE_CHECKING:
    from numpy import ndarray
    from numpy.typing import ArrayLike

BOOTSTRAP_FROM = 31
RESAMPLES = 9999


def mean_interval(
    values: "ArrayLike",
    confidence: float = 0.95,
    *,
    kind: str = "reduced-scale",
    unit: str = "",
    seed: int = 0,
) -> Estimate:
    """The mean of independent ``values`` (n,): Student t up to thirty of them, BCa bootstrap beyond.

    One value bounds nothing: its interval is (-inf, inf).
    """
    sample = _sample(values, "values")
    low, high, method = _interval(sample, confidence, seed)
    return Estimate(
        float(sample.mean()), low, high, sample.size, kind, confidence, method=f"mean, {method}", unit=unit
    )


def paired_log_ratio(
    baseline: "ArrayLike",
    treatment: "ArrayLike",
    baseline_censored: Sequence[bool] | None = None,
    treatment_censored: Sequence[bool] | None = None,
    confidence: float = 0.95,
    *,
    kind: str = "reduced-scale",
    seed: int = 0,
) -> Estimate:
    """Centre of ``baseline / treatment`` over pairs (n,) of positive times, interval on log ratios.

    Without censoring it is the geometric mean. A censored time never reached its target and stands in the
    data at its budget; it is kept, and says which way the truth lies: with a censored treatment the ratio is
    at most the one computed, with a censored baseline at least. :mod:`studykit.claims.censored` then gives
    the centre and its interval; an end that the data do not bound opens to 0 or inf.

    Raises:
        ValueError: unequal lengths, no pair, or a time that is not positive and finite.
    """
    import numpy as np

    from studykit.claims.censored import Centre, censored_centre

    first, second = _pair(baseline, treatment, "baseline", "treatment")
    if (first <= 0).any() or (second <= 0).any():
        raise ValueError("times must be above 0: a target met before the first step has no speed-up")
    above = _flags(baseline_censored, first.size, "baseline_censored")
    below = _flags(treatment_censored, first.size, "treatment_censored")
    logs = np.log(first) - np.log(second)
    if (above | below).any():
        centre = censored_centre(logs, below, above, confidence)
    else:
        low, high, method = _interval(logs, confidence, seed)
        centre = Centre(float(logs.mean()), low, high, confidence, f"geometric mean, {method}")
    return Estimate(
        value=math.exp(centre.value),
        low=math.exp(centre.low),
        high=math.exp(centre.high),
        n=logs.size,
        kind=kind,
        confidence=centre.confidence,
        censored=int((above | below).sum()),
        method=f"{centre.method} of paired log ratios",
        unit="×",
    )


def rank_correlation_interval(
    x: "ArrayLike", y: "ArrayLike", confidence: float = 0.95, *, kind: str = "reduced-scale"
) -> Estimate:
    """Spearman's correlation of pairs (n,), ties at their mean rank, with an interval by Fisher's z.

    The standard error of z is sqrt((1 + r²/2) / (n - 3)) (Bonett and Wright 2000). A perfect correlation
    would have no finite z, so it enters half a step below 1, a step being the least change that n untied
    ranks allow. Fewer than four pairs bound nothing: [-1, 1].

    Raises:
        ValueError: unequal lengths, a NaN, or a side without variation.
    """
    import numpy as np
    from scipy.stats import rankdata

    first, second = _pair(x, y, "x", "y")
    n = first.size
    ranks = [rankdata(first), rankdata(second)]
    if any(np.ptp(r) == 0 for r in ranks):
        raise ValueError("a rank correlation needs variation in both x and y, got a constant")
    value = round(float(np.corrcoef(ranks)[0, 1]), 12)
    low, high = -1.0, 1.0
    if n > 3:
        limit = 1 - 6 / (n * (n**2 - 1))
        inner = min(max(value, -limit), limit)
        error = math.sqrt((1 + inner**2 / 2) / (n - 3))
        half = NormalDist().inv_cdf((1 + confidence) / 2) * error
        low = -1.0 if value == -1 else math.tanh(math.atanh(inner) - half)
        high = 1.0 if value == 1 else math.tanh(math.atanh(inner) + half)
    return Estimate(value, low, high, n, kind, confidence, method="Spearman, Fisher z (Bonett and Wright)")


def _interval(sample: "ndarray", confidence: float, seed: int) -> tuple[float, float, str]:
    if sample.size == 1:
        return -math.inf, math.inf, "one repetition, unbounded"
    if sample.size >= BOOTSTRAP_FROM:
        return *_bca(sample, confidence, seed), "BCa bootstrap"
    from scipy.special import stdtrit

    quantile = float(stdtrit(sample.size - 1, (1 + confidence) / 2))
    half = quantile * float(sample.std(ddof=1)) / math.sqrt(sample.size)
    mean = float(sample.mean())
    return mean - half, mean + half, "Student t"


def _bca(sample: "ndarray", confidence: float, seed: int) -> tuple[float, float]:
    """Bias-corrected and accelerated bootstrap interval of the mean of ``sample`` (n,), by scipy."""
    import numpy as np
    from scipy.stats import bootstrap

    if sample.size == 1:
        return -math.inf, math.inf
    if np.ptp(sample) == 0:
        return float(sample.mean()), float(sample.mean())
    draws = np.random.default_rng(seed)
    found = bootstrap(
        (sample,), np.mean, n_resamples=RESAMPLES, confidence_level=confidence, random_state=draws
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def _sample(values: "ArrayLike", name: str) -> "ndarray":
    import numpy as np

    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1 or sample.size == 0:
        raise ValueError(f"{name} must be a list of numbers and not empty, got shape {sample.shape}")
    if not np.isfinite(sample).all():
        at = np.flatnonzero(~np.isfinite(sample))[0]
        raise ValueError(f"{name}[{at}] is {sample[at]}; every value must be finite")
    return sample


def _pair(x: "ArrayLike", y: "ArrayLike", first: str, second: str) -> "tuple[ndarray, ndarray]":
    a, b = _sample(x, first), _sample(y, second)
    if a.size != b.size:
        raise ValueError(f"{first} and {second} are paired, got {a.size} and {b.size} values")
    return a, b


def _flags(values: Sequence[bool] | None, size: int, name: str) -> "ndarray":
    import numpy as np

    flags = np.zeros(size, bool) if values is None else np.asarray(values, dtype=bool)
    if flags.shape != (size,):
        raise ValueError(f"{name} must have one flag a pair ({size}), got shape {flags.shape}")
    return flags
