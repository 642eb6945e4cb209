import math

import pytest

from studykit.claims.estimate import Estimate
from studykit.studies.bertswin_ablations.figures import ratio_forest

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


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: ratio_forest({}, "t"), "no ratios"),
        (lambda: ratio_forest({"a": {"x": KNOWN}, "b": {"y": KNOWN}}, "t"), "'b' has others"),
    ],
)  # fmt: skip
def test_nothing_or_nonsense_is_refused(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()
