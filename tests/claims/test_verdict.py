"""The verdict: gates first, status from finding and size, what it depends on, and its wording."""

import itertools
import json
import math

import pytest

from studykit.claims.claim import Claim
from studykit.claims.estimate import Estimate
from studykit.claims.finding import FINDINGS, SIZES
from studykit.claims.rule import Alternative, Gate, Rule
from studykit.claims.verdict import STATUSES, Verdict, judge, status_of


def effect(reported=5.79, **more):
    return claim_of(
        Rule(
            kind="effect", metric="a ratio", direction="higher", scale="ratio", null=1.0, least_effect=1.25,
            reported=reported, repetitions=5, units="seeds", **more,
        )
    )  # fmt: skip


def claim_of(rule):
    return Claim("paper", "claim", "A sentence.", "study", "01_study", (), (), rule)


def estimate(low, value, high, n=5, kind="reduced-scale", **more):
    return Estimate(value, low, high, n, kind, **more)


LEARNS = Gate("the baseline learns", above=0.0)
HALF, CT = Alternative("half way", "depth"), Alternative("on CT", "data")


@pytest.mark.parametrize(
    ("low", "value", "high", "status"),
    [
        (0.9, 1.5, 3.0, "underpowered"),
        (0.9, 1.0, 1.1, "not reproduced"),
        (0.5, 0.7, 0.9, "not reproduced"),
        (0.1, 0.7, 1.2, "not reproduced"),
        (1.05, 1.1, 1.2, "partially reproduced"),
        (1.5, 2.0, 3.0, "partially reproduced"),
        (1.5, 3.0, 5.79, "reproduced"),
        (6.0, 7.0, 8.0, "reproduced"),
    ],
)
def test_the_status_of_an_effect(low, value, high, status):
    verdict = judge(effect(), estimate(low, value, high))
    assert verdict.status == status == status_of(verdict.finding, verdict.size)


def test_every_finding_and_size_has_a_status():
    for finding, size in itertools.product(FINDINGS, SIZES):
        assert status_of(finding, size) in STATUSES
    assert status_of("holds", "not stated") == "reproduced"
    assert status_of("fails", "not stated") == status_of("equivalent", "as reported") == "not reproduced"
    assert status_of("supported", "larger than reported") == "reproduced"


def test_no_verdict_is_inconclusive():
    grid = [0.0, 0.5, 0.9, 1.0, 1.1, 1.25, 2.0, 5.79, 9.0, math.inf]
    seen = set()
    for low, high in itertools.combinations_with_replacement(grid[:-1], 2):
        verdict = judge(effect(), estimate(low, (low + high) / 2, high))
        seen.add(verdict.status)
        assert "inconclusive" not in json.dumps(verdict.to_dict())
    assert seen == {"reproduced", "partially reproduced", "not reproduced", "underpowered"}


def test_what_is_not_evaluated():
    good = estimate(4.0, 6.0, 8.0)
    assert judge(effect(), good).status == "reproduced"
    assert judge(effect(), None).status == "not evaluated"
    smoke = judge(effect(), good, profile="smoke")
    assert (smoke.status, smoke.finding, smoke.size) == ("not evaluated", None, None)
    few = judge(effect(), estimate(4.0, 6.0, 8.0, n=4))
    assert few.status == "not evaluated" and "needs 5 repetitions, there are 4" in few.reason


# ---- gates


def test_a_failed_gate_comes_before_everything():
    claim = effect(gates=(LEARNS,), sensitivity=(HALF,))
    for value in (0.5, 1.0, 6.0):
        failed = judge(
            claim, estimate(value, value, value), beside={"the baseline learns": estimate(-1, 0, 1)}
        )
        assert failed.status == failed.finding == "uninformative" and failed.depends_on == ""
        assert "“the baseline learns” is 0.0 [−1.0, 1.0], not wholly above 0" in failed.reason
    passed = judge(claim, estimate(4.0, 6.0, 8.0), beside={"the baseline learns": estimate(0.1, 0.2, 0.3)})
    assert passed.status == "reproduced" and [gate.finding for gate in passed.gates] == ["passed"]


