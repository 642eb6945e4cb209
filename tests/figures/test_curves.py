import math

import numpy as np
import pytest

from studykit.claims.estimate import Estimate
from studykit.figures.curves import arm_by_arm, convergence_curves, seed_band, speedup_by_depth
from studykit.metrics.convergence import Curve, SpeedupPoint
from studykit.metrics.convergence import speedup_profile as metrics_profile

X = [0, 10, 20]


def point(fraction, value, low, high):
    return SpeedupPoint(fraction, (0.1,), Estimate(value, low, high, 5, "reduced-scale"))


def test_band_of_three_seeds_by_hand():
    band = seed_band([(X, [1, 2, 3]), (X, [2, 3, 4]), (X, [3, 4, 5])])
    half = 4.302652729911275 / math.sqrt(3)
    assert band.x.tolist() == X
    np.testing.assert_allclose(band.mean, [2, 3, 4])
    np.testing.assert_allclose(band.low, np.array([2, 3, 4]) - half)
    np.testing.assert_allclose(band.high, np.array([2, 3, 4]) + half)


def test_seeds_are_interpolated_to_common_points_that_all_cover():
    band = seed_band([([0, 10, 20], [0, 10, 20]), ([5, 15], [7, 17])])
    assert band.x.tolist() == [5, 10, 15]
    np.testing.assert_allclose(band.mean, [6, 11, 16])


def test_one_seed_has_no_band():
    band = seed_band([(X, [1, 2, 3])])
    assert band.mean.tolist() == [1, 2, 3]
    assert np.isnan(band.low).all() and np.isnan(band.high).all()


@pytest.mark.parametrize(
    ("curves", "words"),
    [
        ([], "no curve"),
        ([([0, 0], [1, 2])], "growing x"),
        ([([0, 1], [1])], "growing x"),
        ([([], [])], "growing x"),
        ([([0, 1], [1, math.nan])], "diverged"),
        ([([0, 1], [1, 2]), ([2, 3], [1, 2])], "covered by all"),
    ],
)
def test_bad_curves_are_refused(curves, words):
    with pytest.raises(ValueError, match=words):
        seed_band(curves)


def test_curves_name_axes_arms_seeds_and_target():
    curves = {"MAE": [(X, [1.0, 0.6, 0.5]), (X, [1.1, 0.7, 0.6])], "BertsWin": [(X, [1.0, 0.4, 0.3])]}
    fig = convergence_curves(
        curves,
        "optimizer steps",
        "error (MSE)",
        "Curves",
        target=[0.5, 0.6],
        reached={"MAE": [20, math.inf], "BertsWin": [10]},
    )
    (axis,) = fig.axes
    assert (axis.get_xlabel(), axis.get_ylabel(), axis.get_title(loc="left")) == (
        "optimizer steps",
        "error (MSE)",
        "Curves",
    )
    labels = [text.get_text() for text in axis.get_legend().get_texts()]
    assert labels == ["MAE (n = 2, 1 reached the target)", "BertsWin (n = 1, 1 reached the target)"]
    assert any(text.get_text() == "target: 0.55" for text in axis.texts)
    marks = [line.get_xdata() for line in axis.lines if line.get_linestyle() == "None"]
    assert [list(mark) for mark in marks] == [[20], [10]]
    assert axis.get_yscale() == "log"


def test_an_error_of_zero_keeps_the_axis_linear():
    fig = convergence_curves({"a": [(X, [1, 0.5, 0])]}, "steps", "error", "t")
    assert fig.axes[0].get_yscale() == "linear"
    assert fig.axes[0].get_legend().get_title().get_text() == "single seeds, no interval"


def test_speedup_profile_shows_references_open_ends_and_axes():
    profiles = {
        "steps": [point(0.5, 3, 2, 4), point(1.0, 3, 2, math.inf), SpeedupPoint(0.05, (0.9,), None)],
        "FLOPs": [point(0.5, 1.2, 0.0, 1.5), point(1.0, 1.1, 0.9, 1.4)],
    }
    fig = speedup_by_depth(profiles, "Speed-up", reported=5.8)
    (axis,) = fig.axes
    assert axis.get_yscale() == "log"
    assert "baseline's improvement" in axis.get_xlabel() and "speed-up" in axis.get_ylabel()
    assert [text.get_text() for text in axis.texts] == ["as the baseline", "reported: 5.8×"]
    levels = {line.get_ydata()[0] for line in axis.lines if len(set(line.get_ydata())) == 1}
    assert {1.0, 5.8} <= levels
    bottom, top = axis.get_ylim()
    arrows = {line.get_marker(): line.get_ydata()[0] for line in axis.lines if line.get_marker() in "^v"}
    assert arrows == {"^": top, "v": bottom}
    assert [tick.get_text() for tick in axis.get_xticklabels()] == ["5", "50", "100"]


def test_the_metrics_own_profile_is_drawn_as_it_is():
    baseline = [Curve(X, [1.0, 0.6, 0.5 + seed / 50]) for seed in range(3)]
    arm = [Curve(X, [1.0, 0.5 + seed / 50, 0.4]) for seed in range(3)]
    fig = speedup_by_depth({"steps": metrics_profile(baseline, arm)}, "Speed-up")
    assert len(fig.axes[0].get_xticks()) == 5


def test_curves_may_come_from_the_metrics_too():
    curve = Curve(X, [1.0, 0.6, 0.5])
    fig = convergence_curves({"a": [(curve.x, curve.error)]}, "steps", "error", "t")
    assert list(fig.axes[0].lines[0].get_ydata()) == [1.0, 0.6, 0.5]


@pytest.mark.parametrize(
    "draw",
    [
        lambda: convergence_curves({}, "x", "y", "t"),
        lambda: speedup_by_depth({}, "t"),
        lambda: speedup_by_depth({"steps": [SpeedupPoint(1.0, (0.1,), None)]}, "t"),
    ],
)
def test_nothing_to_draw_is_an_error(draw):
    with pytest.raises(ValueError, match="pass a mapping"):
        draw()


def test_each_arm_has_its_own_panel_before_the_others_in_grey():
    arms = {f"arm {i}": [([0, 10], [i, i + 1.0]), ([0, 10], [i, i + 2.0])] for i in range(5)}
    fig = arm_by_arm(arms | {"one": [([0, 5], [0.0, 1.0])]}, "steps", "AUC", "All arms")
    shown = [axis for axis in fig.axes if axis.axison]
    titles = [axis.get_title(loc="left").replace("\u00a0", " ") for axis in shown]
    assert titles == [*(f"{a} (n = 2)" for a in arms), "one (n = 1)"]
    grey = [line for line in shown[0].lines if line.get_color() == "#BBBBBB"]
    (mean,) = [line for line in shown[0].lines if line.get_linewidth() == 2]
    assert len(grey) == 5 and list(mean.get_ydata()) == [0, 1.5]
    assert len({axis.get_ylim() for axis in shown}) == 1
    with pytest.raises(ValueError, match="got no arms"):
        arm_by_arm({}, "x", "y", "t")
