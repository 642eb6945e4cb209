"""Cards of a notebook, as Markdown: what a claim asserts and the rule that settles it, the verdicts of a run,
and what came out by the evidence that is committed.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from studykit import home
from studykit.claims.claim import Claim, Deviation
from studykit.claims.paper import claims_of_study, load_papers
from studykit.claims.rule_words import kind_in_words, rule_in_words
from studykit.claims.verdict import NOT_EVALUATED, Verdict
from studykit.claims.words import as_written
from studykit.report.answer import Answer, as_judged, concerned, in_words, load_answers, named
from studykit.report.evidence import Evidence, gather
from studykit.report.tables import Markdown, escape_markdown

__all__ = ["answer_card", "claim_card", "deviation_in_words", "rule_in_words", "verdict_card"]

_TAKES = re.compile(
    r"The study cannot answer, .+?(?= What was measured: )"
    r"|This design tells .+? repetitions\."
    r"|With an end open, no effect was sure to be seen\."
    r"|The rule needs .+"
)
"""Of a verdict's reason: what kept it from an answer."""


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


def answer_card(study: str, results: str | Path | None = None, papers: Path | None = None) -> Markdown:
    """What came out of a study in plain words: of its papers' answers what concerns its claims, numbers from
    the evidence in ``results`` (by default that of the checkout), then what an open claim would take, and
    of which profile and date the evidence is.

    Links of the answer become words: a notebook is read from more than one folder. Evidence that is broken
    or at odds with its claim is said so here, as a run that ends in this card has done its work.

    Raises:
        ValueError: no claim names that study.
    """
    own = {claim.key for claim in claims_of_study(study, papers)}
    results = home.results_dir() if results is None else Path(results)
    known = load_papers(papers)
    try:
        found = gather(results, known)
    except ValueError as error:
        return Markdown(f"What came out cannot be said: {error}")
    asked = [evidence for evidence in found if evidence.claim.key in own]
    judged = [evidence for evidence in asked if evidence.status != NOT_EVALUATED]
    if not judged:
        why = "none of its claims is judged" if results.is_dir() else f"there is no `{results.name}/` here"
        none = f"There is no evidence of this study: {why}. `studykit run {study} --profile laptop` makes it."
        begun = "\n".join(_open(evidence for evidence in asked if evidence.record is not None))
        return Markdown(f"{none}\n\n{begun}" if begun else none)
    answers, parts = load_answers(papers), []
    for name in dict.fromkeys(evidence.claim.paper for evidence in judged):
        rows = [evidence for evidence in found if evidence.claim.paper == name]
        parts.append(_told(known[name].title, rows, own, answers.get(name, Answer())))
    return Markdown("\n\n".join(filter(None, [*parts, "\n".join(_open(asked)), _basis(judged)])))


def _told(title: str, rows: Sequence[Evidence], own: set[str], answer: Answer) -> str:
    """The sentences of one paper's answer that concern the claims ``own``, then points, a line each."""
    asked = {evidence.claim.id for evidence in rows if evidence.claim.key in own}
    sentences, points = (
        [part for part in parts if asked & concerned(part)] for parts in (answer.sentences, answer.points)
    )
    spoken = {claim for part in (*sentences, *points) for claim in concerned(part)}
    silent = [
        e for e in rows if e.claim.key in own and e.claim.id not in spoken and e.status != NOT_EVALUATED
    ]
    lines = [f"{named(point)}: {in_words(point, rows)}" for point in points]
    lines += [as_judged(evidence) for evidence in silent]
    listed = "\n".join(f"- {_without_links(line)}" for line in lines)
    told = " ".join((f"*{title}:*", *(in_words(sentence, rows) for sentence in sentences)))
    return f"{told}\n\n{listed}" if listed else told


def _open(rows: Iterable[Evidence]) -> Iterator[str]:
    """What kept claims from an answer, in their verdicts' own words, a line for all that it holds of."""
    takes: dict[str, list[str]] = {}
    for evidence in rows:
        reason = evidence.record.verdict.reason if evidence.record else "No run has measured it yet."
        kept = _TAKES.search(reason)
        if kept or evidence.status == NOT_EVALUATED:
            takes.setdefault(kept[0] if kept else reason, []).append(f"`{evidence.claim.id}`")
    for words, claims in takes.items():
        yield f"- Open: {', '.join(claims)}. {words}"


def _basis(judged: Sequence[Evidence]) -> str:
    """Of which profile and date the evidence is."""
    dates: dict[str, set[str]] = {}
    for evidence in judged:
        started = evidence.record.provenance.get("started", "")[:10]
        dates.setdefault(evidence.profile, set()).add(started or "an unknown day")
    said = [f"profile `{profile}`, {' and '.join(sorted(days))}" for profile, days in dates.items()]
    return f"*The evidence: {'; '.join(said)}.*"


def _without_links(markdown: str) -> str:
    return re.sub(r"\[([^\]]+)\]\([^)\s]+\)", r"\1", markdown)
