"""``index.html``: all claims on one page, to filter and to sort; whole without its script."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from studykit.claims.claim import Paper
from studykit.claims.rule_words import short_kind
from studykit.claims.words import ABSENT
from studykit.report.answer import Answer, in_words, named, short_answer
from studykit.report.authors import authors
from studykit.report.claim_page import place
from studykit.report.evidence import EVIDENCE_PROFILES, Evidence
from studykit.report.forest_cell import forest_cell, measured
from studykit.report.html import render
from studykit.version import __version__

COLUMNS = (
    "Claim", "Paper", "Kind", "Reported", "Ours [95 % interval]", "Effect", "Evidence", "Profile", "Finding",
    "Verdict",
)  # fmt: skip

FILTERS = ("paper", "kind", "verdict", "finding", "evidence", "profile")


def page(
    found: Sequence[Evidence],
    papers: Mapping[str, Paper],
    answers: Mapping[str, Answer],
    tally: Sequence[str],
    reading: str,
) -> str:
    """The whole page, with the counts of ``tally`` and how to read them."""
    of = {name: [evidence for evidence in found if evidence.claim.paper == name] for name in papers}
    return render(
        "index.html",
        links=[("#claims", "Every claim"), *((f"#{name}", name) for name in papers)],
        tally=tally,
        reading=reading,
        papers=[_answered(paper, of[name], answers.get(name, Answer())) for name, paper in papers.items()],
        filters=_filters(found),
        columns=COLUMNS,
        rows=[_row(evidence) for evidence in found],
        version=__version__,
    )


def _answered(paper: Paper, rows: Sequence[Evidence], answer: Answer) -> dict[str, Any]:
    """What the page says of a paper before its claims."""
    return {
        "name": paper.name,
        "title": paper.title,
        "cited": ", ".join(str(part) for part in (authors(paper), paper.year) if part),
        "address": f"https://arxiv.org/abs/{paper.arxiv}" if paper.arxiv else paper.url,
        "sources": ", ".join(paper.sources),
        "answer": short_answer(answer, rows),
        "points": [(named(point), in_words(point, rows)) for point in answer.points],
    }


def _filters(found: Sequence[Evidence]) -> dict[str, list[str]]:
    """What there is to pick, by trait."""
    values = {name: dict.fromkeys(_traits(evidence)[name] for evidence in found) for name in FILTERS}
    return {name: [value for value in own if value != ABSENT] for name, own in values.items()}


def _traits(evidence: Evidence) -> dict[str, str]:
    return {
        "paper": evidence.claim.paper,
        "kind": short_kind(evidence.claim).partition(",")[0],
        "verdict": evidence.status,
        "finding": evidence.finding,
        "evidence": evidence.kind,
        "profile": evidence.profile,
    }


def _row(evidence: Evidence) -> dict[str, Any]:
    """A claim's row; a cell is its column's name, its words, and what it is sorted by if not by these."""
    claim = evidence.claim
    finding = evidence.finding + (f", {evidence.size}" if evidence.size != ABSENT else "")
    n = f" (n = {evidence.n})" if evidence.n != ABSENT else ""
    estimate = evidence.record.verdict.estimate if evidence.record else None
    cells = [
        ("Paper", claim.paper, None),
        ("Kind", short_kind(claim), None),
        ("Reported", evidence.reported, _key(claim.rule.reported)),
        ("Ours", evidence.ours + n, _key(estimate and estimate.value)),
        ("Effect", forest_cell(evidence), _key(measured(evidence))),
        ("Evidence", evidence.kind, None if evidence.kind != ABSENT else ""),
        ("Profile", evidence.profile, _key(_strength(evidence))),
        ("Finding", finding, None),
    ]
    return {
        "key": claim.key,
        "id": claim.id,
        "place": place(evidence),
        "sentence": claim.sentence,
        "traits": _traits(evidence),
        "cells": cells,
        "status": evidence.status,
        "marks": evidence.marks,
    }


def _strength(evidence: Evidence) -> float | None:
    """A profile as a number, the larger the stronger it is, so that profiles sort by what they weigh."""
    profiles = EVIDENCE_PROFILES[::-1]
    return float(profiles.index(evidence.profile)) if evidence.profile in profiles else None


def _key(number: float | None) -> str:
    """A number to sort by; nothing where there is none, which comes last either way."""
    return "" if number is None or not math.isfinite(number) else f"{number:g}"
