import math

import pytest
from toy_paper import COUNT, make_claim, ratio

from studykit.claims.verdict import judge
from studykit.figures.forest import ForestRow, verdict_forest

RATIO = ForestRow("steps", "partially reproduced", 5.8, 2.4, 1.8, 3.3, 5, null=1, least=1.25)
DICE = ForestRow("dice", "reproduced", 0.02, 0.03, 0.01, 0.05, 5, null=0, least=0.005)


def words(fig):
    return [text.get_text() for text in fig.axes[1].texts]


def test_row_of_a_claim_and_its_verdict():
    claim = make_claim("steps")
    row = ForestRow.of(claim, judge(claim, ratio(2.4, 1.8, 3.3)))
    assert row == RATIO
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
    fig = verdict_forest([RATIO, ForestRow("later", "not evaluated", 15, null=1, least=1.25)])
    assert fig.axes[0].get_xscale() == "log"
    assert "ratio" in fig.axes[0].get_xlabel()
    assert {"5.8", "2.40 [1.80, 3.30]", "partially reproduced", "15", "not evaluated"} <= set(words(fig))
    assert [tick.get_text() for tick in fig.axes[0].get_yticklabels()] == ["steps", "later"]


def test_claims_in_different_units_share_one_axis():
    unbounded = ForestRow("open", "inconclusive", value=1.4, low=0.7, high=math.inf, n=5, null=1, least=1.25)
    fig = verdict_forest([RATIO, DICE, unbounded])
    axis = fig.axes[0]
    assert axis.get_xscale() == "symlog" and "least that counts" in axis.get_xlabel()
    arrows = [line for line in axis.lines if line.get_marker() == ">"]
    assert len(arrows) == 1 and arrows[0].get_ydata() == [2]


def test_no_rows_is_an_error():
    with pytest.raises(ValueError, match="one ForestRow"):
        verdict_forest([])
