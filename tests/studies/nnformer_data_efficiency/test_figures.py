import math

import matplotlib.pyplot as plt
import numpy as np
import pytest

from studykit.claims.estimate import Estimate
from studykit.studies.nnformer_data_efficiency.figures import dice_by_labels

GAINS = {0.1: Estimate(0.2, 0.1, 0.3, 3, "mechanism"), 1.0: Estimate(0.0, -0.1, 0.1, 3, "mechanism")}
SUBJECTS = {0.1: 4, 1.0: 40}
SCORES = {
    "scratch": {0.1: [0.3, 0.4, 0.5], 1.0: [0.7, 0.8, 0.9]},
    "MAE": {0.1: [0.5, 0.6, 0.7], 1.0: [0.7, 0.8, 0.9]},
    "U-Net": {0.1: [0.4, 0.4, 0.7], 1.0: [0.6, 0.8, 0.7]},
}


def by_look(axis, linestyle, marker):
    return [line for line in axis.lines if (line.get_linestyle(), line.get_marker()) == (linestyle, marker)]


def labels(fig):
    return [text.get_text() for text in fig.legends[0].get_texts()]


def test_arms_at_every_share_are_lines_with_bands_and_all_stand_in_rows_beside_them():
    fig = dice_by_labels(SCORES, GAINS, SUBJECTS, "Dice", "gain", lines=("scratch", "MAE"))
    top, below, beside = fig.axes
    (scratch,), (mae,) = by_look(top, "-", "o"), by_look(top, "--", "s")
    np.testing.assert_allclose(scratch.get_xydata(), [[0.1, 0.4], [1.0, 0.8]])
    np.testing.assert_allclose(mae.get_ydata(), [0.6, 0.8])
    assert len(top.collections) == 2 and not by_look(top, "None", "^")
    few, everyone = (line for line in beside.lines if line.get_marker() == "^")
    assert few.get_xdata()[0] == pytest.approx(0.5) and everyone.get_xdata()[0] == pytest.approx(0.7)
    assert (few.get_fillstyle(), everyone.get_fillstyle()) == ("none", "full")
    assert few.get_ydata()[0] < 2 < everyone.get_ydata()[0]
    assert [tick.get_text() for tick in beside.get_yticklabels()] == ["scratch", "MAE", "U-Net"]
    assert "(open: 10 %, full: 100 % of the labels)" in beside.get_xlabel()
    assert below.get_xscale() == "log"
    assert [tick.get_text() for tick in below.get_xticklabels()] == ["10 %\n(4)", "100 %\n(40)"]
    assert labels(fig) == ["scratch", "MAE"]
    assert "n = 3 seeds" in fig.legends[0].get_title().get_text()


def test_the_gain_stands_below_with_its_interval_and_a_line_at_none():
    below = dice_by_labels(SCORES, GAINS, SUBJECTS, "Dice", "gain", lines=("scratch",)).axes[1]
    uprights = [line.get_ydata() for line in below.lines if len(line.get_ydata()) == 2]
    np.testing.assert_allclose(uprights, [[0, 0], [0.1, 0.3], [-0.1, 0.1]])
    marks = [line.get_xydata()[0] for line in below.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(marks, [[0.1, 0.2], [1.0, 0.0]])
    low, high = below.get_ylim()
    assert low < -0.1 and high > 0.3


def test_no_interval_of_dice_reaches_beyond_what_dice_can_be():
    wild = {"scratch": SCORES["scratch"], "U-Net": {0.1: [0.02, 0.1, 0.9], 1.0: [0.9, 0.99, 0.99]}}
    *_, beside = dice_by_labels(wild, GAINS, SUBJECTS, "Dice", "gain", lines=("scratch",)).axes
    ends = [end for line in beside.lines if line.get_linewidth() == 1.2 for end in line.get_xdata()]
    assert min(ends) == 0 and max(ends) == 1


def test_without_other_arms_nothing_stands_beside():
    two = {"scratch": SCORES["scratch"]}
    assert len(dice_by_labels(two, GAINS, SUBJECTS, "Dice", "gain", lines=("scratch",)).axes) == 2


def test_one_seed_has_no_band_and_no_interval():
    one = {"scratch": {0.1: [0.4], 1.0: [0.8]}, "U-Net": {1.0: [0.7]}}
    gain = {0.1: Estimate(0.1, -math.inf, math.inf, 1, "mechanism")}
    top, below, _ = dice_by_labels(one, gain, SUBJECTS, "Dice", "gain", lines=("scratch",)).axes
    assert not top.collections
    assert all(np.isfinite(axis.get_ylim()).all() for axis in (top, below))


def test_a_wide_interval_does_not_push_the_scores_out_of_sight():
    wide = {"scratch": {0.1: [0.50, 0.52], 1.0: [0.50, 0.56]}}
    top, _ = dice_by_labels(wide, GAINS, SUBJECTS, "Dice", "gain", lines=("scratch",)).axes
    low, high = top.get_ylim()
    assert 0.2 < low < 0.5 and 0.56 < high < 0.9


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: dice_by_labels({}, GAINS, SUBJECTS, "t", "g"), "nothing to draw"),
        (lambda: dice_by_labels(SCORES, {}, SUBJECTS, "t", "g"), "nothing to draw"),
        (lambda: dice_by_labels(SCORES, GAINS, {1.0: 4}, "t", "g"), r"\[0\.1\]; known: \[1\.0\]"),
    ],
)
def test_nothing_or_nonsense_is_refused(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()
    assert not plt.get_fignums()
