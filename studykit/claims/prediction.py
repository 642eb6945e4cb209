"""Where a rerun is to be expected: the prediction interval of another mean of as many repetitions.

Two means of the same thing differ by chance by √(1/n + 1/m) deviations, so a rerun of m repetitions lies
within value ± t · SE · √(1 + n / m) in 95 of 100 cases, on the rule's scale.
"""

import math

from studykit.claims.estimate import Estimate
from studykit.claims.power import standard_error
from studykit.claims.rule import Rule


def predicted(rule: Rule, first: Estimate, repetitions: int) -> tuple[float, float]:
    """Ends of the interval, on the metric's own scale, in which a rerun's value is to be expected.

    Both ends are infinite, or 0 and infinite for a ratio, where the first estimate has an open end.
    """
    from scipy.special import stdtrit

    error = standard_error(rule, first)
    if error == 0:
        return first.value, first.value
    degrees = first.degrees or max(first.n - 1, 1)
    quantile = float(stdtrit(degrees, 0.975))
    half = quantile * error * math.sqrt(1 + first.n / repetitions)
    centre = rule.place(first.value)
    if math.isinf(half):
        return (0.0 if rule.scale == "ratio" else -math.inf), math.inf
    low, high = sorted((rule.value_at(centre - half), rule.value_at(centre + half)))
    return low, high


def agree(rule: Rule, first: Estimate, rerun: Estimate) -> bool:
    """Whether each value lies in the prediction interval of the other."""
    there, back = predicted(rule, first, rerun.n), predicted(rule, rerun, first.n)
    return there[0] <= rerun.value <= there[1] and back[0] <= first.value <= back[1]
