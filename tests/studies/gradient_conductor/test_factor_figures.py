import math

import matplotlib.pyplot as plt
import numpy as np
import pytest

from studykit.claims.estimate import Estimate
from studykit.studies.gradient_conductor.factor_figures import (
    CurvePanel,
    EffectRow,
    curve_panels,
    effect_panels,
)

X = [0, 10, 20]
SEEDS = [(X, [4, 2, 1]), (X, [6, 4, 3])]
ARMS = {("AdamW", "random"): SEEDS, ("AdamW", "FOV"): SEEDS, ("GCond", "random"): SEEDS[:1]}


def estimate(low, value, high, censored=0):
    return Estimate(value, low, high, 5, "reduced-scale", censored=censored)


def texts(fig):
    return [text.get_text() for text in fig.legends[0].get_texts()]


def drawn(axis):
    """(x, y) of the curves, without level lines."""
    lines = [line for line in axis.lines if len(line.get_xdata()) > 2]
    return [(list(line.get_xdata()), list(line.get_ydata())) for line in lines]


def test_a_curve_is_the_mean_of_its_seeds_and_a_level_looks_alike_everywhere():
    panels = [CurvePanel("L2", "MSE", ARMS), CurvePanel("MVC", "loss", {("GCond", "FOV"): SEEDS}, log=False)]
    fig = curve_panels(panels, "steps", "All", ("optimizer", "masks"))
    first, second = fig.axes
    assert drawn(first) == [(X, [5, 3, 2]), (X, [5, 3, 2]), (X, [4, 2, 1])]
    assert (first.get_yscale(), second.get_yscale()) == ("log", "linear")
    adamw, aware, gcond = first.lines
    (other,) = second.lines
    assert adamw.get_color() == aware.get_color() != gcond.get_color() == other.get_color()
    assert adamw.get_linestyle() == gcond.get_linestyle() != aware.get_linestyle() == other.get_linestyle()
    assert adamw.get_marker() == aware.get_marker() != gcond.get_marker()
    assert texts(fig) == ["AdamW", "GCond", "random", "FOV"]
    assert (
        fig.legends[0].get_title().get_text()
        == "colour and mark: optimizer; line: masks; n = 1–2 seeds an arm"
    )
    assert [axis.get_ylabel() for axis in fig.axes] == ["MSE", "loss"]


def test_a_target_is_a_strip_with_its_mean_and_levels_are_named():
    panel = CurvePanel("L2", "MSE", ARMS, target=[1.0, 3.0], levels={"none": 2.5}, limits=(0.5, 8))
    (axis,) = curve_panels([panel], "steps", "t", ("a", "b")).axes
    lines = {text.get_text(): text.xy[1] for text in axis.texts}
    assert lines == {"none": 2.5, "target": 2.0}
    strip = axis.patches[0].get_bbox()
    assert (strip.y0, strip.y1) == (1.0, 3.0)
    assert axis.get_ylim() == (0.5, 8)


def rows(**changes):
    own = {
        "over all": EffectRow("over all", estimate(1.5, 2, 2.5), "0/40"),
        "under L2": EffectRow("under L2", estimate(0.0, 1.2, 3, censored=2), "2/20", main=False),
        "under MVC": EffectRow("under MVC", None, "20/20", main=False),
    }
    return {"GCond for AdamW": list((own | changes).values())}


