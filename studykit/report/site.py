"""The summary of all claims: ``results/SUMMARY.md``, ``results/index.html`` and the README's table.

Nothing here carries a date, so a summary changes only when a verdict does.
"""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from studykit import atomic
from studykit.claims.paper import Paper
from studykit.claims.verdict import NOT_EVALUATED, STATUSES
from studykit.claims.words import ABSENT
from studykit.report.evidence import Evidence, gather
from studykit.report.page import page
from studykit.report.tables import escape_markdown

BEGIN, END = "<!-- claims:begin -->", "<!-- claims:end -->"

HEAD = ("claim", "reported", "ours [95 % interval]", "n", "evidence", "profile", "verdict", "see")

READING = (
    "Each claim's rule was written before its runs and stands in its `paper.toml`. Evidence: *exact* is "
    "counted, *paper-scale* ran at the paper's sizes, *reduced-scale* at smaller ones or on other data, "
    "*mechanism* on labels known by construction. A verdict on reduced-scale or mechanism evidence says "
    "whether the effect shows there, not what the paper's own experiment would give."
)


def write_summary(results: str | Path, papers: Mapping[str, Paper]) -> tuple[Path, Path]:
    """Write ``SUMMARY.md`` and ``index.html`` into ``results``, from the strongest evidence for each claim.

    Raises:
        ValueError: a ``verdict.json`` is broken or at odds with its claim; the message names the file.
    """
    found = gather(results, papers)
    summary, site = Path(results) / "SUMMARY.md", Path(results) / "index.html"
    parts = ["# Claims and verdicts", tally(found) + " " + READING]
    for name, paper in papers.items():
        rows = [evidence for evidence in found if evidence.claim.paper == name]
        parts += [f"## {paper.title}", cite(paper), _table(rows, prefix="")]
    atomic.write_text(summary, "\n\n".join(filter(None, parts)) + "\n")
    atomic.write_text(site, page(found, papers, tally(found)))
    return summary, site


def readme_table(results: str | Path, papers: Mapping[str, Paper], prefix: str = "results/") -> str:
    """The claims that have a verdict, as Markdown, and how many of each paper have none yet.

    ``prefix`` leads from the README's folder to ``results``.
    """
    found = gather(results, papers)
    judged = [evidence for evidence in found if evidence.status != NOT_EVALUATED]
    waiting = Counter(evidence.claim.paper for evidence in found if evidence.status == NOT_EVALUATED)
    lines = [tally(found), ""]
    if judged:
        lines += [_table(judged, prefix), ""]
    lines += [f"- {papers[name].title}: {count} not evaluated yet" for name, count in waiting.items()]
    return "\n".join(lines).rstrip() + "\n"


def update_readme(path: str | Path, results: str | Path, papers: Mapping[str, Paper]) -> None:
    """Rewrite what stands between ``<!-- claims:begin -->`` and ``<!-- claims:end -->`` in a README.

    Raises:
        ValueError: the markers are not there exactly once each, in that order; the file is left as it was.
    """
    path = Path(path)
    text = path.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise ValueError(f"{path} needs {BEGIN} and then {END}, each once, around its claim table")
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    prefix = Path(os.path.relpath(results, path.parent)).as_posix() + "/"
    table = readme_table(results, papers, prefix)
    atomic.write_text(path, f"{before}{BEGIN}\n\n{table}\n{END}{after}")


def tally(found: Sequence[Evidence]) -> str:
    """How many claims have which verdict, in a sentence."""
    counts = Counter(evidence.status for evidence in found)
    words = ", ".join(f"{counts[status]} {status}" for status in STATUSES if counts[status])
    return f"{len(found)} claims: {words or 'none'}."


def cite(paper: Paper) -> str:
    """Authors, year and address of a paper in Markdown."""
    link = f"[arXiv:{paper.arxiv}](https://arxiv.org/abs/{paper.arxiv})" if paper.arxiv else paper.url
    authors = ", ".join(paper.authors)
    return ", ".join(str(part) for part in (authors, paper.year, link) if part) + "."


def _table(rows: Sequence[Evidence], prefix: str) -> str:
    lines = [HEAD, ["---"] * len(HEAD), *(_row(evidence, prefix) for evidence in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _row(evidence: Evidence, prefix: str) -> list[str]:
    cells = [evidence.claim.id, evidence.reported, evidence.ours, evidence.n, evidence.kind, evidence.profile]
    return [*map(escape_markdown, cells), _bold(evidence.status), _links(evidence, prefix)]


def _bold(status: str) -> str:
    return status if status == NOT_EVALUATED else f"**{status}**"


def _links(evidence: Evidence, prefix: str) -> str:
    record = evidence.record
    if record is None:
        return ABSENT
    named = [("notebook", record.notebook), ("figure", evidence.figure)]
    links = [f"[{name}]({prefix}{evidence.file(file)})" for name, file in named if file]
    return ", ".join(links) or ABSENT
