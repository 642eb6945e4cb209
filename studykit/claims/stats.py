"""Estimates with intervals for few repetitions: means, paired ratios, bootstraps, permutation tests.

Intervals of means are Student t up to thirty values and bias-corrected and accelerated bootstrap (Efron 1987)
beyond: on normal data the bootstrap is still too narrow at twenty, as ``benchmarks/bench_coverage.py``
measures. The interquartile mean and the bootstrap stratified by task follow Agarwal et al. 2021 (arXiv
2108.13264). Everything random takes a seed.
"""

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING

from studykit.claims.estimate import Estimate

if TYPE_CHECKING:
    from numpy import ndarray
    from numpy.typing import ArrayLike

BOOTSTRAP_FROM = 31
RESAMPLES = 9999
ENUMERATED_UP_TO = 14


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


def paired_bootstrap(
    baseline: "ArrayLike",
    treatment: "ArrayLike",
    confidence: float = 0.95,
    *,
    kind: str = "reduced-scale",
    unit: str = "",
    seed: int = 0,
) -> Estimate:
    """Mean of ``treatment - baseline`` over paired cases (n,), with a BCa bootstrap over the pairs.

    For many cases; up to thirty pairs :func:`mean_interval` of the differences is the honest choice.
    """
    first, second = _pair(baseline, treatment, "baseline", "treatment")
    difference = second - first
    low, high = _bca(difference, confidence, seed)
    return Estimate(
        value=float(difference.mean()),
        low=low,
        high=high,
        n=difference.size,
        kind=kind,
        confidence=confidence,
        method="mean paired difference, BCa bootstrap over pairs",
        unit=unit,
    )


def paired_permutation_test(baseline: "ArrayLike", treatment: "ArrayLike", *, seed: int = 0) -> float:
    """Two-sided p-value of the mean paired difference when signs are exchanged at random.

    All 2^n sign patterns are enumerated up to n = 14, so the smallest p-value of n pairs is 2^(1-n); above,
    9999 seeded patterns are drawn and the data counted as one of them.
    """
    import numpy as np

    first, second = _pair(baseline, treatment, "baseline", "treatment")
    difference = second - first
    n = difference.size
    if n <= ENUMERATED_UP_TO:
        patterns = np.arange(2**n)[:, None] >> np.arange(n) & 1
    else:
        patterns = np.random.default_rng(seed).integers(0, 2, (RESAMPLES, n))
    sums = np.abs((1 - 2 * patterns) @ difference)
    observed = abs(difference.sum())
    extreme = int((sums >= observed - 1e-12 * np.abs(difference).sum()).sum())
    return extreme / 2**n if n <= ENUMERATED_UP_TO else (extreme + 1) / (RESAMPLES + 1)


def interquartile_mean(scores: "ArrayLike", axis: int | None = None) -> "float | ndarray":
    """Mean of the middle half: a quarter of the scores, rounded down, is dropped at either end."""
    import numpy as np

    ordered = np.sort(np.asarray(scores, dtype=np.float64), axis=axis)
    axis = -1 if axis is None else axis
    size = ordered.shape[axis]
    cut = size // 4
    mean = np.take(ordered, range(cut, size - cut), axis=axis).mean(axis=axis)
    return float(mean) if np.ndim(mean) == 0 else mean


def stratified_bootstrap(
    scores: "ArrayLike",
    statistic: "Callable[..., float | ndarray]" = interquartile_mean,
    confidence: float = 0.95,
    *,
    kind: str = "reduced-scale",
    unit: str = "",
    seed: int = 0,
    resamples: int = 2000,
) -> Estimate:
    """A ``statistic`` of ``scores`` (runs, tasks), with a percentile bootstrap of the runs within each task.

    ``statistic(values, axis=1)`` reduces (resamples, runs · tasks) to (resamples,); ``n`` counts the runs.
    """
    import numpy as np

    table = np.asarray(scores, dtype=np.float64)
    if table.ndim != 2 or table.size == 0:
        raise ValueError(f"scores must be (runs, tasks) and not empty, got shape {table.shape}")
    if not np.isfinite(table).all():
        raise ValueError("scores has a value that is NaN or infinite")
    runs, tasks = table.shape
    value = float(statistic(table.reshape(1, -1), axis=1)[0])
    low, high, method = -math.inf, math.inf, "one run, unbounded"
    if runs > 1:
        drawn = np.random.default_rng(seed).integers(0, runs, (resamples, runs, tasks))
        resampled = np.take_along_axis(table[None], drawn, axis=1).reshape(resamples, -1)
        tail = (1 - confidence) / 2
        low, high = map(float, np.quantile(statistic(resampled, axis=1), [tail, 1 - tail]))
        method = "percentile bootstrap of runs within tasks"
    return Estimate(value, low, high, runs, kind, confidence, method=method, unit=unit)


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
