"""What a design could see: standard error, p-value and power, read off an interval by Student's t.

The interval of a t estimate is value ± t · SE, so it gives back its standard error on the rule's scale
(logarithms for ratios). For any other interval that inversion is an approximation, by the mean of its two
arms. Power is that of the two-sided t test, by the noncentral t distribution (scipy).
"""

import math

from studykit.claims.estimate import Estimate
from studykit.claims.finding import bounds
from studykit.claims.rule import Rule

POWER = 0.8
LEVEL = 0.05
MOST_REPETITIONS = 100_000


def standard_error(rule: Rule, estimate: Estimate) -> float:
    """On the rule's scale; infinite where the interval has an open end, 0 where it is exact."""
    from scipy.special import stdtrit

    low, high = bounds(rule, estimate)
    if math.isinf(low) or math.isinf(high):
        return math.inf
    if low == high:
        return 0.0
    return (high - low) / 2 / float(stdtrit(_degrees(estimate), (1 + estimate.confidence) / 2))


def p_value(rule: Rule, estimate: Estimate) -> float:
    """Two-sided p-value against the null (of non-inferiority: one-sided against the margin, doubled).

    1 where the interval has an open end towards the null, as nothing then bounds the spread.
    """
    from scipy.special import stdtr

    error = standard_error(rule, estimate)
    distance = rule.place(estimate.value) + (rule.bar if rule.kind == "non-inferiority" else 0.0)
    if rule.kind == "non-inferiority":
        distance = max(distance, 0.0)
    if error == 0:
        return 0.0 if distance else 1.0
    return 1.0 if math.isinf(error) else float(2 * stdtr(_degrees(estimate), -abs(distance) / error))


def least_visible(rule: Rule, estimate: Estimate) -> float | None:
    """The smallest effect, or loss, on the metric's own scale, that this design finds in 80 of 100 studies.

    None where the interval has an open end: then no effect of any size is sure to be seen.
    """
    from scipy.special import nctdtrinc, stdtrit

    error = standard_error(rule, estimate)
    if math.isinf(error):
        return None
    degrees = _degrees(estimate)
    shift = float(nctdtrinc(degrees, 1 - POWER, stdtrit(degrees, 1 - LEVEL / 2)))
    return rule.value_at(-shift * error if rule.kind == "non-inferiority" else shift * error)


def repetitions_for(rule: Rule, estimate: Estimate) -> int | None:
    """Fewest repetitions that show the rule's least effect (or margin) in 80 of 100 studies.

    It takes the spread between repetitions as the estimate shows it. None where that spread is unbounded,
    or more than a hundred thousand would be needed.
    """
    error = standard_error(rule, estimate)
    if math.isinf(error):
        return None
    spread = error * math.sqrt(estimate.n)
    low, high = 2, 2
    while power_of(rule.bar, spread, high) < POWER:
        low, high = high, 2 * high
        if high > MOST_REPETITIONS:
            return None
    while low < high:
        middle = (low + high) // 2
        if power_of(rule.bar, spread, middle) < POWER:
            low = middle + 1
        else:
            high = middle
    return high


def power_of(effect: float, spread: float, n: int) -> float:
    """Chance that a two-sided t test of ``n`` repetitions of deviation ``spread`` finds ``effect``."""
    from scipy.special import nctdtr, stdtrit

    if spread == 0:
        return 1.0
    critical = float(stdtrit(n - 1, 1 - LEVEL / 2))
    shift = effect / spread * math.sqrt(n)
    return 1.0 if shift > critical + 12 else 1 - float(nctdtr(n - 1, shift, critical))


def _degrees(estimate: Estimate) -> float:
    return estimate.degrees or max(estimate.n - 1, 1)
