"""The README's own part: what came out for each paper, in five lines and a figure."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from studykit import atomic
from studykit.claims.claim import ARITHMETIC, DIRECTION, NUMBER, Paper
from studykit.claims.verdict import NOT_EVALUATED, STATUSES
from studykit.claims.words import ABSENT
from studykit.report.answer import Answer, pictured, short_answer
from studykit.report.evidence import Evidence, gather

BEGIN, END = "<!-- claims:begin -->", "<!-- claims:end -->"
FIGURE_WIDTH = 300

_KINDS = {NUMBER: "reported numbers", DIRECTION: "directions of effects", ARITHMETIC: "arithmetic"}


def front(
    found: Sequence[Evidence], papers: Mapping[str, Paper], answers: Mapping[str, Answer], prefix: str
) -> str:
    """Each paper in Markdown: title, where it stands and what of it was read, answer, verdicts, and more.

    ``prefix`` leads from the README's folder to ``results``.
    """
    return "\n\n".join(
        _paper(paper, [e for e in found if e.claim.paper == name], answers.get(name, Answer()), prefix)
        for name, paper in papers.items()
    )


def update_readme(
    path: str | Path, results: str | Path, papers: Mapping[str, Paper], answers: Mapping[str, Answer]
) -> None:
    """Rewrite what stands between ``<!-- claims:begin -->`` and ``<!-- claims:end -->`` in a README.

    Raises:
        ValueError: the markers are not there exactly once each, in that order; the file is left as it was.
    """
    path = Path(path)
    text = path.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise ValueError(f"{path} needs {BEGIN} and then {END}, each once, around what came out")
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    prefix = Path(os.path.relpath(results, path.parent)).as_posix() + "/"
    block = front(gather(results, papers), papers, answers, prefix)
    atomic.write_text(path, f"{before}{BEGIN}\n\n{block}\n\n{END}{after}")


def counted(rows: Sequence[Evidence]) -> str:
    """How the claims of one paper stand, each kind for itself, and those that follow from others left out."""
    own = [evidence for evidence in rows if not evidence.claim.rule.derived_from]
    parts = []
    for kind, words in _KINDS.items():
        counts = Counter(evidence.status for evidence in own if evidence.claim.checks == kind)
        if counts:
            parts.append(f"{words}: " + ", ".join(f"{counts[s]} {s}" for s in STATUSES if counts[s]))
    return "; ".join(parts)


def _paper(paper: Paper, rows: Sequence[Evidence], answer: Answer, prefix: str) -> str:
    shown = pictured(answer, rows)
    lines = [f"### {paper.title}", ""]
    if shown is not None:
        words = dict(shown.record.figures)[shown.figure].replace('"', "&quot;")
        link = prefix + shown.file(shown.figure)
        lines.append(
            f'<a href="{link}"><img src="{link}" align="right" width="{FIGURE_WIDTH}" alt="{words}"></a>'
        )
    lines += [
        f"{_address(paper)}; sources read: {', '.join(paper.sources)}.\\",
        f"**Short answer:** {short_answer(answer, rows)}\\",
        *_verdicts(rows),
        f"[Every claim, its rule and its figures]({prefix}SUMMARY.md#{paper.name}), "
        f"[notes](papers/{paper.name}/NOTES.md)",
        "",
        '<br clear="right">',
    ]
    return "\n".join(lines)


def _address(paper: Paper) -> str:
    if paper.arxiv:
        return f"[arXiv:{paper.arxiv}](https://arxiv.org/abs/{paper.arxiv})"
    return paper.url or "Not on arXiv"


def _verdicts(rows: Sequence[Evidence]) -> list[str]:
    """How many have which verdict, and from what kinds of evidence; no line while nothing is judged."""
    kinds = sorted({e.kind for e in rows if e.status != NOT_EVALUATED} - {ABSENT})
    if not kinds:
        return []
    *more, last = kinds
    return [f"Verdicts, {', '.join(more) + ' and ' if more else ''}{last} evidence: {counted(rows)}.\\"]
