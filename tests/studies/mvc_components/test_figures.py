import numpy as np
import pytest

from studykit.claims.estimate import Estimate
from studykit.figures.panels import Panel
from studykit.figures.style import arm_style
from studykit.studies.mvc_components.figures import (
    Intervals,
    arm_panels,
    gradient_by_deviation,
    interval_panels,
    tissue_picture,
)

X = [0, 10, 20]
LOOKS = arm_style(["L2", "MVC", "interpolation"])
TWO = {"L2": [(X, [4, 2, 1]), (X, [6, 4, 3])], "MVC": [(X, [2, 2, 2])]}


def estimate(value, half=0.5, n=5):
    return Estimate(value, value - half, value + half, n=n, kind="reduced-scale")


def words(fig):
    return [text.get_text() for text in fig.legends[0].get_texts()]


def test_a_panel_has_the_mean_of_each_arm_in_its_own_look_and_the_levels_named():
    fig = arm_panels([Panel("Seams", "index", TWO, {"original": 1.0})], LOOKS, "steps", "All")
    (axis,) = fig.axes
    l2, mvc, level = axis.lines
    assert (list(l2.get_ydata()), list(mvc.get_ydata())) == ([5, 3, 2], [2, 2, 2])
    assert (l2.get_color(), mvc.get_marker()) == (LOOKS["L2"]["color"], LOOKS["MVC"]["marker"])
    assert list(level.get_ydata()) == [1.0, 1.0] and axis.texts[0].get_text() == "original"
    assert (axis.get_xlabel(), axis.get_yscale()) == ("steps", "linear")
    assert words(fig) == ["L2 (n = 2)", "MVC (n = 1)"]


def test_an_arm_keeps_its_look_where_others_are_missing():
    fig = arm_panels([Panel("Seams", "index", {"MVC": TWO["MVC"]})], LOOKS, "steps", "All")
    assert fig.axes[0].lines[0].get_color() == LOOKS["MVC"]["color"]
    assert fig.legends[0].get_lines()[0].get_marker() == LOOKS["MVC"]["marker"]


def test_a_log_axis_holds_every_mean_though_a_band_reaches_below_zero():
    fig = arm_panels([Panel("Error", "error", TWO)] * 3, LOOKS, "steps", "All", log=True)
    axis = fig.axes[0]
    low, high = axis.get_ylim()
    assert axis.get_yscale() == "log" and 0.5 < low < 2 and 5 < high < 10
    assert [a.get_xlabel() for a in fig.axes[:3]] == ["", "steps", "steps"]


def test_marks_stand_by_place_with_their_intervals():
    of = {"L2": {"air": estimate(1), "bone": estimate(3)}, "MVC": {"air": estimate(2)}}
    fig = interval_panels([Intervals("MSE", "error", of, {"flat": 0.5})], LOOKS, "By tissue")
    (axis,) = fig.axes
    assert [label.get_text() for label in axis.get_xticklabels()] == ["air", "bone"]
    marks = [(line.get_xdata()[0], line.get_ydata()[0], line.get_color()) for line in axis.lines[:3]]
    assert [round(x) for x, _, _ in marks] == [0, 1, 0] and [y for _, y, _ in marks] == [1, 3, 2]
    assert marks[0][0] < marks[2][0], "arms stand side by side"
    bars = [segment[:, 1].tolist() for bar in axis.collections for segment in bar.get_segments()]
    assert bars == [[0.5, 1.5], [2.5, 3.5], [1.5, 2.5]]
    assert words(fig) == ["L2 (n = 5)", "MVC (n = 5)"] and axis.texts[0].get_text() == "flat"


def test_times_stand_on_a_log_axis():
    of = {"L2": {"contrast": Estimate(108, 40, 290, 5, "reduced-scale")}}
    panels = [Intervals("Steps", "steps", of, log=True), Intervals("MSE", "error", of)]
    assert [axis.get_yscale() for axis in interval_panels(panels, LOOKS, "t").axes] == ["log", "linear"]


def test_an_unbounded_interval_is_a_mark_alone_and_an_exact_value_has_no_n():
    alone = Estimate(1, -np.inf, np.inf, n=1, kind="reduced-scale")
    of = {"L2": {"head": alone}, "interpolation": {"head": Estimate.exact(0.5)}}
    fig = interval_panels([Intervals("Variance", "share", of)], LOOKS, "t")
    segments = [s for bar in fig.axes[0].collections for s in bar.get_segments()]
    assert len(segments) == 1 and np.ptp(segments[0][:, 1]) == 0
    assert words(fig) == ["L2 (n = 1)", "interpolation"]


def test_gradients_stand_over_the_shares_of_real_sub_patches():
    sigmas = np.geomspace(1e-4, 10, 6)
    observed = np.array([0.0, 0.05, 0.05, 2.0])
    fig = gradient_by_deviation(sigmas, {"ours": 1 / sigmas}, 300.0, observed, 578.0, "Gradient")
    above, below = fig.axes[:2]
    assert list(above.lines[0].get_ydata()) == list(1 / sigmas)
    assert (above.get_xscale(), above.get_yscale(), below.get_ylabel()) == ("log", "log", "sub-patches (%)")
    assert sum(bar.get_height() for bar in below.patches) == pytest.approx(75)
    assert max(bar.get_height() for bar in below.patches) == pytest.approx(50)
    assert below.texts[0].get_text() == "25.0% are wholly flat"
    assert "300" in above.texts[0].get_text()
    fig.canvas.draw()
    low, high = above.get_xlim()
    assert tuple(above.child_axes[0].get_xlim()) == pytest.approx((578 * low, 578 * high))


def test_tissues_are_cut_where_most_bone_is():
    hu = np.full((8, 10, 12), -1000.0)
    hu[2:6, 2:6, 9] = 1000
    fig = tissue_picture(hu, {"bone": hu > 300, "air": hu < 0}, (2.0, 2.0, 2.0), "CT", (-300, 300))
    titles = [axis.get_title(loc="left") for axis in fig.axes]
    assert titles[0] == "axial, z = 9" and [len(axis.images) for axis in fig.axes] == [2] * 6
    assert fig.axes[0].get_ylabel() == f"bone\n{16 / 960:.0%} of the voxels"
    drawn = fig.axes[0].images[1].get_array()
    assert int((drawn[..., -1] > 0).sum()) == 16


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: arm_panels([], LOOKS, "x", "t"), "nothing to draw"),
        (lambda: interval_panels([], LOOKS, "t"), "nothing to draw"),
        (
            lambda: arm_panels([Panel("a", "b", {"PhysLoss": TWO["L2"]})], LOOKS, "x", "t"),
            "no look for PhysLoss. Known: L2, MVC, interpolation",
        ),
        (lambda: gradient_by_deviation([1, 2], {}, 1.0, [1.0], 1.0, "t"), "at least one term"),
        (lambda: gradient_by_deviation([1, 2], {"a": [1, 2]}, 1.0, [], 1.0, "t"), "one observed"),
        (lambda: tissue_picture(np.ones((2, 2, 2)), {}, (1, 1, 1), "t", (0, 1)), "no masks"),
    ],
)
def test_nothing_or_nonsense_is_refused(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()
