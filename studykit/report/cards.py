"""Claim cards: what a paper asserts, what is unknown, and the rule that settles it, as Markdown."""

from collections.abc import Iterable

from studykit.claims.paper import Claim
from studykit.claims.verdict import Verdict
from studykit.claims.words import as_written, format_number
from studykit.report.tables import escape_markdown


def claim_card(claim: Claim) -> str:
    """One claim: sentence, reported numbers with their place, unknowns, rule."""
    lines = [f"### {claim.key}", "", f"> {claim.sentence}", ""]
    lines += [
        f"- **Reported:** {escape_markdown(number.name)}: {as_written(number.value, number.unit)} "
        f"({escape_markdown(number.place)})"
        for number in claim.reported
    ] or ["- **Reported:** no number"]
    lines += [f"- **Unknown:** {escape_markdown(unknown)}" for unknown in claim.unknown]
    return "\n".join([*lines, f"- **Rule, written before any run:** {rule_in_words(claim)}"])


def rule_in_words(claim: Claim) -> str:
    """What is measured, and what it is held against."""
    rule = claim.rule
    if rule.kind == "count":
        return f"{rule.metric}; exact, within {rule.tolerance:.0%} of the reported number."
    if rule.kind == "identity":
        return f"{rule.metric}; exact, at most {rule.tolerance:g}."
    return (
        f"{rule.metric}. {rule.direction.capitalize()} is better; no effect is {format_number(rule.null)}, "
        f"the least that counts {format_number(rule.least_effect)}; at least {rule.repetitions} repetitions."
    )


def verdict_card(verdicts: Iterable[Verdict]) -> str:
    """Verdicts with their reasons, a line each."""
    return "\n".join(f"- **{v.claim}: {v.status}.** {v.reason}" for v in verdicts)