def test_a_row_is_an_interval_with_its_mark_and_an_open_end_is_an_arrow():
    fig = effect_panels({"Steps": rows(), "Operations": rows()}, "All", "times less", "never", reported=2.6)
    axis = fig.axes[0]
    marks = {line.get_marker(): line for line in axis.lines if line.get_marker() not in ("None", None)}
    assert (marks["o"].get_xdata()[0], marks["o"].get_fillstyle()) == (2, "full")
    assert (marks["s"].get_xdata()[0], marks["s"].get_fillstyle()) == (1.2, "none")
    assert marks["<"].get_xdata()[0] == axis.get_xlim()[0] and ">" not in marks
    intervals = [list(line.get_xdata()) for line in axis.lines if line.get_linewidth() == 1.8]
    assert intervals == [[1.5, 2.5], [axis.get_xlim()[0], 3]]
    said = [text.get_text() for text in axis.texts]
    assert said[:1] == ["reported: 2.6"] and {"0/40", "2/20", "20/20", "never", "GCond for AdamW"} < set(said)
    assert [label.get_text() for label in axis.get_yticklabels()] == ["over all", "under L2", "under MVC"]
    assert axis.get_xlim() == fig.axes[1].get_xlim(), "panels can be compared"
    assert "GCond for AdamW" not in [text.get_text() for text in fig.axes[1].texts]


def test_a_ratio_that_nothing_bounds_stands_alone_in_grey_and_a_note_says_so():
    alone = {
        "g": [EffectRow("a", estimate(0.0, 0.7, math.inf, censored=5)), EffectRow("b", estimate(0.5, 1, 2))]
    }
    fig = effect_panels({"Steps": alone}, "t")
    intervals = [list(line.get_xdata()) for line in fig.axes[0].lines if line.get_linewidth() == 1.8]
    marks = [line for line in fig.axes[0].lines if line.get_marker() == "o"]
    assert intervals == [[0.5, 2]] and marks[0].get_color() != marks[1].get_color()
    assert not {"<", ">"} & {line.get_marker() for line in fig.axes[0].lines}
    assert "no interval" in fig.get_supxlabel()
    assert not effect_panels({"Steps": rows()}, "t").get_supxlabel()


def test_without_remarks_there_is_no_word_for_them():
    plain = {"g": [EffectRow("a", estimate(0.5, 1, math.inf))]}
    (axis,) = effect_panels({"Steps": plain}, "t", remark_label="never").axes
    assert {text.get_text() for text in axis.texts} == {"", "g"}
    assert ">" in [line.get_marker() for line in axis.lines]


def test_rows_are_apart_and_groups_further():
    two = {"one": rows()["GCond for AdamW"], "other": rows()["GCond for AdamW"][:1]}
    (axis,) = effect_panels({"Steps": two}, "t").axes
    within, _, between = np.diff(axis.get_yticks())
    assert between > within > 0 and axis.get_ylim()[0] > axis.get_ylim()[1]


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: curve_panels([], "x", "t", ("a", "b")), "nothing to draw"),
        (
            lambda: curve_panels(
                [CurvePanel("t", "y", {("a", str(i)): SEEDS for i in range(4)})], "x", "t", ("a", "b")
            ),
            "4 levels of b cannot be told apart by 3 lines",
        ),
        (lambda: effect_panels({}, "t"), "nothing to draw"),
        (lambda: effect_panels({"a": {"g": []}}, "t"), "nothing to draw"),
        (
            lambda: effect_panels({"a": rows(), "b": {"g": [EffectRow("else", None)]}}, "t"),
            "the rows of 'b' are not those of the first panel",
        ),
    ],
)
def test_nothing_or_nonsense_is_refused(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()


def test_no_words_overlap():
    """Rows, remarks and tick labels of a figure as full as the notebook's."""
    full = {f"group {i}": rows()["GCond for AdamW"] for i in range(5)}
    fig = effect_panels(
        {name: full for name in ("Steps", "Operations", "Loss")}, "t", "times less", "never\narrived"
    )
    fig.canvas.draw()
    for axis in fig.axes:
        words = [t for t in (*axis.texts, *axis.get_xticklabels()) if t.get_text() and t.get_visible()]
        boxes = [word.get_window_extent() for word in words]
        overlaps = [
            (words[i].get_text(), words[j].get_text())
            for i in range(len(boxes))
            for j in range(i)
            if boxes[i].overlaps(boxes[j])
        ]
        assert not overlaps
    plt.close(fig)
