"""Scores of arms: each seed, the interval of the mean, paired differences, segmentations side by side."""

import math

import numpy as np
import pytest

from studykit.claims.stats import mean_interval
from studykit.figures.scores import Differences, paired_differences, score_panels, segmentation_panel

NOISE = np.random.default_rng(0).normal


def painted(axis):
    """What is laid over the picture: the number of painted voxels of each class."""
    return [int((np.asarray(image.get_array())[..., 3] > 0).sum()) for image in axis.images[1:]]


def words(fig):
    return [text.get_text() for text in fig.legends[0].get_texts()]


def test_scores_show_each_seed_and_the_interval_of_the_mean():
    panels = {
        "Dice": {"MAE": {"frozen": [0.1, 0.2, 0.3], "fine-tuned": [0.4]}, "raw": {"frozen": [0.2, 0.2]}},
        "HD95 (mm)": {"MAE": {"frozen": [9.0, 8.0, 7.0]}},
    }
    fig = score_panels(panels, "Probe")
    dice, distance = fig.axes
    assert (dice.get_xlabel(), distance.get_xlabel()) == ("Dice", "HD95 (mm)")
    assert [tick.get_text() for tick in dice.get_yticklabels()] == ["MAE", "raw"]
    seeds, interval, mean, *_ = dice.lines
    assert list(seeds.get_xdata()) == [0.1, 0.2, 0.3]
    half = 4.302652729911275 * 0.1 / math.sqrt(3)
    np.testing.assert_allclose(interval.get_xdata(), [0, 0.2 + half])
    assert mean.get_xdata()[0] == pytest.approx(0.2) and mean.get_ydata()[0] < 0
    said = [text.get_text() for text in fig.legends[0].get_texts()]
    assert said == ["frozen (n = 2, 3 seeds)", "fine-tuned (n = 1 seeds)"]


def test_an_interval_ends_where_no_score_can_be():
    panels = {"Dice": {"a": {"x": [0.0, 0.01, 0.9]}}, "HD95 (mm)": {"a": {"x": [1.0, 2.0, 30.0]}}}
    dice, distance = score_panels(panels, "t").axes
    assert list(dice.lines[1].get_xdata()) == [0, 1]
    low, high = distance.lines[1].get_xdata()
    assert low == 0 and high > 30


def test_the_fullest_slice_is_painted_and_left_out_voxels_are_not():
    truth = np.zeros((4, 5, 6), int)
    truth[:, :, 2] = 1
    truth[0, :, 2] = -1
    truth[3, 0, 4] = 2
    found = np.full(truth.shape, 2)
    classes = {1: "cortex", 2: "white matter"}
    fig = segmentation_panel(NOISE(size=(4, 5, 6)), truth, {"MAE\nDice 0.1": found}, classes, (1, 1, 1), "t")
    image, true, mae = fig.axes
    assert [axis.get_title(loc="left") for axis in fig.axes] == ["image", "truth", "MAE\nDice 0.1"]
    assert (painted(image), painted(true), painted(mae)) == ([], [15, 0], [0, 15])
    assert "axial, z = 2" in fig.legends[0].get_title().get_text()
    assert [text.get_text() for text in fig.legends[0].get_texts()] == ["cortex", "white matter"]


def test_many_encoders_go_to_two_rows():
    grid = np.zeros((4, 4, 4), int)
    arms = {name: grid for name in ("a", "b", "c")}
    fig = segmentation_panel(NOISE(size=(4, 4, 4)), grid, arms, {1: "one"}, (1, 1, 1), "t")
    assert len(fig.axes) == 6 and not fig.axes[-1].axison


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: score_panels({}, "t"), "nothing to draw"),
        (lambda: score_panels({"Dice": {}}, "t"), "nothing to draw"),
        (
            lambda: segmentation_panel(np.ones((2, 2, 2)), np.ones((2, 2, 2)), {}, {1: "a"}, (1, 1, 1), "t"),
            "no predictions",
        ),
        (
            lambda: segmentation_panel(
                np.ones((2, 2, 2)), np.ones((2, 2, 2)), {"a": np.ones((2, 2, 3))}, {1: "a"}, (1, 1, 1), "t"
            ),
            "a has shape",
        ),
        (
            lambda: segmentation_panel(
                np.ones((2, 2, 2)), np.ones((2, 2, 2)), {"a": np.ones((2, 2, 2))},
                dict.fromkeys(range(9), "x"), (1, 1, 1), "t",
            ),
            "tells 6 apart",
        ),
    ],
)  # fmt: skip
def test_nothing_or_nonsense_is_refused(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()


def test_the_judged_difference_is_full_and_each_level_a_line():
    rows = {"mean": [0.01, 0.02, 0.03], "thalamus": [-0.01, 0.0, 0.01]}
    panel = Differences("a − b", rows, {"null": 0.0, "least": 0.01}, "mean")
    fig = paired_differences([panel], "difference", "t")
    (axis,) = fig.axes
    levels = [line.get_xdata()[0] for line in axis.lines if line.get_color() == "black"]
    assert levels == [0.0, 0.01]
    means = [line for line in axis.lines if line.get_marker() == "o" and line.get_markersize() == 6]
    assert [line.get_xdata()[0] for line in means] == pytest.approx([0.02, 0.0])
    assert means[0].get_markerfacecolor() != "white" == means[1].get_markerfacecolor()
    e = mean_interval(rows["mean"])
    assert axis.texts[0].get_text() == f"+0.020 [−{abs(e.low):.3f}, +{e.high:.3f}]"
    assert [tick.get_text() for tick in axis.get_yticklabels()] == ["mean", "thalamus"]
    assert words(fig) == ["mean and 95 % t interval (n = 3 seeds)", "null", "least"]


def test_one_seed_has_a_difference_and_no_interval():
    (axis,) = paired_differences([Differences("a − b", {"mean": [0.02]})], "difference", "t").axes
    assert axis.texts[0].get_text() == "+0.020"
    assert all(math.isfinite(x) for line in axis.lines for x in np.atleast_1d(line.get_xdata()))


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: paired_differences([], "x", "t"), "nothing to draw"),
        (lambda: paired_differences([Differences("a", {})], "x", "t"), "nothing to draw"),
        (
            lambda: paired_differences(
                [Differences("a", {"x": [1]}), Differences("b", {"y": [1]})], "x", "t"
            ),
            "'b' has others",
        ),
    ],
)
def test_differences_of_nothing_or_nonsense_are_refused(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()
