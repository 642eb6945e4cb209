"""A page a claim: what it says, the figure that decides, what was found, and what that rests on."""

import re
from collections.abc import Iterable
from html import escape

from studykit.claims.claim import Paper
from studykit.claims.rule_words import kind_in_words, rule_in_words
from studykit.claims.verdict import Beside
from studykit.claims.words import ABSENT, as_written, estimate_in_words
from studykit.report.authors import authors
from studykit.report.cards import deviation_in_words
from studykit.report.evidence import Evidence
from studykit.report.html import bullets, document, verdict
from studykit.report.interval_plot import interval_plot
from studykit.report.notebook_page import page_name
from studykit.report.rerun import comparison_in_words
from studykit.runs.provenance import in_words

FOLDER = "claims"
UP = "../../"
"""From a claim's page to ``results/``."""


def place(evidence: Evidence) -> str:
    """Where the claim's page lies below ``results/``."""
    return f"{FOLDER}/{evidence.claim.paper}/{evidence.claim.id}.html"


def claim_page(evidence: Evidence, paper: Paper, before: Evidence | None, after: Evidence | None) -> str:
    """The page, with ways to the claims ``before`` and ``after`` it; all text from files is escaped."""
    claim = evidence.claim
    ways = [(f"{UP}index.html", "All claims"), (f"{UP}index.html#{paper.name}", paper.title)]
    for name, other in (("Before", before), ("Next", after)):
        if other is not None:
            ways.append((f"{UP}{place(other)}", f"{name}: {other.claim.id}"))
    nav = " · ".join(f'<a href="{link}">{escape(words)}</a>' for link, words in ways)
    parts = [
        f'<nav aria-label="Claims">{nav}</nav>\n<main class="claim">\n<h1>{escape(claim.sentence)}</h1>',
        f"<p>{verdict(evidence.status, evidence.marks)}</p>",
        f"<p>{_numbers(evidence)}</p>",
        _deciding(evidence),
        _found(evidence),
        _section("Rule", f"<p>{escape(rule_in_words(claim.rule))}</p>"),
        _said(evidence),
        _robustness(evidence),
        _section("Changes since it was written", bullets(map(deviation_in_words, claim.deviations)))
        if claim.deviations
        else "",
        _basis(evidence),
        _cite(evidence, paper),
        "</main>\n",
    ]
    style = f'<link rel="stylesheet" href="{UP}{FOLDER}/style.css">'
    return document(f"{claim.id}: {evidence.status}", style, "\n".join(filter(None, parts)))


def _numbers(evidence: Evidence) -> str:
    none = evidence.ours == ABSENT
    said = ["No evidence yet"] if none else [f"Ours: <strong>{escape(evidence.ours)}</strong>"]
    if evidence.reported != ABSENT:
        said.append(f"reported: <strong>{escape(evidence.reported)}</strong>")
    if evidence.kind != ABSENT:
        said.append(escape(f"{evidence.kind} evidence, {evidence.profile} profile"))
    return "; ".join(said) + "."


def _deciding(evidence: Evidence) -> str:
    """The figure that decides, with what it shows and why that decides; the others as links below it."""
    record, file = evidence.record, evidence.figure
    if record is None or file is None:
        return ""
    words = dict(record.figures)
    link = escape(UP + evidence.file(file))
    more = ", ".join(_link(evidence, other) for other in words if other != file)
    said, why = escape(words[file]), escape(_why(evidence))
    return (
        f'<figure><a href="{link}"><img src="{link}" alt="{said}"></a>'
        f"<figcaption>{said} <strong>Why {escape(evidence.status)}:</strong> {why}"
        f"{f' Also: {more}.' if more else ''}</figcaption></figure>"
    )


def _why(evidence: Evidence) -> str:
    """What the verdict says of its own interval, without what stands beside it."""
    return re.split(r" (?:Beside it|Not at hand): ", evidence.record.verdict.reason)[0]


