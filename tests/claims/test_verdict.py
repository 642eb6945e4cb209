"""The verdict: every order of interval, null, least effect and reported value, mirrored, and its wording."""

import itertools
import json
import math

import pytest

from studykit.claims.estimate import Estimate
from studykit.claims.paper import Claim, Rule
from studykit.claims.verdict import STATUSES, Verdict, judge


def effect(null=1.0, least=1.25, reported=5.79, direction="higher", repetitions=5):
    return claim_of(
        Rule(
            kind="effect",
            metric="a ratio",
            direction=direction,
            null=null,
            least_effect=least,
            reported=reported,
            repetitions=repetitions,
        )
    )


def claim_of(rule):
    return Claim("paper", "claim", "A sentence.", "study", "01_study", (), (), rule)


def estimate(low, value, high, n=5, kind="reduced-scale", **more):
    return Estimate(value, low, high, n, kind, **more)


@pytest.mark.parametrize(
    ("low", "value", "high", "status"),
    [
        (0.9, 1.5, 3.0, "inconclusive"),
        (0.9, 3.0, 9.0, "inconclusive"),
        (1.0, 3.0, 9.0, "inconclusive"),
        (0.5, 0.8, 1.0, "inconclusive"),
        (0.5, 0.7, 0.9, "not reproduced"),
        (1.05, 1.1, 1.2, "not reproduced"),
        (1.05, 1.2, 1.25, "partially reproduced"),
        (1.5, 2.0, 3.0, "partially reproduced"),
        (1.5, 3.0, 5.79, "reproduced"),
        (1.5, 4.0, 9.0, "reproduced"),
        (6.0, 7.0, 8.0, "reproduced"),
    ],
)
def test_the_default_rule(low, value, high, status):
    assert judge(effect(), estimate(low, value, high)).status == status


def expected(low, value, high, null, least, reported):
    """design.md's rule, word by word, for higher is better."""
    if low <= null <= high:
        return "inconclusive"
    if high < null or high < least:
        return "not reproduced"
    if reported is None:
        return "reproduced" if value >= least else "partially reproduced"
    return "reproduced" if low <= reported <= high or value >= reported else "partially reproduced"


def all_cases():
    grid = [-math.inf, -2, -1, -0.5, 0, 0.5, 1, 2, 3, 4, math.inf]
    for low, high in itertools.combinations_with_replacement(grid, 2):
        inside = [v for v in grid if low <= v <= high and math.isfinite(v)]
        for value, least, extra in itertools.product(inside, (0.5, 1, 2), (None, 0, 1, 2)):
            yield low, value, high, 0, least, None if extra is None else least + extra


def test_every_order_of_the_numbers_higher_and_mirrored():
    seen = set()
    for low, value, high, null, least, reported in all_cases():
        want = expected(low, value, high, null, least, reported)
        higher = judge(effect(null, least, reported), estimate(low, value, high))
        mirrored_reported = None if reported is None else -reported
        lower = judge(effect(null, -least, mirrored_reported, "lower"), estimate(-high, -value, -low))
        assert higher.status == lower.status == want, (low, value, high, least, reported)
        seen.add(want)
    assert seen == set(STATUSES) - {"not evaluated"}


def test_shifting_an_estimate_upwards_never_weakens_it():
    order = {"not reproduced": 0, "inconclusive": 1, "partially reproduced": 2, "reproduced": 3}
    for half in (0.3, 0.6, 2.0, 8.0):
        centres = [i / 10 for i in range(-30, 120)]
        ranks = [order[judge(effect(), estimate(c - half, c, c + half)).status] for c in centres]
        assert ranks == sorted(ranks), half


def test_a_narrow_interval_below_the_least_effect_is_the_one_exception_to_that_order():
    straddling = judge(effect(), estimate(0.99, 1.02, 1.05)).status
    just_above = judge(effect(), estimate(1.01, 1.04, 1.07)).status
    assert (straddling, just_above) == ("inconclusive", "not reproduced")


def test_widening_an_inconclusive_interval_leaves_it_inconclusive():
    for low, value, high, null, least, reported in all_cases():
        if expected(low, value, high, null, least, reported) != "inconclusive":
            continue
        wider = judge(effect(null, least, reported), estimate(low - 1, value, high + 1))
        assert wider.status == "inconclusive"


