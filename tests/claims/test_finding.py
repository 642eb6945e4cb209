"""The finding, by properties over a whole grid of intervals: one each, monotone, mirrored, and stable."""

import itertools
import math

import numpy as np
import pytest

from studykit.claims.estimate import Estimate
from studykit.claims.finding import (
    AS_REPORTED,
    EQUIVALENT,
    FAILS,
    FINDINGS,
    HOLDS,
    LARGER,
    NEGLIGIBLE,
    NO_EFFECT,
    NOT_STATED,
    OPPOSITE,
    SMALLER,
    SUPPORTED,
    UNDERPOWERED,
    directions_of,
    finding_of,
    gate_of,
    size_of,
)
from studykit.claims.rule import Gate, Rule

GRID = [-math.inf, -3.0, -2.0, -1.5, -1.0, -0.5, 0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, math.inf]
INTERVALS = list(itertools.combinations_with_replacement(GRID, 2))
WHOLE = [pair for pair in INTERVALS if pair[0] < math.inf and pair[1] > -math.inf]


def effect(least=1.0, null=0.0, reported=None, direction="higher", scale="difference"):
    return Rule(
        "effect", "it", direction, scale, null=null, reported=reported, least_effect=least,
        repetitions=1, units="seeds",
    )  # fmt: skip


def noninferior(margin=1.0, direction="higher", scale="difference", null=0.0):
    return Rule(
        "non-inferiority", "it", direction, scale, null=null, margin=margin, repetitions=1, units="seeds"
    )


def over(low, high):
    inside = max(min(0.0, high), low)
    return Estimate(inside, low, high, 5, "reduced-scale")


def by_the_words(low, high, least):
    """The protocol's six lines, each a condition of its own, for a null of 0 and higher being better."""
    return {
        SUPPORTED: low > 0 and high >= least,
        NEGLIGIBLE: low > 0 and high < least,
        OPPOSITE: high < 0,
        EQUIVALENT: low <= 0 <= high < least and low > -least,
        NO_EFFECT: low <= 0 <= high < least and low <= -least,
        UNDERPOWERED: low <= 0 and high >= least,
    }


@pytest.mark.parametrize("least", [0.5, 1.0, 2.0])
def test_every_interval_has_exactly_one_finding(least):
    seen = set()
    for low, high in WHOLE:
        true = [name for name, holds in by_the_words(low, high, least).items() if holds]
        assert true == [finding_of(effect(least), over(low, high))], (low, high)
        seen.update(true)
    assert seen == {SUPPORTED, NEGLIGIBLE, OPPOSITE, EQUIVALENT, NO_EFFECT, UNDERPOWERED} < set(FINDINGS)


def moved(rng, low, high):
    up = np.sort(rng.exponential(size=2))
    return low + up[0], high + up[1]


def order(finding):
    """Against the claim, nothing shown, for it."""
    return {OPPOSITE: 0, FAILS: 0, SUPPORTED: 2, NEGLIGIBLE: 2, HOLDS: 2}.get(finding, 1)


@pytest.mark.parametrize("rule", [effect(), noninferior()])
def test_a_better_interval_never_has_a_worse_finding(rule):
    rng = np.random.default_rng(0)
    for low, high in WHOLE * 40:
        better = moved(rng, low, high)
        worse_finding, better_finding = finding_of(rule, over(low, high)), finding_of(rule, over(*better))
        assert order(better_finding) >= order(worse_finding), (low, high, better)


STAYS = {
    SUPPORTED: {SUPPORTED, NEGLIGIBLE},
    NEGLIGIBLE: {NEGLIGIBLE},
    OPPOSITE: {OPPOSITE},
    EQUIVALENT: {EQUIVALENT, NEGLIGIBLE, OPPOSITE},
    NO_EFFECT: {NO_EFFECT, EQUIVALENT, NEGLIGIBLE, OPPOSITE},
    HOLDS: {HOLDS},
    FAILS: {FAILS},
}


@pytest.mark.parametrize("rule", [effect(), noninferior()])
def test_a_narrower_interval_takes_nothing_back(rule):
    """What a wider interval excludes, every interval inside it excludes."""
    for (low, high), (inner_low, inner_high) in itertools.product(WHOLE, WHOLE):
        if low <= inner_low and inner_high <= high:
            wide = finding_of(rule, over(low, high))
            narrow = finding_of(rule, over(inner_low, inner_high))
            assert wide == UNDERPOWERED or narrow in STAYS[wide], (low, high, inner_low, inner_high)


def test_lower_is_better_reads_from_the_other_side():
    for low, high in WHOLE:
        higher, lower = effect(1.0, reported=2.0), effect(-1.0, reported=-2.0, direction="lower")
        assert finding_of(higher, over(low, high)) == finding_of(lower, over(-high, -low))
        assert size_of(higher, over(low, high)) == size_of(lower, over(-high, -low))
        one, other = noninferior(), noninferior(direction="lower")
        assert finding_of(one, over(low, high)) == finding_of(other, over(-high, -low))


@pytest.mark.parametrize("null", [1.0, 2.5])
def test_ratios_are_differences_of_logarithms(null):
    plain, ratio = effect(1.0, reported=2.0), effect(null * math.e, null, null * math.e**2, scale="ratio")
    margin = noninferior(math.e, scale="ratio", null=null)
    for low, high in WHOLE:
        on_ratio = Estimate(null, null * math.exp(low), null * math.exp(high), 5, "reduced-scale")
        if {low, high} & {1.0, -1.0, 2.0, -2.0}:
            continue
        assert finding_of(ratio, on_ratio) == finding_of(plain, over(low, high)), (low, high)
        assert size_of(ratio, on_ratio) == size_of(plain, over(low, high))
        assert finding_of(margin, on_ratio) == finding_of(noninferior(), over(low, high))


