import json
from dataclasses import replace
from datetime import date

import pytest
from toy_paper import ratio

from studykit.claims.claim import Deviation
from studykit.claims.estimate import Estimate
from studykit.claims.paper import load_papers
from studykit.home import results_dir
from studykit.report.evidence import gather, summary_frame


def row(frame, claim):
    return frame.set_index("claim").loc[claim]


def test_without_results_nothing_is_evaluated(conclude, papers):
    frame = summary_frame(conclude.results, papers)
    assert list(frame["claim"]) == ["steps", "flops", "count", "late"]
    assert set(frame["verdict"]) == {"not evaluated"} and set(frame["ours"]) == {"–"}
    assert row(frame, "steps")["reported"] == "5.8×"


def test_the_strongest_profile_speaks(conclude, papers):
    conclude.write("steps", "laptop", ratio(2.4, 1.8, 3.3))
    conclude.write("steps", "gpu", ratio(6.1, 4.0, 9.0, n=8))
    conclude.write("steps", "smoke", ratio(9.0, 8.0, 10.0))
    found = row(summary_frame(conclude.results, papers), "steps")
    assert (found["profile"], found["verdict"], found["n"]) == ("gpu", "reproduced", "8")
    assert found["ours"] == "6.1× [4.0, 9.0]" and found["evidence"] == "reduced-scale"
    conclude.write("steps", "paper", ratio(0.8, 0.7, 0.9))
    assert row(summary_frame(conclude.results, papers), "steps")["profile"] == "paper"


def test_a_stronger_profile_with_too_few_seeds_gives_way(conclude, papers):
    conclude.write("steps", "laptop", ratio(2.4, 1.8, 3.3))
    conclude.write("steps", "gpu", ratio(6.1, 4.0, 9.0, n=2))
    assert row(summary_frame(conclude.results, papers), "steps")["profile"] == "laptop"


def test_an_informative_profile_speaks_before_a_stronger_one_that_is_not(conclude, papers):
    conclude.write("steps", "laptop", ratio(2.4, 1.8, 3.3))
    conclude.write("steps", "gpu", ratio(6.1, 4.0, 9.0), {"the baseline learns": ratio(0.0, 0.0, 1.0)})
    found = evidence_of(conclude, papers)
    assert (found.profile, found.status) == ("laptop", "partially reproduced")
    assert [other.verdict.profile for other in found.others] == ["gpu"] and found.marks == ()


def test_profiles_that_contradict_each_other_are_called_heterogeneous(conclude, papers):
    conclude.write("steps", "laptop", ratio(0.5, 0.4, 0.6))
    conclude.write("steps", "gpu", ratio(6.1, 4.0, 9.0))
    assert evidence_of(conclude, papers).marks == ("heterogeneous (opposite at laptop)",)
    conclude.write("steps", "laptop", ratio(1.5, 0.9, 2.5))
    assert evidence_of(conclude, papers).marks == ()


def test_smoke_alone_is_not_evidence(conclude, papers):
    conclude.write("steps", "smoke", ratio(6.0, 5.0, 7.0))
    found = row(summary_frame(conclude.results, papers), "steps")
    assert (found["verdict"], found["profile"], found["ours"]) == ("not evaluated", "–", "–")


def test_this_run_stands_beside_the_evidence(conclude, papers):
    conclude.write("steps", "laptop", ratio(2.4, 1.8, 3.3))
    conclude.write("steps", "smoke", ratio(9.0, 8.0, 10.0))
    frame = summary_frame(conclude.results, papers, beside="smoke")
    assert row(frame, "steps")["this run"] == "9.0× [8.0, 10.0]"
    assert row(frame, "steps")["ours"] == "2.40× [1.80, 3.30]"
    assert row(frame, "flops")["this run"] == "–"


def test_a_count_has_no_n_and_no_interval(conclude, papers):
    conclude.write("count", "laptop", Estimate.exact(538.2, unit="GFLOP"))
    found = row(summary_frame(conclude.results, papers), "count")
    assert (found["ours"], found["n"], found["verdict"]) == ("538.2 GFLOP", "–", "not reproduced")


def test_an_unusual_confidence_is_told(conclude, papers):
    conclude.write("steps", "laptop", Estimate(2.4, 1.8, 3.3, 5, "reduced-scale", confidence=0.9))
    assert row(summary_frame(conclude.results, papers), "steps")["ours"].endswith("(90%)")


def test_a_bound_is_told_as_one_and_never_as_an_interval_from_nothing(conclude, papers):
    never = Estimate(0.97, 0.0, 1.0, 5, "reduced-scale", confidence=0.9375, censored=5, unit="×")
    conclude.write("steps", "laptop", never)
    assert row(summary_frame(conclude.results, papers), "steps")["ours"] == (
        "at most 1.00×, 5 of 5 never arrived (94%)"
    )


