"""The README's own part: what came out for each paper, in a few lines."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from studykit import atomic
from studykit.claims.claim import Paper
from studykit.report.answer import Answer, headline, pictured
from studykit.report.evidence import Evidence, gather

BEGIN, END = "<!-- claims:begin -->", "<!-- claims:end -->"
FIGURE_WIDTH = 680
"""Of the picture that is shown, in pixels: at this width the words on its axes are read."""


def front(
    found: Sequence[Evidence], papers: Mapping[str, Paper], answers: Mapping[str, Answer], prefix: str
) -> str:
    """Each paper in Markdown: title, where it stands and what of it was read, an answer, links.

    One picture is shown, of the first paper that has one. ``prefix`` leads from the README's folder to
    ``results``.
    """
    parts = []
    for name, paper in papers.items():
        rows, answer = [e for e in found if e.claim.paper == name], answers.get(name, Answer())
        shown = pictured(answer, rows)
        parts.append(_paper(paper, rows, answer, shown, prefix))
        if shown is not None and not any("<img" in part for part in parts):
            parts.append(_picture(shown, prefix))
    return "\n\n".join(parts)


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


def _paper(
    paper: Paper, rows: Sequence[Evidence], answer: Answer, shown: Evidence | None, prefix: str
) -> str:
    figure = [] if shown is None else [f"[figure]({prefix}{shown.file(shown.figure)})"]
    more = [f"[every claim]({prefix}SUMMARY.md#{paper.name})", f"[notes](papers/{paper.name}/NOTES.md)"]
    lines = [
        f"### {paper.title}",
        "",
        f"{_address(paper)}; sources read: {', '.join(paper.sources)}.\\",
        f"**Short answer:** {headline(answer, rows)} See {', '.join([*figure, *more])}.",
    ]
    return "\n".join(lines)


def _picture(shown: Evidence, prefix: str) -> str:
    words = dict(shown.record.figures)[shown.figure].replace('"', "&quot;")
    link = prefix + shown.file(shown.figure)
    return f'<a href="{link}"><img src="{link}" width="{FIGURE_WIDTH}" alt="{words}"></a>'


def _address(paper: Paper) -> str:
    if paper.arxiv:
        return f"[arXiv:{paper.arxiv}](https://arxiv.org/abs/{paper.arxiv})"
    return paper.url or "Not on arXiv"
