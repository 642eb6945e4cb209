"""Looking at seeds more than once: O'Brien and Fleming's bounds (1979), so that peeking costs nothing.

At look k of K, with a share t of all repetitions, an effect is found where abs(Z) exceeds C / √t: hard at
first, almost the usual bound at the end. C is such that all looks together err at the level. Futility: where
even the last look could not reach its bound, nothing is gained by it.
"""

from collections.abc import Sequence


def obrien_fleming(looks: Sequence[int] = (5, 10), level: float = 0.05) -> tuple[float, ...]:
    """The nominal two-sided level of each look, for looks after so many repetitions in all.

    At ``obrien_fleming((5, 10))[0]`` = 0.005 the first look's interval is one of 99.5 %.

    Raises:
        ValueError: looks that do not increase, or more than two, or a level that is none.
    """
    from scipy.optimize import brentq
    from scipy.special import ndtr
    from scipy.stats import multivariate_normal

    if len(looks) > 2 or sorted(set(looks)) != list(looks) or not looks or looks[0] < 2:
        raise ValueError(f"looks must be one or two increasing numbers of repetitions, got {tuple(looks)}")
    if not 0 < level < 1:
        raise ValueError(f"a level lies between 0 and 1, got {level}")
    if len(looks) == 1:
        return (level,)
    share = looks[0] / looks[1]

    def excess(bound: float) -> float:
        corner = bound / share**0.5, bound
        joint = multivariate_normal([0, 0], [[1, share**0.5], [share**0.5, 1]])
        return 1 - level - float(joint.cdf(corner, lower_limit=[-c for c in corner]))

    bound = brentq(excess, 1.0, 6.0)
    return float(2 * ndtr(-bound / share**0.5)), float(2 * ndtr(-bound))
