"""The verdict of a claim: a pure function of the rule written before the run and of the estimate.

For an effect, with estimate e in [lo, hi], reported value r and null z, higher being better, in this order:

1. no estimate, the smoke profile, or fewer repetitions than the rule needs: ``not evaluated``;
2. lo <= z <= hi: ``inconclusive``;
3. hi < z, or hi below the least effect that counts: ``not reproduced``;
4. r inside [lo, hi], or e at least r: ``reproduced``; otherwise ``partially reproduced``.

Where lower is better the same is read from the other side. Where the source reports no size, the least
effect stands in its place: an e that reaches it is ``reproduced`` (in direction, there being no size to hold
it against), one that does not is ``partially reproduced``. A counted number and an identity have no sampling
error: they hold within their tolerance or they do not, and evidence of another size leaves them
``not evaluated``.
"""

from dataclasses import dataclass
from typing import Any

from studykit.claims.estimate import Estimate
from studykit.claims.paper import Claim, Rule

REPRODUCED = "reproduced"
PARTIALLY = "partially reproduced"
NOT_REPRODUCED = "not reproduced"
INCONCLUSIVE = "inconclusive"
NOT_EVALUATED = "not evaluated"
STATUSES = (REPRODUCED, PARTIALLY, NOT_REPRODUCED, INCONCLUSIVE, NOT_EVALUATED)

_SCALE = {
    "exact": "",
    "paper-scale": "",
    "reduced-scale": "At reduced scale, not the paper's: ",
    "mechanism": "As a mechanism study on labels known by construction, not the paper's data or scale: ",
}


@dataclass(frozen=True)
class Verdict:
    """A claim's status in one of the five words, the reason with its numbers, and what it rests on."""

    claim: str
    status: str
    reason: str
    estimate: Estimate | None
    profile: str | None

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise ValueError(f"unknown status {self.status!r}; known: {', '.join(STATUSES)}")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "claim": self.claim,
            "status": self.status,
            "reason": self.reason,
            "estimate": None if self.estimate is None else self.estimate.to_dict(),
            "profile": self.profile,
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Verdict":
        """The inverse of :meth:`to_dict`; a missing or unknown key raises TypeError."""
        estimate = values.get("estimate")
        return cls(**{**values, "estimate": None if estimate is None else Estimate.from_dict(estimate)})


def judge(claim: Claim, estimate: Estimate | None, *, profile: str | None = None) -> Verdict:
    """Hold ``estimate`` against the claim's rule, in the order that this module's text gives.

    ``profile`` is the one that the estimate was made at; ``smoke`` only exercises the code, so nothing is
    judged by it.
    """
    status, reason = _decide(claim.rule, estimate, profile)
    if status != NOT_EVALUATED:
        reason = _SCALE[estimate.kind] + reason + _censoring(estimate)
    return Verdict(claim.key, status, reason, estimate, profile)


def _decide(rule: Rule, estimate: Estimate | None, profile: str | None) -> tuple[str, str]:
    if estimate is None:
        return NOT_EVALUATED, "There is no estimate yet."
    if profile == "smoke":
        return NOT_EVALUATED, "The smoke profile exercises the code; no claim is judged by it."
    if rule.kind == "effect":
        if estimate.n < rule.repetitions:
            return NOT_EVALUATED, f"The rule needs {rule.repetitions} repetitions, there are {estimate.n}."
        return _judge_effect(rule, estimate)
    if estimate.kind in ("reduced-scale", "mechanism"):
        return NOT_EVALUATED, f"The rule needs an exact number, there is {estimate.kind} evidence."
    return _judge_count(rule, estimate) if rule.kind == "count" else _judge_identity(rule, estimate)


def _judge_effect(rule: Rule, estimate: Estimate) -> tuple[str, str]:
    sign = 1 if rule.direction == "higher" else -1
    low, high = sorted((sign * estimate.low, sign * estimate.high))
    value, null, least = sign * estimate.value, sign * rule.null, sign * rule.least_effect
    found, at_null = _describe(estimate), f"the null value {_number(rule.null)}"
    least_that_counts = f"{_number(rule.least_effect)}, the least effect that counts"
    if low <= null <= high:
        return INCONCLUSIVE, f"{found} includes {at_null}."
    if high < null:
        return NOT_REPRODUCED, f"{found} lies wholly on the wrong side of {at_null}."
    beyond = f"{found} lies on the claimed side of {at_null}"
    if high < least:
        return NOT_REPRODUCED, f"{beyond} but wholly short of {least_that_counts}."
    if rule.reported is None:
        status, verb = (REPRODUCED, "reaches") if value >= least else (PARTIALLY, "does not reach")
        return status, f"{beyond} and {verb} {least_that_counts}; the source reports no size."
    reported = _number(rule.reported)
    if low <= sign * rule.reported <= high:
        return REPRODUCED, f"{beyond} and includes the reported {reported}."
    if value >= sign * rule.reported:
        return REPRODUCED, f"{beyond} and goes beyond the reported {reported}."
    return PARTIALLY, f"{beyond} but falls short of the reported {reported}."


def _judge_count(rule: Rule, estimate: Estimate) -> tuple[str, str]:
    off = abs(estimate.value - rule.reported) / abs(rule.reported)
    status, side = (REPRODUCED, "within") if off <= rule.tolerance else (NOT_REPRODUCED, "outside")
    counted, reported = (_with_unit(value, estimate.unit) for value in (estimate.value, rule.reported))
    return status, f"{counted} is {off:.2%} off the reported {reported}, {side} {rule.tolerance:.2%}."


def _judge_identity(rule: Rule, estimate: Estimate) -> tuple[str, str]:
    status, side = (REPRODUCED, "within") if estimate.value <= rule.tolerance else (NOT_REPRODUCED, "above")
    residual, tolerance = _number(estimate.value), _number(rule.tolerance)
    return status, f"The residual {residual} is {side} the tolerance {tolerance}."


def _describe(estimate: Estimate) -> str:
    value = _with_unit(estimate.value, estimate.unit)
    if estimate.kind == "exact":
        return f"{value} (exact)"
    interval = f"[{_number(estimate.low)}, {_number(estimate.high)}]"
    return f"{value} {interval} ({estimate.confidence:.0%} interval, n = {estimate.n})"


def _censoring(estimate: Estimate) -> str:
    if not estimate.censored:
        return ""
    return f" In {estimate.censored} of {estimate.n} pairs a run never reached the target within its budget."


def _with_unit(value: float, unit: str) -> str:
    space = "" if unit in ("", "×", "%") else " "
    return f"{_number(value)}{space}{unit}"


def _number(value: float) -> str:
    return f"{value:.4g}".replace("-", "−")