def test_what_is_not_evaluated():
    good = estimate(4.0, 6.0, 8.0)
    assert judge(effect(), good).status == "reproduced"
    assert judge(effect(), None).status == "not evaluated"
    assert judge(effect(), good, profile="smoke").status == "not evaluated"
    assert judge(effect(), good, profile="laptop").status == "reproduced"
    few = judge(effect(), estimate(4.0, 6.0, 8.0, n=4))
    assert few.status == "not evaluated" and "needs 5 repetitions, there are 4" in few.reason


def test_an_unbounded_interval_is_inconclusive():
    assert judge(effect(repetitions=1), estimate(-math.inf, 6.0, math.inf, n=1)).status == "inconclusive"
    opened = judge(effect(), estimate(0.0, 6.0, 8.0, censored=1))
    assert opened.status == "inconclusive"
    assert "In 1 of 5 pairs a run never reached the target" in opened.reason


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


def test_a_negative_count_is_compared_by_magnitude():
    claim = claim_of(Rule(kind="count", metric="offset", reported=-100.0, tolerance=0.01))
    assert judge(claim, Estimate.exact(-100.5)).status == "reproduced"
    assert judge(claim, Estimate.exact(100.0)).status == "not reproduced"


def test_an_identity_holds_up_to_its_tolerance():
    claim = claim_of(Rule(kind="identity", metric="residual", tolerance=1e-10))
    assert judge(claim, Estimate.exact(1e-10)).status == "reproduced"
    assert judge(claim, Estimate.exact(2e-10)).status == "not reproduced"


def test_a_count_needs_exact_evidence():
    claim = claim_of(Rule(kind="count", metric="GFLOP", reported=223.8, tolerance=0.01))
    assert judge(claim, estimate(223.8, 223.8, 223.8)).status == "not evaluated"
    assert judge(claim, Estimate.exact(223.8), profile="smoke").status == "not evaluated"
    assert judge(claim, None).status == "not evaluated"


def test_an_exact_effect_needs_no_repetition():
    claim = effect(null=1.0, least=1.01, reported=None, repetitions=1)
    assert judge(claim, Estimate.exact(1.5)).status == "reproduced"
    assert judge(claim, Estimate.exact(0.9)).status == "not reproduced"
    assert judge(claim, Estimate.exact(1.001)).status == "not reproduced"


@pytest.mark.parametrize(
    ("kind", "said"),
    [("reduced-scale", "At reduced scale, not the paper's"), ("mechanism", "not the paper's data or scale")],
)
def test_lesser_evidence_is_worded_as_such(kind, said):
    for low, value, high in [(0.5, 1.0, 2.0), (0.1, 0.2, 0.3), (2.0, 3.0, 4.0), (5.0, 6.0, 7.0)]:
        assert said in judge(effect(), estimate(low, value, high, kind=kind)).reason
    for kind_of_paper in ("paper-scale", "exact"):
        assert "scale" not in judge(effect(), estimate(5.0, 6.0, 7.0, kind=kind_of_paper)).reason


def test_the_reason_shows_the_numbers():
    reason = judge(effect(), estimate(1.52, 2.03, 2.71, unit="×")).reason
    assert "2.03× [1.52, 2.71] (95% interval, n = 5)" in reason
    assert "5.79" in reason and "null value 1" in reason
    unsized = judge(effect(reported=None), estimate(1.52, 2.03, 2.71)).reason
    assert "the source reports no size" in unsized


@pytest.mark.parametrize(
    "given",
    [None, estimate(0.0, 6.0, math.inf, censored=2, unit="×", method="t"), Estimate.exact(3.0, "GFLOP")],
)
def test_a_verdict_survives_json(given):
    verdict = judge(effect(repetitions=1), given, profile="laptop")
    text = json.dumps(verdict.to_dict(), allow_nan=False)
    assert Verdict.from_dict(json.loads(text)) == verdict


def test_an_unknown_status_is_refused():
    with pytest.raises(ValueError, match="known: reproduced"):
        Verdict("paper/claim", "confirmed", "", None, None)
