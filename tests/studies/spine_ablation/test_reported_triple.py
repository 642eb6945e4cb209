"""What a mean IoU beside a mean Dice says: against scores by hand and a linear programme."""

import numpy as np
import pytest
from scipy.optimize import linprog

from studykit.studies.spine_ablation.reported_triple import consistency, dice_of


def least_deviation(iou, dice):
    """Of all distributions on a grid of [0, 1] that have both means."""
    level = np.linspace(0, 1, 2001)
    of_dice = 2 * level / (1 + level)
    found = linprog(
        level**2,
        A_ub=[of_dice, -of_dice],
        b_ub=[dice + 1e-6, 1e-6 - dice],
        A_eq=[np.ones(2001), level],
        b_eq=[1, iou],
    )
    return float(np.sqrt(found.fun - iou**2))


@pytest.mark.parametrize(("iou", "dice"), [(0.847, 0.891), (0.5, 0.6), (0.7, 0.8)])
def test_the_misses_that_it_names_give_both_means_and_no_scores_lie_closer(iou, dice):
    found = consistency(iou, dice)
    assert (1 - found.missed) * found.others == pytest.approx(iou)
    assert (1 - found.missed) * dice_of(found.others) == pytest.approx(dice)
    assert found.least_deviation == pytest.approx(least_deviation(iou, dice), abs=2e-3)


def test_any_scores_lie_within_the_bounds():
    rng = np.random.default_rng(0)
    for _ in range(50):
        scores = rng.beta(*rng.uniform(0.2, 4, 2), size=20)
        iou, dice = scores.mean(), np.mean([dice_of(score) for score in scores])
        found = consistency(iou, dice)
        assert found.low <= dice <= found.high and found.least_deviation <= scores.std() + 1e-9


def test_equal_scores_need_no_spread():
    found = consistency(0.847, dice_of(0.847))
    assert found.missed == pytest.approx(0) and found.least_deviation == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("iou", "dice"), [(0.847, 0.93), (0.847, 0.84), (1.0, 1.0)])
def test_means_that_no_scores_have_are_refused(iou, dice):
    with pytest.raises(ValueError, match="goes with a mean Dice of"):
        consistency(iou, dice)