def test_non_inferiority_holds_fails_or_cannot_tell():
    for low, high in WHOLE:
        expected = HOLDS if low > -1 else FAILS if high < -1 else UNDERPOWERED
        assert finding_of(noninferior(), over(low, high)) == expected


def test_the_size_is_said_whatever_the_finding():
    rule = effect(1.0, reported=2.0)
    assert size_of(rule, over(-1.0, 1.9)) == SMALLER
    assert size_of(rule, over(-1.0, 2.0)) == AS_REPORTED
    assert size_of(rule, over(2.5, 3.0)) == LARGER
    assert size_of(effect(), over(2.5, 3.0)) == NOT_STATED
    for low, high in WHOLE:
        assert size_of(rule, over(low, high)) == (SMALLER if high < 2 else LARGER if low > 2 else AS_REPORTED)


def test_counts_and_identities_hold_or_fail():
    count = Rule("count", "GFLOP", reported=-100.0, tolerance=0.01)
    assert [finding_of(count, Estimate.exact(v)) for v in (-100.9, -98.9, 100.0)] == [HOLDS, FAILS, FAILS]
    identity = Rule("identity", "residual", tolerance=1e-10)
    assert [finding_of(identity, Estimate.exact(v)) for v in (1e-10, 2e-10)] == [HOLDS, FAILS]
    assert size_of(count, Estimate.exact(-100.0)) == NOT_STATED


def test_findings_differ_in_direction_where_they_leave_nothing_in_common():
    assert directions_of(SUPPORTED) == directions_of(HOLDS) == directions_of(NEGLIGIBLE) == {1}
    assert directions_of(OPPOSITE) == directions_of(FAILS) == {-1}
    assert directions_of(NO_EFFECT).isdisjoint({1}) and not directions_of(NO_EFFECT).isdisjoint({0})
    assert directions_of(UNDERPOWERED) == {-1, 0, 1}


def test_a_gate_is_passed_by_the_whole_interval():
    above, below = Gate("beats interpolation", above=0.0), Gate("error", below=1.0)
    assert [gate_of(above, over(low, 2.0)) for low in (0.1, 0.0, -1.0)] == ["passed", "failed", "failed"]
    assert [gate_of(below, over(0.0, high)) for high in (0.9, 1.0, 3.0)] == ["passed", "failed", "failed"]
    assert gate_of(above, None) == gate_of(below, None) == "not at hand"


def test_a_mean_without_its_spread_can_fail_a_gate_and_not_pass_it():
    gate = Gate("beats interpolation", above=0.0)
    for value, said in ((-0.2, "failed"), (0.0, "failed"), (0.2, "not at hand")):
        assert gate_of(gate, Estimate(value, -math.inf, math.inf, 5, "reduced-scale")) == said
    error = Gate("error over that of the mean", below=1.0)
    for value, said in ((1.2, "failed"), (0.8, "not at hand")):
        assert gate_of(error, Estimate(value, 0.0, math.inf, 5, "reduced-scale")) == said


# ---- what changed from the first protocol, on its own cases: null 1, least effect 1.25, reported 5.79

FIRST_CASES = [
    (0.9, 3.0, "inconclusive", UNDERPOWERED, SMALLER),
    (0.9, 9.0, "inconclusive", UNDERPOWERED, AS_REPORTED),
    (1.0, 9.0, "inconclusive", UNDERPOWERED, AS_REPORTED),
    (0.5, 1.0, "inconclusive", NO_EFFECT, SMALLER),
    (0.9, 1.1, "inconclusive", EQUIVALENT, SMALLER),
    (0.5, 0.9, "not reproduced", OPPOSITE, SMALLER),
    (1.05, 1.2, "not reproduced", NEGLIGIBLE, SMALLER),
    (1.05, 1.25, "partially reproduced", SUPPORTED, SMALLER),
    (1.5, 3.0, "partially reproduced", SUPPORTED, SMALLER),
    (1.5, 5.79, "reproduced", SUPPORTED, AS_REPORTED),
    (1.5, 9.0, "reproduced", SUPPORTED, AS_REPORTED),
    (6.0, 8.0, "reproduced", SUPPORTED, LARGER),
]


def by_the_first_protocol(rule, estimate):
    """An effect where higher is better, decided as it was on 2026-11-20."""
    if estimate.low <= rule.null <= estimate.high:
        return "inconclusive"
    if estimate.high < rule.null or estimate.high < rule.least_effect:
        return "not reproduced"
    reached = estimate.low <= rule.reported <= estimate.high or estimate.value >= rule.reported
    return "reproduced" if reached else "partially reproduced"


@pytest.mark.parametrize(("low", "high", "first", "finding", "size"), FIRST_CASES)
def test_what_the_first_protocol_called_otherwise(low, high, first, finding, size):
    rule = effect(1.25, 1.0, 5.79, scale="ratio")
    estimate = Estimate((low + high) / 2, low, high, 5, "reduced-scale")
    assert (finding_of(rule, estimate), size_of(rule, estimate)) == (finding, size)
    assert by_the_first_protocol(rule, estimate) == first
