"""Rows of a forest: each number at its place, in units of the least effect that counts."""

import math
import re
from dataclasses import replace

import pytest
from toy_paper import COUNT, EFFECT, make_claim, ratio

from studykit.claims.rule import Rule
from studykit.figures.forest import ForestRow
from studykit.report.evidence import gather
from studykit.report.forest_cell import FARTHEST, WIDTH, effect, forest_cell, measured

LOSS = Rule(
    "non-inferiority", "Dice", "higher", "difference", null=0.0, margin=0.01, repetitions=5, units="seeds"
)
LOWER = replace(EFFECT, direction="lower", scale="difference", null=0.0, least_effect=-2.0, reported=-8.0)


@pytest.mark.parametrize("rule", [EFFECT, LOSS, LOWER], ids=["ratio", "non-inferiority", "lower"])
@pytest.mark.parametrize("value", [0.5, 1.0, 2.4])
def test_an_effect_is_what_the_figure_of_all_claims_has(rule, value):
    assert effect(rule, value) == pytest.approx(ForestRow.of(make_claim("steps", rule)).effect(value))


def test_what_is_counted_is_no_effect():
    assert math.isnan(effect(COUNT, 223.8)) and math.isnan(effect(EFFECT, -1.0))
    assert effect(EFFECT, 0.0) == -math.inf


def cell_of(conclude, papers, estimate):
    conclude.write("steps", "laptop", estimate)
    return gather(conclude.results, papers)[0]


def test_a_cell_has_the_interval_our_value_and_the_reported_one_in_their_order(conclude, papers):
    evidence = cell_of(conclude, papers, ratio(2.4, 1.8, 3.3))
    drawn = forest_cell(evidence)
    start, end = re.search(r'class="interval" d="M([\d.]+) 13H([\d.]+)"', drawn).groups()
    ours = re.search(r'<circle cx="([\d.]+)"', drawn)[1]
    reported = float(re.search(r'class="reported" d="M([\d.]+)', drawn)[1]) + 5
    least = re.search(r'class="level" d="M([\d.]+)', drawn)[1]
    assert WIDTH / 2 < float(least) < float(start) < float(ours) < float(end) < reported < WIDTH
    assert 'aria-label="ours 2.40× [1.80, 3.30], reported 5.8×"' in drawn
    assert 'class="forest partially-reproduced"' in drawn
    assert measured(evidence) == pytest.approx(math.log(2.4) / math.log(1.25))


def test_an_end_that_nothing_bounds_is_an_arrow(conclude, papers):
    open_ended = forest_cell(cell_of(conclude, papers, ratio(1.4, 0.0, math.inf)))
    assert "m5 -4l-5 4l5 4" in open_ended and "m-5 -4l5 4l-5 4" in open_ended
    assert 1.25**FARTHEST > 3.3
    assert "m5 -4" not in forest_cell(cell_of(conclude, papers, ratio(2.4, 1.8, 3.3)))


def test_without_evidence_the_reported_number_stands_alone_and_a_count_has_nothing(conclude, papers):
    rows = {evidence.claim.id: evidence for evidence in gather(conclude.results, papers)}
    alone = forest_cell(rows["late"])
    assert 'class="reported"' in alone and "circle" not in alone and math.isnan(measured(rows["late"]))
    assert forest_cell(rows["count"]) == ""