def test_the_size_is_said_even_where_a_gate_failed():
    claim = effect(gates=(LEARNS,))
    failed = judge(claim, estimate(0.9, 1.5, 3.0), beside={"the baseline learns": estimate(-1, 0, 1)})
    assert failed.size == "smaller than reported"


def test_a_gate_that_was_not_measured_is_named_and_changes_nothing():
    verdict = judge(effect(gates=(LEARNS,)), estimate(4.0, 6.0, 8.0))
    assert verdict.status == "reproduced" and verdict.gates[0].finding == "not at hand"
    assert "Not at hand: the baseline learns." in verdict.reason


def test_a_name_that_the_rule_does_not_have_is_refused():
    with pytest.raises(ValueError, match="no gate or alternative half a way; known: half way"):
        judge(effect(sensitivity=(HALF,)), estimate(4.0, 6.0, 8.0), beside={"half a way": estimate(1, 1, 1)})


# ---- sensitivity


@pytest.mark.parametrize(
    ("main", "half", "ct", "depends"),
    [
        ((2, 3, 4), (2, 3, 4), (1.1, 1.2, 1.3), ""),
        ((2, 3, 4), (0.5, 1.5, 4), None, ""),
        ((2, 3, 4), (0.2, 0.3, 0.4), None, "depth (half way: opposite)"),
        ((2, 3, 4), (0.9, 1.0, 1.1), (0.2, 0.3, 0.4), "depth (half way: equivalent); data (on CT: opposite)"),
        ((0.2, 0.3, 0.4), (0.5, 0.9, 1.2), None, ""),
        ((0.2, 0.3, 0.4), (0.9, 1.0, 1.1), None, "depth (half way: equivalent)"),
        ((0.5, 1, 2), (2, 3, 4), None, ""),
        ((0.5, 1, 2), (2, 3, 4), (0.2, 0.3, 0.4), "depth (half way: supported); data (on CT: opposite)"),
        ((0.5, 1, 2), (2, 3, 4), (2, 3, 4), ""),
    ],
)
def test_a_verdict_depends_on_what_turns_its_direction(main, half, ct, depends):
    beside = {"half way": estimate(*half)} | ({"on CT": estimate(*ct)} if ct else {})
    verdict = judge(effect(sensitivity=(HALF, CT)), estimate(*main), beside=beside)
    assert verdict.depends_on == depends
    assert ("Not at hand: on CT." in verdict.reason) == (ct is None)


def test_alternatives_are_judged_by_the_same_rule():
    claim = effect(sensitivity=(HALF,))
    for low, high in itertools.combinations([0.2, 0.5, 0.9, 1.1, 1.2, 2.0, 7.0], 2):
        own = judge(claim, estimate(low, low, high))
        beside = judge(claim, estimate(2, 3, 4), beside={"half way": estimate(low, low, high)})
        assert beside.sensitivity[0].finding == own.finding


@pytest.mark.parametrize(
    ("half", "ct", "said"),
    [
        ((2, 3, 4), (2, 3, 5), "smaller than reported (5.79)."),
        ((2, 3, 4), (4, 5, 6), "smaller than reported (5.79), but as reported with on CT."),
        ((4, 5, 6), (0.2, 1, 7), "smaller than reported (5.79), but as reported with half way; on CT."),
        ((6, 7, 8), (4, 5, 6), ", but larger than reported with half way, and as reported with on CT."),
        ((2, 3, 4), None, "smaller than reported (5.79)."),
    ],
)
def test_alternatives_of_another_size_are_named(half, ct, said):
    beside = {"half way": estimate(*half)} | ({"on CT": estimate(*ct)} if ct else {})
    verdict = judge(effect(sensitivity=(HALF, CT)), estimate(2, 3, 4), beside=beside)
    assert said in verdict.reason
    unstated = judge(effect(reported=None, sensitivity=(HALF, CT)), estimate(2, 3, 4), beside=beside)
    assert "reported" not in unstated.reason


# ---- counts and identities


@pytest.mark.parametrize(
    ("value", "status"),
    [
        (223.8, "reproduced"),
        (226.0, "reproduced"),
        (221.6, "reproduced"),
        (226.1, "not reproduced"),
        (538.2, "not reproduced"),
    ],
)
def test_a_count_holds_within_its_tolerance(value, status):
    claim = claim_of(Rule(kind="count", metric="GFLOP", reported=223.8, tolerance=0.01))
    verdict = judge(claim, Estimate.exact(value, "GFLOP"))
    assert verdict.status == status and "223.8 GFLOP" in verdict.reason


