"""Claim cards: what a paper asserts, what is unknown, and the rule that settles it, as Markdown."""

from collections.abc import Iterable

from studykit.claims.claim import Claim, Deviation
from studykit.claims.rule_words import kind_in_words, rule_in_words
from studykit.claims.verdict import Verdict
from studykit.claims.words import as_written
from studykit.report.tables import Markdown, escape_markdown

__all__ = ["claim_card", "deviation_in_words", "rule_in_words", "verdict_card"]


def claim_card(*claims: Claim) -> Markdown:
    """Claims one after the other: sentence, sources read, reported numbers with their place, unknowns, rule,
    what changed.
    """
    return Markdown("\n\n".join(map(_of_one, claims)))


def _of_one(claim: Claim) -> str:
    lines = [f"### {claim.key}", "", f"> {claim.sentence}", ""]
    lines += [
        f"- **Reported:** {escape_markdown(number.name)}: {as_written(number.value, number.unit)} "
        f"({escape_markdown(number.place)})"
        for number in claim.reported
    ] or ["- **Reported:** no number"]
    lines += [f"- **Unknown:** {escape_markdown(unknown)}" for unknown in claim.unknown]
    lines += [f"- **Sources read:** {', '.join(claim.sources)}", f"- **Kind:** {kind_in_words(claim)}"]
    lines.append(f"- **Rule:** {escape_markdown(rule_in_words(claim.rule))}")
    lines += [f"- **Changed:** {escape_markdown(deviation_in_words(d))}" for d in claim.deviations]
    return "\n".join(lines)


def deviation_in_words(deviation: Deviation) -> str:
    """When, from which commit on, with or without its results known, what it did to the verdict, and what."""
    known = "results known" if deviation.results_known else "results not known"
    turned = f", {deviation.before} → {deviation.after}" if deviation.before and deviation.after else ""
    return f"{deviation.date:%Y-%m-%d}, after {deviation.commit} ({known}{turned}): {deviation.what}"


def verdict_card(verdicts: Iterable[Verdict]) -> Markdown:
    """Verdicts with their findings and reasons, a line each."""
    return Markdown("\n".join(map(_verdict_line, verdicts)))


def _verdict_line(verdict: Verdict) -> str:
    depends = f" Depends on {verdict.depends_on}." if verdict.depends_on else ""
    named = "" if verdict.finding in (None, verdict.status) else f" ({verdict.finding})"
    return f"- **{verdict.claim}: {verdict.status}**{named}. {verdict.reason}{depends}"