def _found(evidence: Evidence) -> str:
    record = evidence.record
    if record is None:
        return ""
    finding = evidence.finding + (f", {evidence.size}" if evidence.size != ABSENT else "")
    plot = ""
    if record.verdict.estimate is not None and not evidence.claim.rule.counted:
        rows = [("ours", record.verdict.estimate)]
        rows += [(b.name, b.estimate) for b in record.verdict.sensitivity if b.estimate is not None]
        plot = "".join(interval_plot(evidence.claim.rule, rows, narrow=narrow) for narrow in (False, True))
    words = (
        f"<p><strong>{escape(finding[0].upper() + finding[1:])}.</strong> {escape(record.verdict.reason)}</p>"
    )
    return _section("Finding", words + plot)


def _said(evidence: Evidence) -> str:
    claim = evidence.claim
    numbers = [f"{n.name}: {as_written(n.value, n.unit)} ({n.place})" for n in claim.reported]
    entries = [("Kind", escape(kind_in_words(claim))), ("Sources read", escape(", ".join(claim.sources)))]
    entries += [("Reported", bullets(numbers))] if numbers else []
    entries += [("Unknown", bullets(claim.unknown))] if claim.unknown else []
    return _section("What the paper says, and what it does not", _list(entries))


def _robustness(evidence: Evidence) -> str:
    record = evidence.record
    if record is None:
        return ""
    entries = [("Depends on", escape(record.verdict.depends_on))] if record.verdict.depends_on else []
    gates, alternatives = map(_beside, (record.verdict.gates, record.verdict.sensitivity))
    entries += [("Gates, which must hold for an answer", gates)] if gates else []
    entries += [("Other ways to measure it", alternatives)] if alternatives else []
    if evidence.first is not None:
        entries.append(("By the first protocol", escape(". ".join(evidence.first))))
    for other in evidence.others:
        said = f"{other.verdict.finding or other.verdict.status}. {other.verdict.reason}"
        entries.append((f"Also at {escape(str(other.verdict.profile))}", escape(said)))
    for name, comparison in evidence.reruns:
        entries.append((f"Rerun {escape(name)}", escape(comparison_in_words(comparison))))
    return _section("Robustness", _list(entries)) if entries else ""


def _beside(measured: Iterable[Beside]) -> str:
    lines = [
        f"{b.name}: {f'{estimate_in_words(b.estimate)}, ' if b.estimate else ''}{b.finding}" for b in measured
    ]
    return bullets(lines) if lines else ""


def _basis(evidence: Evidence) -> str:
    record = evidence.record
    if record is None:
        return ""
    cases = "" if record.n_cases is None else f" ({record.n_cases} held-out cases)"
    entries = [
        ("Data", escape(record.data + cases)),
        ("Cost", escape(str(record.cost))),
        ("Ran on", escape(in_words(record.provenance))),
    ]
    if record.notebook:
        page = escape(UP + evidence.file(page_name(record.notebook)))
        entries.append(("Notebook", f'<a href="{page}">{escape(record.notebook)}, as executed</a>'))
    files = [*record.tables, "verdict.json"]
    entries.append(("Files", ", ".join(_link(evidence, file) for file in files)))
    return _section("Cost and provenance", _list(entries))


def _cite(evidence: Evidence, paper: Paper) -> str:
    where = f"arXiv:{paper.arxiv}" if paper.arxiv else paper.url
    cited = ", ".join(str(part) for part in (authors(paper), paper.title, paper.year, where) if part)
    commit = evidence.record.provenance["commit"] if evidence.record else None
    ours = f"studykit, claim {evidence.claim.key}: {evidence.status}" + (
        f", commit {commit}" if commit else ""
    )
    return _section("Cite this", f"<pre>{escape(f'{cited}.')}\n{escape(f'{ours}.')}</pre>")


def _link(evidence: Evidence, file: str) -> str:
    return f'<a href="{escape(UP + evidence.file(file))}">{escape(file)}</a>'


def _section(title: str, body: str) -> str:
    return f"<h2>{title}</h2>\n{body}"


def _list(entries: Iterable[tuple[str, str]]) -> str:
    return "<dl>" + "".join(f"<dt>{term}</dt><dd>{words}</dd>" for term, words in entries) + "</dl>"
