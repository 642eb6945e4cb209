"""What a design can see is told for every claim, from its runs or from the want of them."""

import pytest

from studykit.claims.paper import load_papers
from studykit.home import results_dir
from studykit.report.design import looks_in_words, power_frame, sights
from studykit.report.evidence import gather


def test_every_claim_with_an_interval_is_there_and_no_count():
    claims = [claim for paper in load_papers().values() for claim in paper.claims]
    for study in dict.fromkeys(claim.study for claim in claims):
        own = [claim.id for claim in claims if claim.study == study and not claim.rule.counted]
        assert [sight.claim for sight in sights(results_dir(), study, "laptop")] == own


def test_an_underpowered_verdict_needs_more_than_it_had():
    for evidence in gather(results_dir(), load_papers()):
        if evidence.status == "underpowered" and not evidence.record.verdict.estimate.open:
            (sight,) = (
                s
                for s in sights(results_dir(), evidence.claim.study, "laptop")
                if s.claim == evidence.claim.id
            )
            assert int(sight.needed.replace(",", "")) > int(sight.n), evidence.claim.key


def test_without_runs_nothing_is_known(tmp_path):
    (first, *_others) = sights(tmp_path, "volta-transfer", "laptop")
    assert first.needed == "not known: no runs at hand" and first.visible == "–"


def test_an_unknown_study_lists_the_known_ones(tmp_path):
    with pytest.raises(ValueError, match="studies with claims: bertswin-ablations"):
        sights(tmp_path, "flight", "laptop")


def test_a_notebook_shows_the_same_as_a_table():
    frame = power_frame(results_dir(), "bertswin-convergence", "laptop")
    assert frame["claim"].iloc[0] == "convergence-speedup" and frame.shape == (3, 6)
    assert "99.48% and the second one of 95.20%" in looks_in_words(5)
