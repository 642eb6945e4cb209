"""What a part of the network brings: differences of arms, paired by seed and subject.

Every effect is one of a long table with a row for each test, arm, seed and subject, so that the table beside
a verdict says all that the verdict rests on.

A subject's score is the mean over the classes that its truth has. A class found where there is none, such as
a bit of sacrum in a chest, would else be a Dice of 0 beside three good ones, and drown every difference of
arms; such classes are counted apart.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from studykit.claims.crossed import crossed_interval
from studykit.claims.estimate import Estimate
from studykit.claims.stats import mean_interval
from studykit.metrics.convergence import Curve

MEASURES = {
    "dice": "Dice",
    "iou": "IoU",
    "accuracy": "accuracy",
    "surface_dice": "surface Dice",
    "hd95": "HD95 (mm)",
    "asd": "ASD (mm)",
}
"""Column of the test scores → what it is called."""


def subject_table(
    scores: Mapping[tuple[str, str], Sequence[pd.DataFrame]], seeds: Sequence[int]
) -> pd.DataFrame:
    """Means over the classes that each subject has, and how many others were found in it.

    Args:
        scores: (test, arm) → one table of test scores a seed, see :data:`MEASURES`.

    Returns:
        columns ``test``, ``arm``, ``seed``, ``subject``, the measures and ``false classes``.
    """
    found = []
    for (test, arm), tables in scores.items():
        for seed, table in zip(seeds, tables, strict=True):
            there = table["accuracy"].notna()
            means = table[there].groupby("subject")[list(MEASURES)].mean().rename(columns=MEASURES)
            means["false classes"] = (~there & (table["dice"] == 0)).groupby(table["subject"]).sum()
            found.append(means.reset_index().assign(test=test, arm=arm, seed=seed))
    table = pd.concat(found, ignore_index=True)
    return table[["test", "arm", "seed", "subject", *MEASURES.values(), "false classes"]]


def best_on_validation(curves: Mapping[str, Sequence[Curve]]) -> str:
    """The arm whose least validation error is lowest on average over its seeds."""
    return min(curves, key=lambda arm: np.mean([curve.error.min() for curve in curves[arm]]))


def once_more(table: pd.DataFrame, arm: str, name: str) -> pd.DataFrame:
    """The table with an arm's rows a second time under another name, such as ``best baseline``."""
    return pd.concat([table, table[table["arm"] == arm].assign(arm=name)], ignore_index=True)


def effect(
    table: pd.DataFrame,
    value: str,
    of: Sequence[str],
    over: Sequence[str] = (),
    *,
    test: str,
    kind: str = "reduced-scale",
) -> Estimate:
    """Mean of some arms less that of others, paired; its interval is over seeds and subjects.

    Where there is but one seed or one subject, the interval is over seeds alone.

    Args:
        table: columns ``test``, ``arm``, ``seed``, ``subject`` and ``value``.
        of, over: arms, each side averaged; without ``over`` the mean itself.

    Raises:
        ValueError: an arm without rows.
    """
    own = table[table["test"] == test]
    if missing := [arm for arm in (*of, *over) if arm not in set(own["arm"])]:
        raise ValueError(f"no rows of {', '.join(missing)} in test {test!r}")
    sides = [
        own[own["arm"].isin(arms)].pivot_table(value, "seed", "subject").to_numpy()
        for arms in (of, over)
        if arms
    ]
    values = sides[0] - sides[1] if over else sides[0]
    if min(values.shape) < 2:
        return mean_interval(values.mean(axis=1), kind=kind)
    return crossed_interval(values, kind=kind)


def gain(
    table: pd.DataFrame,
    value: str,
    of: Sequence[str],
    over: Sequence[str],
    *,
    test: str,
    kind: str = "reduced-scale",
) -> Estimate:
    """:func:`effect` with distances, whose name ends in ``(mm)``, turned: above 0 ``of`` is better."""
    sides = (over, of) if value.endswith("(mm)") else (of, over)
    return effect(table, value, *sides, test=test, kind=kind)


def mean_gains_at_equal_operations(
    spent: Mapping[str, Sequence[Curve]], of: Sequence[str], over: Sequence[str]
) -> list[float]:
    """:func:`gains_at_equal_operations` by seed, averaged over pairs of arms.

    Args:
        spent: arm → its curves against operations.
        of, over: arms, paired.
    """
    pairs = zip(of, over, strict=True)
    each = [gains_at_equal_operations(spent[one], spent[other]) for one, other in pairs]
    return np.mean(each, axis=0).tolist()


def gains_at_equal_operations(of: Sequence[Curve], over: Sequence[Curve]) -> list[float]:
    """Validation Dice of one arm less that of another where both have spent as many operations, by seed.

    The dearer of the two is read where it has spent what the cheaper spends in all; each shows its best until
    then. Its learning rate has not come down there as the cheaper one's has, which is unkind to the dearer.

    Args:
        of, over: error 1 - Dice against operations, one a seed.
    """
    gains = []
    for one, other in zip(of, over, strict=True):
        budget = min(one.x[-1], other.x[-1])
        errors = [curve.error[curve.x <= budget * (1 + 1e-9)].min() for curve in (one, other)]
        gains.append(float(errors[1] - errors[0]))
    return gains
