"""Panels of curves over training: means, single seeds, named levels, shared axes."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from studykit.figures.panels import Panel, training_panels, validation_panels

X = [0, 10, 20]
TWO = {"MAE": [(X, [1, 2, 3]), (X, [3, 4, 5])], "BertsWin": [(X, [2, 2, 2])]}


def labels(fig):
    return [text.get_text() for text in fig.legends[0].get_texts()]


def curve(end):
    return np.array([0, 10, 20]), np.array([0.0, end / 2, end])


def test_panels_have_a_mean_each_seed_and_the_levels_named():
    panels = [Panel("Rank", "rank", TWO), Panel("Probe", "accuracy", TWO, {"chance": 0.2})]
    fig = training_panels([*panels, Panel("Spread", "deviation", TWO)], "steps", "All")
    rank, probe, spread = fig.axes
    assert [axis.get_title(loc="left") for axis in fig.axes] == ["Rank", "Probe", "Spread"]
    assert (probe.get_ylabel(), probe.get_xlabel(), spread.get_xlabel()) == ("accuracy", "steps", "steps")
    drawn = [list(line.get_ydata()) for line in rank.lines]
    assert drawn == [[1, 2, 3], [3, 4, 5], [2, 3, 4], [2, 2, 2], [2, 2, 2]]
    assert [text.get_text() for text in probe.texts] == ["chance"]
    assert list(probe.lines[-1].get_ydata()) == [0.2, 0.2]
    assert labels(fig) == ["MAE (n = 2 seeds)", "BertsWin (n = 1 seeds)"]


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: training_panels([], "x", "t"), "nothing to draw"),
    ],
)
def test_nothing_or_nonsense_is_refused(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()


def test_an_arm_looks_the_same_in_all_panels_and_panels_share_their_axis():
    panels = {
        "few": {"scratch": [curve(0.2), curve(0.4)], "MAE": [curve(0.6)]},
        "all": {"MAE": [curve(0.8)], "other": [curve(0.1)]},
        "U-Net": {"scratch": [curve(0.5)]},
    }
    fig = validation_panels(panels, "Validation", dict.fromkeys(panels, 0.3), "level")
    few, everyone, third, empty = fig.axes
    assert [axis.get_title(loc="left") for axis in fig.axes] == ["few", "all", "U-Net", ""]
    assert few.lines[1].get_color() == everyone.lines[0].get_color() != few.lines[0].get_color()
    np.testing.assert_allclose(few.lines[0].get_ydata(), [0, 0.15, 0.3])
    assert few.get_ylim() == everyone.get_ylim() == third.get_ylim() and not empty.axison
    assert labels(fig) == ["scratch", "MAE", "other", "level"]
    assert list(few.lines[-1].get_ydata()) == [0.3, 0.3]


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: validation_panels({}, "t"), "nothing to draw"),
        (lambda: validation_panels({"few": {}}, "t"), "nothing to draw"),
    ],
)
def test_validation_of_nothing_is_refused(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()
    assert not plt.get_fignums()
