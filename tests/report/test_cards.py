"""Claim cards say what the claim's file says, unknowns and rule included."""

import pytest

from studykit.claims.estimate import Estimate
from studykit.claims.paper import load_papers
from studykit.claims.verdict import judge
from studykit.report.cards import claim_card, rule_in_words, verdict_card

CLAIMS = [claim for paper in load_papers().values() for claim in paper.claims]


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.key)
def test_a_card_leaves_nothing_out(claim):
    card = claim_card(claim)
    assert claim.sentence in card
    assert card.count("**Unknown:**") == len(claim.unknown)
    assert card.count("**Reported:**") == max(len(claim.reported), 1)
    assert claim.rule.metric in rule_in_words(claim)
    if claim.rule.kind == "effect":
        assert f"{claim.rule.repetitions} repetitions" in card


def test_a_verdict_card_gives_the_word_and_the_reason():
    claim = next(c for c in CLAIMS if c.key == "bertswin/convergence-speedup")
    verdict = judge(claim, Estimate(2.0, 1.5, 2.6, 5, "reduced-scale"), profile="laptop")
    assert f"{claim.key}: {verdict.status}" in verdict_card([verdict])
    assert verdict.reason in verdict_card([verdict])
