"""Claim cards say what the claim's file says, unknowns and rule included."""

import json
import shutil

import pytest

from studykit.claims.estimate import Estimate
from studykit.claims.paper import load_papers, studies
from studykit.claims.verdict import NOT_EVALUATED, UNDERPOWERED, UNINFORMATIVE, judge
from studykit.home import results_dir
from studykit.report.cards import answer_card, claim_card, deviation_in_words, rule_in_words, verdict_card
from studykit.report.evidence import gather

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


# ---- what came out


@pytest.mark.parametrize("study", studies())
def test_a_study_says_what_came_out_by_the_evidence_that_is_committed(study):
    card = answer_card(study)
    own = [e for e in gather(results_dir(), load_papers()) if e.claim.study == study]
    judged = [e for e in own if e.status != NOT_EVALUATED]
    assert ("There is no evidence" in card) == (not judged)
    assert "](" not in card and "{" not in card, "a link or a place for a number"
    for evidence in judged:
        assert f"profile `{evidence.profile}`" in card
        assert evidence.record.provenance["started"][:10] in card
        if evidence.status in (UNDERPOWERED, UNINFORMATIVE):
            (line,) = [
                line for line in card.splitlines() if "Open:" in line and f"`{evidence.claim.id}`" in line
            ]
            assert line.partition("`. ")[2] in evidence.record.verdict.reason
            assert "a gate failed: “" in line or " repetitions." in line


def test_its_numbers_are_those_of_the_verdicts():
    card, found = answer_card("bertswin-convergence"), gather(results_dir(), load_papers())
    (evidence,) = [e for e in found if e.claim.id == "convergence-speedup"]
    assert f"{evidence.ours} as fast where {evidence.reported} is reported" in card
    assert "GradientConductor slows" not in card, "another study's"


def test_where_there_is_no_evidence_it_says_so_and_how_to_make_it(tmp_path):
    for results, words in (
        (tmp_path, "none of its claims is judged"),
        (tmp_path / "results", "no `results/`"),
    ):
        card = answer_card("spine-ablation", results)
        assert words in card and "`studykit run spine-ablation --profile laptop`" in card
    with pytest.raises(ValueError, match="no claim names the study 'spine'"):
        answer_card("spine", tmp_path)


def test_a_verdict_that_nobody_has_put_in_words_speaks_for_itself(tmp_path):
    folder = tmp_path / "bertswin-compute" / "laptop"
    shutil.copytree(results_dir() / "bertswin-compute" / "laptop", folder)
    shutil.copytree(results_dir().parent / "papers", tmp_path / "papers")
    (tmp_path / "papers" / "bertswin" / "answer.toml").unlink()
    card = answer_card("bertswin-compute", tmp_path, tmp_path / "papers")
    assert "Not reproduced: 538.2 GFLOP against 223.8 GFLOP reported." in card


def test_too_few_repetitions_stay_open(tmp_path):
    folder = tmp_path / "bertswin-convergence" / "laptop"
    folder.mkdir(parents=True)
    text = (results_dir() / "bertswin-convergence" / "laptop" / "verdict.json").read_text(encoding="utf-8")
    content = json.loads(text)
    for entry in content["verdicts"]:
        claim = next(c for c in CLAIMS if c.key == entry["verdict"]["claim"])
        if claim.id == "monotone-convergence":
            few = Estimate(0.02, -0.02, 0.06, 2, "reduced-scale")
            entry["verdict"] = judge(claim, few, profile="laptop").to_dict()
    (folder / "verdict.json").write_text(json.dumps(content), encoding="utf-8")
    card = answer_card("bertswin-convergence", tmp_path)
    assert "- Open: `monotone-convergence`. The rule needs 5 repetitions, there are 2." in card


def test_evidence_that_is_broken_is_said_so_in_the_card(tmp_path):
    folder = tmp_path / "bertswin-compute" / "laptop"
    folder.mkdir(parents=True)
    (folder / "verdict.json").write_text("{", encoding="utf-8")
    card = answer_card("bertswin-convergence", tmp_path)
    assert card.startswith("What came out cannot be said: ") and "verdict.json cannot be read" in card