def test_another_reading_of_a_count_stands_beside_it():
    rule = Rule("count", "M", reported=17.0, tolerance=0.01, sensitivity=(Alternative("plain", "reading"),))
    verdict = judge(claim_of(rule), Estimate.exact(17.4, "M"), beside={"plain": Estimate.exact(17.0, "M")})
    assert (verdict.status, verdict.depends_on) == ("not reproduced", "reading (plain: holds)")


def test_an_identity_holds_up_to_its_tolerance():
    claim = claim_of(Rule(kind="identity", metric="residual", tolerance=1e-10))
    assert judge(claim, Estimate.exact(1e-10)).status == "reproduced"
    assert judge(claim, Estimate.exact(2e-10)).status == "not reproduced"


def test_a_count_needs_exact_evidence():
    claim = claim_of(Rule(kind="count", metric="GFLOP", reported=223.8, tolerance=0.01))
    assert judge(claim, estimate(223.8, 223.8, 223.8)).status == "not evaluated"
    assert judge(claim, Estimate.exact(223.8), profile="smoke").status == "not evaluated"
    assert judge(claim, None).status == "not evaluated"


# ---- words


@pytest.mark.parametrize(
    ("kind", "said"),
    [("reduced-scale", "At reduced scale, not the paper's"), ("mechanism", "not the paper's data or scale")],
)
def test_lesser_evidence_is_worded_as_such(kind, said):
    for low, value, high in [(0.5, 1.0, 2.0), (0.1, 0.2, 0.3), (2.0, 3.0, 4.0), (5.0, 6.0, 7.0)]:
        assert said in judge(effect(), estimate(low, value, high, kind=kind)).reason
    for kind_of_paper in ("paper-scale", "exact"):
        assert "scale" not in judge(effect(), estimate(5.0, 6.0, 7.0, kind=kind_of_paper, n=5)).reason


def test_the_reason_shows_the_numbers():
    reason = judge(effect(), estimate(1.52, 2.03, 2.71, unit="×")).reason
    assert "2.03× [1.52, 2.71] (95% interval over 5 seeds)" in reason
    assert "null value 1" in reason and "Size: smaller than reported (5.79×)." in reason
    assert "Size" not in judge(effect(reported=None), estimate(1.52, 2.03, 2.71)).reason


def test_an_underpowered_verdict_says_what_could_have_been_seen():
    reason = judge(effect(), estimate(0.5, 1.2, 2.88)).reason
    assert "This design tells" in reason and "in 80 of 100 studies; 1.25 takes about" in reason
    opened = judge(effect(), estimate(0.0, 1.1, 1.4, censored=2)).reason
    assert "no effect was sure to be seen" in opened


def test_a_bound_is_printed_as_one():
    verdict = judge(effect(), estimate(0.0, 0.97, 1.0, censored=5, unit="×", confidence=0.9375))
    assert "at most 1.00×, 5 of 5 never arrived (94% interval over 5 seeds)" in verdict.reason
    assert (verdict.finding, verdict.size) == ("no effect of δ or more", "smaller than reported")


@pytest.mark.parametrize(
    "given",
    [None, estimate(0.0, 6.0, math.inf, censored=2, unit="×", method="t"), Estimate.exact(3.0, "GFLOP")],
)
def test_a_verdict_survives_json(given):
    claim = effect(gates=(LEARNS,), sensitivity=(HALF, CT))
    beside = {"the baseline learns": estimate(0.1, 0.2, 0.3), "half way": estimate(0.0, 1.0, math.inf)}
    verdict = judge(claim, given, profile="laptop", beside=beside)
    text = json.dumps(verdict.to_dict(), allow_nan=False)
    assert Verdict.from_dict(json.loads(text)) == verdict


def test_an_unknown_word_is_refused():
    good = judge(effect(), estimate(2, 3, 4)).to_dict()
    for key, known in (("status", "reproduced"), ("finding", "supported"), ("size", "as reported")):
        with pytest.raises(ValueError, match=f"known: {known}"):
            Verdict.from_dict({**good, key: "confirmed"})
