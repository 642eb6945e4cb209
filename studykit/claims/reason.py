"""Why a verdict is as it is: one sentence a fact, each with its numbers."""

from collections.abc import Sequence
from typing import Protocol

from studykit.claims import finding as found
from studykit.claims.estimate import Estimate
from studykit.claims.power import least_visible, repetitions_for
from studykit.claims.rule import Rule
from studykit.claims.words import as_written, estimate_in_words, value_in_words, with_unit

_SCALE = {
    "exact": "",
    "paper-scale": "",
    "reduced-scale": "At reduced scale, not the paper's: ",
    "mechanism": "As a mechanism study on labels known by construction, not the paper's data or scale: ",
}


class Measured(Protocol):
    """A gate or an alternative with what was measured of it."""

    name: str
    finding: str
    estimate: Estimate | None


def reason_for(
    rule: Rule,
    estimate: Estimate,
    finding: str,
    size: str,
    gates: Sequence[Measured],
    sensitivity: Sequence[Measured],
) -> str:
    """The finding with its numbers, then size, alternatives, and what is not at hand."""
    if rule.kind in ("count", "identity"):
        said = [_counted(rule, estimate)]
    elif finding == found.UNINFORMATIVE:
        said = [_failed(rule, gates), f"What was measured: {in_words(estimate, rule)}."]
    else:
        said = [f"{in_words(estimate, rule)}: {_meaning(rule, estimate, finding)}."]
    if finding == found.UNDERPOWERED:
        said.append(_what_could_be_seen(rule, estimate))
    if size != found.NOT_STATED:
        others = other_sizes(rule, size, sensitivity)
        but = f", but {others}" if others else ""
        said.append(f"Size: {size} ({as_written(rule.reported, estimate.unit)}){but}.")
    known = [
        f"{b.name}, {estimate_in_words(b.estimate)}, {b.finding}"
        for b in sensitivity
        if b.estimate is not None
    ]
    said += [f"Beside it: {'; '.join(known)}."] if known else []
    absent = [beside.name for beside in (*gates, *sensitivity) if beside.finding == found.NOT_AT_HAND]
    if absent:
        said.append(f"Not at hand: {'; '.join(absent)}.")
    return _SCALE[estimate.kind] + " ".join(said)


def other_sizes(rule: Rule, size: str, sensitivity: Sequence[Measured]) -> str:
    """Alternatives of another size than the main estimate's: "as reported with half way; on CT", or ''."""
    named: dict[str, list[str]] = {}
    for beside in sensitivity:
        if beside.estimate is not None and (own := found.size_of(rule, beside.estimate)) != size:
            named.setdefault(own, []).append(beside.name)
    return ", and ".join(f"{own} with {'; '.join(names)}" for own, names in named.items())


def in_words(estimate: Estimate, rule: Rule) -> str:
    """A value with its interval, and how many repetitions of what stand behind it."""
    words = value_in_words(estimate)
    if estimate.kind == "exact":
        return f"{words} (exact)"
    over = f"{estimate.n} {rule.units.partition(';')[0]}"
    if estimate.open:
        return f"{words} ({over}, spread not at hand)"
    never = f", {estimate.censored} never arrived" if estimate.censored and not estimate.bound else ""
    return f"{words} ({estimate.confidence:.0%} interval over {over}{never})"


def _meaning(rule: Rule, estimate: Estimate, finding: str) -> str:
    null = f"the null value {as_written(rule.null)}"
    if rule.kind == "non-inferiority":
        least = f"{as_written(rule.value_at(-rule.bar))}, which the margin allows"
        return {
            found.HOLDS: f"wholly better than {least}",
            found.FAILS: f"wholly worse than {least}",
            found.UNDERPOWERED: f"it holds {least}",
        }[finding]
    least = f"{as_written(rule.least_effect)}, the least effect that would matter"
    return {
        found.SUPPORTED: f"wholly on the claimed side of {null}",
        found.NEGLIGIBLE: f"on the claimed side of {null}, but wholly short of {least}",
        found.OPPOSITE: f"wholly on the wrong side of {null}",
        found.EQUIVALENT: f"wholly short of {least}, either way",
        found.NO_EFFECT: f"wholly short of {least}, though the opposite is not excluded",
        found.UNDERPOWERED: f"it holds {null} and {least}, so both may be true",
    }[finding]


def _what_could_be_seen(rule: Rule, estimate: Estimate) -> str:
    visible = least_visible(rule, estimate)
    if visible is None:
        return "With an end open, no effect was sure to be seen."
    needed = repetitions_for(rule, estimate)
    times = "more than a hundred thousand" if needed is None else f"about {needed:,}"
    asked = "the margin" if rule.kind == "non-inferiority" else as_written(rule.least_effect)
    return (
        f"This design tells {with_unit(visible, estimate.unit)} from {as_written(rule.null)} in 80 of 100 "
        f"studies; {asked} takes {times} repetitions."
    )


def _failed(rule: Rule, gates: Sequence[Measured]) -> str:
    said = []
    for gate, measured in zip(rule.gates, gates, strict=True):
        if measured.finding == "failed":
            side, bound = ("above", gate.above) if gate.above is not None else ("below", gate.below)
            value = estimate_in_words(measured.estimate)
            said.append(f"“{gate.name}” is {value}, not wholly {side} {as_written(bound)}")
    return f"The study cannot answer, as a gate failed: {'; '.join(said)}."


def _counted(rule: Rule, estimate: Estimate) -> str:
    found_value = estimate_in_words(estimate)
    if rule.kind == "identity":
        side = "within" if estimate.value <= rule.tolerance else "above"
        return f"The residual {found_value} is {side} the tolerance {as_written(rule.tolerance)}."
    off = abs(estimate.value - rule.reported) / abs(rule.reported)
    side = "within" if off <= rule.tolerance else "outside"
    reported = as_written(rule.reported, estimate.unit)
    return f"{found_value} is {off:.2%} off the reported {reported}, {side} {rule.tolerance:.2%}."
