"""Claim cards say what the claim's file says, unknowns and rule included."""

import pytest

from studykit.claims.estimate import Estimate
from studykit.claims.paper import load_papers
from studykit.claims.verdict import judge
from studykit.report.cards import claim_card, deviation_in_words, rule_in_words, verdict_card

CLAIMS = [claim for paper in load_papers().values() for claim in paper.claims]


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.key)
def test_a_card_leaves_nothing_out(claim):
    card = claim_card(claim)
    assert claim.sentence in card
    assert card.count("**Unknown:**") == len(claim.unknown)
    assert card.count("**Reported:**") == max(len(claim.reported), 1)
    assert claim.rule.metric in rule_in_words(claim.rule)
    if not claim.rule.counted:
        assert f"at least {claim.rule.repetitions} repetitions" in card and claim.rule.units in card
    for beside in (*claim.rule.gates, *claim.rule.sensitivity):
        assert beside.name in card
    assert f"**Sources read:** {', '.join(claim.sources)}" in card and claim.checks in card
    assert card.count("**Changed:**") == len(claim.deviations)


def test_a_verdict_card_gives_the_word_and_the_reason():
    claim = next(c for c in CLAIMS if c.key == "bertswin/convergence-speedup")
    estimate = Estimate(2.0, 1.5, 2.6, 5, "reduced-scale")
    ct = next(beside.name for beside in claim.rule.sensitivity if beside.varies == "data")
    beside = {ct: Estimate(0.5, 0.4, 0.6, 5, "reduced-scale")}
    verdict = judge(claim, estimate, profile="laptop", beside=beside)
    card = verdict_card([verdict])
    assert f"{claim.key}: {verdict.status}** (supported)" in card
    assert verdict.reason in card and "Depends on data (head CT" in card


def test_a_deviation_says_when_what_and_what_was_known():
    claim = next(c for c in CLAIMS if c.key == "rsna-pipeline/identity-suffices")
    words = deviation_in_words(claim.deviations[-1])
    assert words.startswith("2026-11-27, after d1af215 (results known, partially reproduced → reproduced): A")


def test_cards_of_several_claims_stand_one_below_the_other():
    first, second = CLAIMS[:2]
    assert claim_card(first, second) == f"{claim_card(first)}\n\n{claim_card(second)}"
    assert claim_card(first)._repr_markdown_() == claim_card(first)