def evidence_of(conclude, papers, id="steps"):
    return next(e for e in gather(conclude.results, papers) if e.claim.id == id)


def test_marks_say_what_goes_with_a_verdict(conclude, papers):
    assert evidence_of(conclude, papers).marks == ()
    conclude.write("steps", "laptop", ratio(2.4, 1.8, 3.3), {"half way": ratio(0.5, 0.4, 0.6)})
    found = evidence_of(conclude, papers)
    assert found.marks == ("depends on depth",) and found.finding == "supported"
    assert found.size == "smaller than reported"
    changed = Deviation(date(2026, 1, 2), "abc", "Written anew.", True, "not reproduced", None)
    assert replace(found, claim=replace(found.claim, deviations=(changed,))).marks[0] == "exploratory"


def test_holm_is_over_the_family_whether_run_or_not(conclude, papers):
    """Three claims share a family: the first is held against a third of the level."""
    conclude.write("steps", "laptop", ratio(2.4, 1.8, 3.3))
    assert evidence_of(conclude, papers).survives is True
    conclude.write("steps", "laptop", ratio(2.4, 1.1, 5.24))
    weak = evidence_of(conclude, papers)
    assert weak.survives is False and "does not survive Holm's correction" in weak.marks
    conclude.write("flops", "laptop", ratio(2.4, 2.2, 2.6))
    assert evidence_of(conclude, papers).survives is False
    conclude.write("steps", "laptop", ratio(2.4, 0.8, 7.2))
    assert evidence_of(conclude, papers).survives is None


def test_a_failed_gate_takes_its_share_of_the_level_and_has_no_mark(conclude, papers):
    conclude.write("steps", "laptop", ratio(2.4, 2.2, 2.6), {"the baseline learns": ratio(0.0, 0.0, 1.0)})
    found = evidence_of(conclude, papers)
    assert (found.status, found.survives) == ("uninformative", None)


def tamper(conclude, change):
    path = conclude.results / "speed" / "laptop" / "verdict.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content["verdicts"][0]["verdict"])
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda v: v.update(status="reproduced"), "rule gives 'partially reproduced'"),
        (lambda v: v.update(size="not stated"), "Run studykit judge speed"),
        (lambda v: v["estimate"].update(low=0.9), "rule gives 'underpowered'"),
        (lambda v: v["sensitivity"][0].update(name="a third of the way"), "Run studykit judge speed"),
        (lambda v: v.update(claim="toy/nothing"), "no paper has the claim 'toy/nothing'"),
        (lambda v: v.update(claim="toy/count"), "settled by the study 'cost'"),
        (lambda v: v.update(profile="paper"), "profile 'paper'"),
    ],
)
def test_evidence_at_odds_with_its_claim_is_refused(conclude, papers, change, reason):
    conclude.write("steps", "laptop", ratio(2.4, 1.8, 3.3), {"half way": ratio(0.5, 0.4, 0.6)})
    path = tamper(conclude, change)
    with pytest.raises(ValueError, match=reason) as error:
        gather(conclude.results, papers)
    assert str(path) in str(error.value)


def test_a_claim_is_shown_by_its_own_figure_or_else_by_the_first(conclude, papers):
    conclude.write("steps", "laptop", ratio(2.4, 1.8, 3.3))
    (evidence,) = (e for e in gather(conclude.results, papers) if e.claim.id == "steps")
    shown = replace(evidence, record=replace(evidence.record, figures=(("a.svg", "one"), ("b.svg", "two"))))
    assert shown.figure == "a.svg"
    assert replace(shown, claim=replace(shown.claim, figure="b")).figure == "b.svg"
    assert replace(shown, claim=replace(shown.claim, figure="c")).figure == "a.svg"
    assert replace(shown, record=None).figure is None


def test_every_figure_that_a_claim_names_is_among_its_evidence():
    for evidence in gather(results_dir(), load_papers()):
        if evidence.record and evidence.claim.figure:
            assert evidence.figure == f"{evidence.claim.figure}.svg", evidence.claim.key


def test_verdicts_on_a_paper_that_cannot_be_read_are_passed_over(conclude, papers):
    conclude.write("steps", "laptop", ratio(2.4, 1.8, 3.3))
    other = replace(papers["toy"], name="other", claims=(replace(papers["toy"].claims[3], paper="other"),))
    (evidence,) = gather(conclude.results, {"other": other})
    assert evidence.claim.key == "other/late" and evidence.record is None
