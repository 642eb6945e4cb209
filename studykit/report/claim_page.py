"""A page a claim: what it says, the figure that decides, what was found, and what that rests on."""

import re
from collections.abc import Iterable
from typing import Any

from studykit.claims.claim import Paper
from studykit.claims.rule_words import kind_in_words, rule_in_words
from studykit.claims.verdict import Beside
from studykit.claims.words import ABSENT, as_written, estimate_in_words
from studykit.report.authors import authors
from studykit.report.cards import deviation_in_words
from studykit.report.evidence import Evidence
from studykit.report.html import render
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
    """The page, with ways to the claims ``before`` and ``after`` it."""
    claim = evidence.claim
    links = [(f"{UP}index.html", "All claims"), (f"{UP}index.html#{paper.name}", paper.title)]
    for name, other in (("Before", before), ("Next", after)):
        if other is not None:
            links.append((f"{UP}{place(other)}", f"{name}: {other.claim.id}"))
    return render(
        "claim.html",
        up=UP,
        links=links,
        claim=claim,
        status=evidence.status,
        marks=evidence.marks,
        ours=_known(evidence.ours),
        reported=_known(evidence.reported),
        evidence=_known(evidence.kind) and f"{evidence.kind} evidence, {evidence.profile} profile",
        figure=_deciding(evidence),
        rule=rule_in_words(claim.rule),
        paper_says=_said(evidence),
        changes=[deviation_in_words(deviation) for deviation in claim.deviations],
        cited=_cite(evidence, paper),
        **_found(evidence),
    )


def _known(words: str) -> str:
    return "" if words == ABSENT else words


def _deciding(evidence: Evidence) -> dict[str, Any] | None:
    """The figure that decides, with what it shows and why that decides; the others to be linked below it."""
    record, file = evidence.record, evidence.figure
    if record is None or file is None:
        return None
    figures = dict(record.figures)
    more = [_file(evidence, other) for other in figures if other != file]
    return _file(evidence, file) | {"said": figures[file], "why": _why(evidence), "more": more}


def _why(evidence: Evidence) -> str:
    """What the verdict says of its own interval, without what stands beside it."""
    return re.split(r" (?:Beside it|Not at hand): ", evidence.record.verdict.reason)[0]


def _found(evidence: Evidence) -> dict[str, Any]:
    """What there is only once a claim has a record: finding, intervals, robustness, cost and provenance."""
    record = evidence.record
    if record is None:
        return {"finding": "", "robustness": [], "basis": None}
    finding = evidence.finding + (f", {evidence.size}" if evidence.size != ABSENT else "")
    plots = ""
    if record.verdict.estimate is not None and not evidence.claim.rule.counted:
        rows = [("ours", record.verdict.estimate)]
        rows += [(b.name, b.estimate) for b in record.verdict.sensitivity if b.estimate is not None]
        plots = "".join(interval_plot(evidence.claim.rule, rows, narrow=narrow) for narrow in (False, True))
    return {
        "finding": finding[0].upper() + finding[1:],
        "reason": record.verdict.reason,
        "plots": plots,
        "robustness": _robustness(evidence),
        "basis": _basis(evidence),
    }


def _said(evidence: Evidence) -> list[tuple[str, str | list[str]]]:
    claim = evidence.claim
    numbers = [f"{n.name}: {as_written(n.value, n.unit)} ({n.place})" for n in claim.reported]
    return [
        ("Kind", kind_in_words(claim)),
        ("Sources read", ", ".join(claim.sources)),
        ("Reported", numbers),
        ("Unknown", list(claim.unknown)),
    ]


def _robustness(evidence: Evidence) -> list[tuple[str, str | list[str]]]:
    verdict = evidence.record.verdict
    entries = [
        ("Depends on", verdict.depends_on),
        ("Gates, which must hold for an answer", _beside(verdict.gates)),
        ("Other ways to measure it", _beside(verdict.sensitivity)),
        ("By the first protocol", ". ".join(evidence.first or ())),
    ]
    for other in evidence.others:
        said = f"{other.verdict.finding or other.verdict.status}. {other.verdict.reason}"
        entries.append((f"Also at {other.verdict.profile}", said))
    for name, comparison in evidence.reruns:
        entries.append((f"Rerun {name}", comparison_in_words(comparison)))
    return [(term, said) for term, said in entries if said]


def _beside(measured: Iterable[Beside]) -> list[str]:
    return [
        f"{b.name}: {f'{estimate_in_words(b.estimate)}, ' if b.estimate else ''}{b.finding}" for b in measured
    ]


def _basis(evidence: Evidence) -> dict[str, Any]:
    record, page = evidence.record, None
    if record.notebook:
        page = {"link": UP + evidence.file(page_name(record.notebook)), "name": record.notebook}
    return {
        "data": record.data + ("" if record.n_cases is None else f" ({record.n_cases} held-out cases)"),
        "cost": str(record.cost),
        "ran_on": in_words(record.provenance),
        "notebook": page,
        "files": [_file(evidence, file) for file in (*record.tables, "verdict.json")],
    }


def _cite(evidence: Evidence, paper: Paper) -> str:
    where = f"arXiv:{paper.arxiv}" if paper.arxiv else paper.url
    cited = ", ".join(str(part) for part in (authors(paper), paper.title, paper.year, where) if part)
    commit = evidence.record.provenance["commit"] if evidence.record else None
    ours = f"studykit, claim {evidence.claim.key}: {evidence.status}"
    return f"{cited}.\n{ours}{f', commit {commit}' if commit else ''}."


def _file(evidence: Evidence, file: str) -> dict[str, str]:
    return {"link": UP + evidence.file(file), "name": file}
