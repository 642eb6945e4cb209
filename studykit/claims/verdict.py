"""The verdict of a claim: a pure function of the rule written before the run and of what was measured.

The finding and the size come from :mod:`studykit.claims.finding`, and the status from both:

=====================================================  ========================
supported and not smaller than reported, or holds      ``reproduced``
supported but smaller, or supported but negligible     ``partially reproduced``
opposite, equivalent, no effect of δ or more, fails    ``not reproduced``
underpowered                                           ``underpowered``
a gate failed                                          ``uninformative``
no run, the smoke profile, too few repetitions         ``not evaluated``
=====================================================  ========================

Gates are looked at first. Every alternative of the rule's sensitivity is judged by the same rule; where the
findings differ in direction, the verdict depends on what was varied, and says so. A gate or an alternative
that was not measured is *not at hand*: it is named, and changes nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from studykit.claims import finding as found
from studykit.claims.claim import Claim
from studykit.claims.estimate import Estimate
from studykit.claims.finding import FAILED, NOT_AT_HAND, directions_of, finding_of, gate_of, size_of
from studykit.claims.reason import reason_for
from studykit.claims.rule import Gate, Rule

REPRODUCED = "reproduced"
PARTIALLY = "partially reproduced"
NOT_REPRODUCED = "not reproduced"
UNDERPOWERED = found.UNDERPOWERED
UNINFORMATIVE = found.UNINFORMATIVE
NOT_EVALUATED = "not evaluated"
STATUSES = (REPRODUCED, PARTIALLY, NOT_REPRODUCED, UNDERPOWERED, UNINFORMATIVE, NOT_EVALUATED)


@dataclass(frozen=True)
class Beside:
    """A gate or an alternative: what was measured, None where it is not at hand, and what that says.

    ``finding`` is ``passed`` or ``failed`` for a gate, a finding for an alternative, or ``not at hand``.
    """

    name: str
    finding: str
    estimate: Estimate | None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        estimate = None if self.estimate is None else self.estimate.to_dict()
        return {"name": self.name, "finding": self.finding, "estimate": estimate}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Beside":
        """The inverse of :meth:`to_dict`."""
        return cls(**{**values, "estimate": _estimate(values["estimate"])})


@dataclass(frozen=True)
class Verdict:
    """A claim's status, the finding and the size that it comes from, and what it rests on.

    ``finding`` and ``size`` are None where nothing was judged. ``depends_on`` says in words what the
    direction of the finding turns with, '' where nothing at hand turns it.
    """

    claim: str
    status: str
    finding: str | None
    size: str | None
    depends_on: str
    reason: str
    estimate: Estimate | None
    profile: str | None
    gates: tuple[Beside, ...] = ()
    sensitivity: tuple[Beside, ...] = ()

    def __post_init__(self) -> None:
        known = {"status": STATUSES, "finding": (*found.FINDINGS, None), "size": (*found.SIZES, None)}
        for key, words in known.items():
            if getattr(self, key) not in words:
                listed = ", ".join(map(str, words))
                raise ValueError(f"unknown {key} {getattr(self, key)!r}; known: {listed}")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        plain = ("claim", "status", "finding", "size", "depends_on", "reason")
        return {
            **{key: getattr(self, key) for key in plain},
            "estimate": None if self.estimate is None else self.estimate.to_dict(),
            "profile": self.profile,
            "gates": [gate.to_dict() for gate in self.gates],
            "sensitivity": [alternative.to_dict() for alternative in self.sensitivity],
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Verdict":
        """The inverse of :meth:`to_dict`; a missing or unknown key raises TypeError or KeyError."""
        beside = {
            key: tuple(Beside.from_dict(entry) for entry in values[key]) for key in ("gates", "sensitivity")
        }
        return cls(**{**values, **beside, "estimate": _estimate(values["estimate"])})


def judge(
    claim: Claim,
    estimate: Estimate | None,
    *,
    profile: str | None = None,
    beside: Mapping[str, Estimate] | None = None,
) -> Verdict:
    """Hold ``estimate`` against the claim's rule, in the order that this module's text gives.

    Args:
        claim: with its rule.
        estimate: of the rule's metric; None where nothing was measured.
        profile: the one that the estimate was made at; ``smoke`` only exercises the code, so nothing is
            judged by it.
        beside: what was measured of the rule's gates and alternatives, by their names.

    Raises:
        ValueError: ``beside`` has a name that the rule does not.
    """
    rule, beside = claim.rule, dict(beside or {})
    names = [entry.name for entry in (*rule.gates, *rule.sensitivity)]
    if unknown := sorted(set(beside) - set(names)):
        raise ValueError(
            f"{claim.key} has no gate or alternative {', '.join(unknown)}; known: {', '.join(names)}"
        )
    if why := _why_not(rule, estimate, profile):
        return Verdict(claim.key, NOT_EVALUATED, None, None, "", why, estimate, profile)
    gates = tuple(_gate(gate, beside.get(gate.name)) for gate in rule.gates)
    sensitivity = tuple(_alternative(rule, entry.name, beside.get(entry.name)) for entry in rule.sensitivity)
    failed = any(gate.finding == FAILED for gate in gates)
    finding = found.UNINFORMATIVE if failed else finding_of(rule, estimate)
    size = size_of(rule, estimate)
    depends = "" if failed else depends_on(rule, finding, sensitivity)
    reason = reason_for(rule, estimate, finding, size, gates, sensitivity)
    status = status_of(finding, size)
    return Verdict(claim.key, status, finding, size, depends, reason, estimate, profile, gates, sensitivity)


def status_of(finding: str, size: str) -> str:
    """The status that a finding and a size give."""
    if finding in (found.UNDERPOWERED, found.UNINFORMATIVE):
        return finding
    if directions_of(finding) != {1}:
        return NOT_REPRODUCED
    return PARTIALLY if finding == found.NEGLIGIBLE or size == found.SMALLER else REPRODUCED


def depends_on(rule: Rule, finding: str, sensitivity: tuple[Beside, ...]) -> str:
    """What turns the finding's direction, in words: "depth (half of the improvement: supported)", or ''.

    An underpowered finding leaves every direction: then the alternatives are held against each other.
    """
    possible = [directions_of(beside.finding) for beside in sensitivity]
    others = [directions_of(finding)] if len(directions_of(finding)) < 3 else possible
    varies = {alternative.name: alternative.varies for alternative in rule.sensitivity}
    turned: dict[str, list[str]] = {}
    for beside, own in zip(sensitivity, possible, strict=True):
        if any(own.isdisjoint(other) for other in others):
            turned.setdefault(varies[beside.name], []).append(f"{beside.name}: {beside.finding}")
    return "; ".join(f"{what} ({', '.join(names)})" for what, names in turned.items())


def _why_not(rule: Rule, estimate: Estimate | None, profile: str | None) -> str:
    if estimate is None:
        return "There is no estimate yet."
    if profile == "smoke":
        return "The smoke profile exercises the code; no claim is judged by it."
    if rule.kind in ("count", "identity"):
        lesser = estimate.kind in ("reduced-scale", "mechanism")
        return f"The rule needs an exact number, there is {estimate.kind} evidence." if lesser else ""
    few = estimate.n < rule.repetitions
    return f"The rule needs {rule.repetitions} repetitions, there are {estimate.n}." if few else ""


def _gate(gate: Gate, estimate: Estimate | None) -> Beside:
    return Beside(gate.name, gate_of(gate, estimate), estimate)


def _alternative(rule: Rule, name: str, estimate: Estimate | None) -> Beside:
    return Beside(name, NOT_AT_HAND if estimate is None else finding_of(rule, estimate), estimate)


def _estimate(values: dict[str, Any] | None) -> Estimate | None:
    return None if values is None else Estimate.from_dict(values)
