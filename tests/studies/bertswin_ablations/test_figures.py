import math

import numpy as np
import pytest

from studykit.claims.estimate import Estimate
from studykit.figures.scores import score_panels, segmentation_panel
from studykit.studies.bertswin_ablations.figures import ratio_forest

NOISE = np.random.default_rng(0).normal
KNOWN = Estimate(2.0, 1.5, 2.7, 5, "reduced-scale")
CENSORED = Estimate(0.8, 0.0, 1.1, 5, "reduced-scale", censored=2)
OPEN = Estimate(1.4, 0.7, math.inf, 4, "reduced-scale", censored=1)


def marks(axis, marker):
    return [line for line in axis.lines if line.get_marker() == marker]


def test_a_row_has_its_ratios_in_marks_and_in_words():
    rows = {"as published": {"all": KNOWN, "half": CENSORED}, "other": {"all": OPEN, "half": None}}
    fig = ratio_forest(rows, "Speed-up", "ratio")
    axis, words = fig.axes
    said = [text.get_text() for text in words.texts]
    assert said[3:9] == ["2.00 [1.50, 2.70]", "5", "0", "0.80 [0.00, 1.10]", "5", "2"]
    assert said[9:] == ["1.40 [0.70, ∞)", "4", "1", "no ratio", "–", "–"]
    assert axis.get_xscale() == "log" and axis.get_xlabel() == "ratio"
    assert [tick.get_text() for tick in axis.get_yticklabels()] == ["as published", "other"]
    (low,), (high,) = marks(axis, "<"), marks(axis, ">")
    left, right = axis.get_xlim()
    assert list(low.get_xdata()) == [left] and 0 < low.get_ydata()[0] < 0.5
    assert list(high.get_xdata()) == [right] and 0.5 < high.get_ydata()[0] < 1
    assert [text.get_text() for text in fig.legends[0].get_texts()] == ["all", "half"]


def test_a_bound_that_bounds_nothing_is_not_written_out():
    wide = Estimate(2.0, 1e-6, 3.5e11, 2, "reduced-scale")
    fig = ratio_forest({"two seeds": {"all": wide}}, "t")
    assert fig.axes[1].texts[3].get_text() == "2.00 [0.00, > 1,000]"
    assert fig.axes[0].get_xlim() == (0.01, 100)


def test_one_series_needs_no_legend_and_stands_in_the_middle_of_its_row():
    fig = ratio_forest({"a": {"steps": KNOWN}, "b": {"steps": None}}, "t")
    assert not fig.legends
    (mark,) = marks(fig.axes[0], "o")
    assert (list(mark.get_xdata()), list(mark.get_ydata())) == ([2.0], [0.0])


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
    np.testing.assert_allclose(interval.get_xdata(), [0.2 - half, 0.2 + half])
    assert mean.get_xdata()[0] == pytest.approx(0.2) and mean.get_ydata()[0] < 0
    said = [text.get_text() for text in fig.legends[0].get_texts()]
    assert said == ["frozen (n = 2, 3 seeds)", "fine-tuned (n = 1 seeds)"]


def painted(axis):
    """What is laid over the picture: the number of painted voxels of each class."""
    return [int((np.asarray(image.get_array())[..., 3] > 0).sum()) for image in axis.images[1:]]


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
        (lambda: ratio_forest({}, "t"), "no ratios"),
        (lambda: ratio_forest({"a": {"x": KNOWN}, "b": {"y": KNOWN}}, "t"), "'b' has others"),
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
