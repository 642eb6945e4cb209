"""What an interval says of a rule: the finding and the size, each a pure function of the two.

For an effect with interval [L, U], null z and least effect δ, higher being better, in this order:

1. L > z: ``supported``; if U < δ as well, ``supported but negligible``
2. U < z: ``opposite``
3. U < δ and L above the mirrored δ: ``equivalent``, no effect as large as δ either way
4. U < δ: ``no effect of δ or more``
5. else ``underpowered``

δ is mirrored as z − (δ − z) on the scale of differences and as z² / δ on that of ratios. For non-inferiority
with a margin: ``holds`` where L lies above z less the margin, ``fails`` where U lies below it, else
``underpowered``. A count and an identity hold within their tolerance, or fail. Lower-is-better is read from
the other side. A failed gate makes all of it ``uninformative``, see :mod:`studykit.claims.verdict`.

The size is said apart, whatever the finding: an interval that holds the null may still exclude the reported
number, and that is news.
"""

from studykit.claims.estimate import Estimate
from studykit.claims.rule import Gate, Rule

UNINFORMATIVE = "uninformative"
SUPPORTED = "supported"
NEGLIGIBLE = "supported but negligible"
OPPOSITE = "opposite"
EQUIVALENT = "equivalent"
NO_EFFECT = "no effect of δ or more"
UNDERPOWERED = "underpowered"
HOLDS = "holds"
FAILS = "fails"
FINDINGS = (
    SUPPORTED,
    NEGLIGIBLE,
    HOLDS,
    OPPOSITE,
    EQUIVALENT,
    NO_EFFECT,
    FAILS,
    UNDERPOWERED,
    UNINFORMATIVE,
)

AS_REPORTED = "as reported"
SMALLER = "smaller than reported"
LARGER = "larger than reported"
NOT_STATED = "not stated"
PASSED, FAILED, NOT_AT_HAND = "passed", "failed", "not at hand"

SIZES = (AS_REPORTED, SMALLER, LARGER, NOT_STATED)

_DIRECTIONS = {
    **dict.fromkeys((SUPPORTED, NEGLIGIBLE, HOLDS), frozenset({1})),
    **dict.fromkeys((OPPOSITE, FAILS), frozenset({-1})),
    EQUIVALENT: frozenset({0}),
    NO_EFFECT: frozenset({0, -1}),
}


def finding_of(rule: Rule, estimate: Estimate) -> str:
    """The one finding of an estimate, in the order that this module's text gives."""
    if rule.kind == "count":
        off = abs(estimate.value - rule.reported) / abs(rule.reported)
        return HOLDS if off <= rule.tolerance else FAILS
    if rule.kind == "identity":
        return HOLDS if estimate.value <= rule.tolerance else FAILS
    low, high = bounds(rule, estimate)
    if rule.kind == "non-inferiority":
        return HOLDS if low > -rule.bar else FAILS if high < -rule.bar else UNDERPOWERED
    if low > 0:
        return NEGLIGIBLE if high < rule.bar else SUPPORTED
    if high < 0:
        return OPPOSITE
    if high < rule.bar:
        return EQUIVALENT if low > -rule.bar else NO_EFFECT
    return UNDERPOWERED


def size_of(rule: Rule, estimate: Estimate) -> str:
    """How the interval lies to the number that the source gives."""
    if rule.reported is None or rule.kind in ("count", "identity"):
        return NOT_STATED
    low, high = bounds(rule, estimate)
    reported = rule.place(rule.reported)
    return SMALLER if high < reported else LARGER if low > reported else AS_REPORTED


def directions_of(finding: str) -> frozenset[int]:
    """What a finding leaves possible: 1 for the claim, −1 against it, 0 for no effect that matters.

    Two findings differ in direction where they leave nothing in common; an underpowered one leaves all.
    """
    return _DIRECTIONS.get(finding, frozenset({-1, 0, 1}))


def gate_of(gate: Gate, estimate: Estimate | None) -> str:
    """``passed``, ``failed`` or ``not at hand``.

    Passed where the whole interval lies on the side that the gate asks for, else failed. Where there is no
    estimate, or only a mean on the right side of the bound without its spread, nothing is known.
    """
    if estimate is None:
        return NOT_AT_HAND
    above = gate.above is not None
    right = estimate.value > gate.above if above else estimate.value < gate.below
    if estimate.low > gate.above if above else estimate.high < gate.below:
        return PASSED
    return NOT_AT_HAND if estimate.open and right else FAILED


def bounds(rule: Rule, estimate: Estimate) -> tuple[float, float]:
    """The interval's ends at their :meth:`~studykit.claims.rule.Rule.place`, the worse one first."""
    low, high = sorted(rule.place(bound) for bound in (estimate.low, estimate.high))
    return low, high
