"""Holm's step-down correction (Holm 1979) over the confirmatory effects of a paper."""

from collections.abc import Mapping


def holm(p_values: Mapping[str, float], level: float = 0.05) -> dict[str, bool]:
    """Which of a family's null hypotheses are rejected; the chance that any is wrongly is at most ``level``.

    A claim of the family that has no evidence yet enters with p = 1: it takes its share of the level, so
    that no mark depends on which studies were run first.

    Raises:
        ValueError: a p-value outside [0, 1].
    """
    for name, p in p_values.items():
        if not 0 <= p <= 1:
            raise ValueError(f"a p-value lies between 0 and 1, got {p} for {name}")
    ordered = sorted(p_values, key=p_values.get)
    survives, rejecting = {}, True
    for position, name in enumerate(ordered):
        rejecting = rejecting and p_values[name] <= level / (len(ordered) - position)
        survives[name] = rejecting
    return {name: survives[name] for name in p_values}
