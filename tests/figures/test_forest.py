import itertools
import math
from dataclasses import replace

import matplotlib.pyplot as plt
import pytest
from toy_paper import COUNT, make_claim, ratio

from studykit.claims.estimate import Estimate
from studykit.claims.rule import Rule
from studykit.claims.verdict import judge
from studykit.figures.forest import ForestRow, gain_forest, verdict_forest

GAINS = {0.1: Estimate(0.2, 0.1, 0.3, 3, "mechanism"), 1.0: Estimate(0.0, -0.1, 0.1, 3, "mechanism")}
RATIO = ForestRow("steps", "partially reproduced", 5.8, 2.4, 1.8, 3.3, 5, null=1, least=1.25, is_ratio=True)
DICE = ForestRow("dice", "reproduced", 0.02, 0.03, 0.01, 0.05, 5, null=0, least=0.005)


def words(fig):
    return [text.get_text() for text in fig.axes[1].texts]


def labels(fig):
    return [text.get_text() for text in fig.legends[0].get_texts()]


def test_row_of_a_claim_and_its_verdict():
    claim = make_claim("steps")
    row = ForestRow.of(claim, judge(claim, ratio(2.4, 1.8, 3.3)))
    assert row == RATIO
    never = Estimate(0.97, 0.0, 1.0, 5, "reduced-scale", censored=5, unit="×")
    assert ForestRow.of(claim, judge(claim, never)).ours == "at most 1.00"
    waiting = ForestRow.of(make_claim("flops", COUNT), label="FLOPs at 224³")
    assert (waiting.label, waiting.status, waiting.reported) == ("FLOPs at 224³", "not evaluated", 223.8)
    assert math.isnan(waiting.value) and math.isnan(waiting.effect(3.0))


def test_effects_in_units_of_the_least_that_counts():
    assert RATIO.effect(1) == 0
    assert RATIO.effect(1.25) == pytest.approx(1)
    assert RATIO.effect(1.25**3) == pytest.approx(3)
    assert RATIO.effect(0) == -math.inf
    assert DICE.effect(0.02) == pytest.approx(4)
    lower = ForestRow("hd95", "reproduced", null=0, least=-2)
    assert lower.effect(-4) == pytest.approx(2)


def test_ratios_alone_share_their_own_log_axis():
    fig = verdict_forest([RATIO, ForestRow("later", "not evaluated", 15, null=1, least=1.25, is_ratio=True)])
    assert fig.axes[0].get_xscale() == "log"
    assert "ratio" in fig.axes[0].get_xlabel()
    assert {"5.8", "2.40 [1.80, 3.30]", "partially reproduced", "15", "not evaluated"} <= set(words(fig))
    assert [tick.get_text() for tick in fig.axes[0].get_yticklabels()] == ["steps", "later"]


def test_claims_in_different_units_share_one_axis():
    unbounded = replace(RATIO, label="open", status="underpowered", value=1.4, low=0.7, high=math.inf)
    fig = verdict_forest([RATIO, DICE, unbounded])
    axis = fig.axes[0]
    assert axis.get_xscale() == "symlog" and "least that counts" in axis.get_xlabel()
    arrows = [line for line in axis.lines if line.get_marker() == ">"]
    assert len(arrows) == 1 and arrows[0].get_ydata() == [2]


def test_no_word_runs_into_the_next():
    long = replace(RATIO, ours="at most 1.008, 5 of 5 never arrived (94%)", status="partially reproduced")
    fine = replace(DICE, label="probe-underrates-structural-losses", value=-0.0003, low=-0.0019, high=0.0014)
    fig = verdict_forest([RATIO, DICE, long, fine, ForestRow("later", "not evaluated")])
    fig.canvas.draw()
    lines = {}
    for text in fig.axes[1].texts:
        lines.setdefault(text.get_position()[1], []).append(text.get_window_extent())
    for boxes in lines.values():
        assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))
        assert boxes[-1].x1 <= fig.bbox.x1


def test_non_inferiority_is_drawn_from_its_margin():
    rule = Rule(
        "non-inferiority", "Dice", "higher", "difference", null=0.0, margin=0.01, repetitions=5, units="seeds"
    )
    row = ForestRow.of(replace(make_claim("steps"), rule=rule))
    assert (row.effect(-0.01), row.effect(0.0)) == (0, 1)


def test_no_rows_is_an_error():
    with pytest.raises(ValueError, match="one ForestRow"):
        verdict_forest([])


def test_a_forest_has_its_gains_in_marks_and_words_and_arrows_beyond_the_axis():
    open_ended = Estimate(0.05, -math.inf, math.inf, 1, "mechanism")
    rows = {
        "MAE over scratch": {"few": GAINS[0.1], "all": GAINS[1.0]},
        "other": {"few": open_ended, "all": GAINS[1.0]},
    }
    fig = gain_forest(rows, "Gains", "difference")
    axis, words = fig.axes
    said = [text.get_text() for text in words.texts]
    assert said[:6] == ["gain [95 % interval]", "n", "0.20 [0.10, 0.30]", "3", "0.00 [−0.10, 0.10]", "3"]
    arrows = [line.get_marker() for line in axis.lines if line.get_marker() in "<>"]
    assert arrows == ["<", ">"]
    assert axis.get_xlim()[0] < -0.1 and axis.get_xlim()[1] > 0.3
    assert labels(fig) == ["few", "all"]
    assert [tick.get_text() for tick in axis.get_yticklabels()] == ["MAE over scratch", "other"]


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: gain_forest({}, "t", "x"), "no gains"),
        (lambda: gain_forest({"a": {"x": GAINS[0.1]}, "b": {"y": GAINS[0.1]}}, "t", "x"), "'b' has others"),
    ],
)
def test_nothing_or_nonsense_is_refused(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()
    assert not plt.get_fignums()
