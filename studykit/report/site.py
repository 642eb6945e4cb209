"""The summary of all claims: ``results/SUMMARY.md``, ``results/index.html``, a page a claim.

Nothing here carries a date, so a summary changes only when a verdict does.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from studykit import atomic
from studykit.claims.claim import CHECKS, Paper
from studykit.claims.rule_words import short_kind
from studykit.claims.verdict import NOT_EVALUATED, STATUSES
from studykit.claims.words import ABSENT
from studykit.report.answer import Answer, in_words, named, short_answer
from studykit.report.authors import authors
from studykit.report.claim_page import FOLDER, claim_page, place
from studykit.report.evidence import Evidence, gather
from studykit.report.html import STYLE
from studykit.report.notebook_page import notebook_page, page_name
from studykit.report.page import page
from studykit.report.tables import escape_markdown

HEAD = (
    "claim", "checks", "reported", "ours [95 % interval]", "n", "evidence", "profile", "finding", "verdict",
    "see",
)  # fmt: skip

READING = (
    "Each claim's rule stands in its paper.toml and was written before its runs; what changed afterwards is "
    "dated there, and a verdict whose rule changed when its results were known is exploratory. Underpowered: "
    "the interval holds both no effect and one that would matter. Uninformative: a gate failed, so the study "
    "could not have answered. Evidence: exact is counted, paper-scale ran at the paper's sizes, "
    "reduced-scale at smaller ones or on other data, mechanism on labels known by construction. A verdict on "
    "reduced-scale or mechanism evidence says whether the effect shows there, not what the paper's own "
    "experiment would give."
)


def write_summary(
    results: str | Path, papers: Mapping[str, Paper], answers: Mapping[str, Answer]
) -> tuple[Path, Path]:
    """Write ``SUMMARY.md``, ``index.html`` and ``claims/`` into ``results``, from the strongest evidence.

    Beside each executed notebook that a claim rests on goes a page to read it.

    Raises:
        ValueError: a ``verdict.json`` is broken or at odds with its claim; the message names the file.
    """
    found = gather(results, papers)
    summary, site = Path(results) / "SUMMARY.md", Path(results) / "index.html"
    parts = ["# Claims and verdicts", _bullets(tally(found)), READING]
    for name, paper in papers.items():
        rows = [evidence for evidence in found if evidence.claim.paper == name]
        answer = answers.get(name, Answer())
        parts += [f'<a id="{name}"></a>\n\n## {paper.title}', cite(paper), short_answer(answer, rows)]
        parts += [_table(rows, prefix=""), _points(answer, rows)]
    atomic.write_text(summary, "\n\n".join(filter(None, parts)) + "\n")
    atomic.write_text(site, page(found, papers, answers, tally(found), READING))
    _write_claims(Path(results), found, papers)
    _write_notebooks(Path(results), found)
    return summary, site


def _write_claims(results: Path, found: Sequence[Evidence], papers: Mapping[str, Paper]) -> None:
    """A page a claim with the style that they share; pages of claims that are gone go too."""
    written = {results / FOLDER / "style.css": STYLE}
    for before, evidence, after in zip((None, *found), found, (*found[1:], None), strict=False):
        written[results / place(evidence)] = claim_page(evidence, papers[evidence.claim.paper], before, after)
    for old in set((results / FOLDER).glob("*/*.html")) - set(written):
        old.unlink()
    for path, text in written.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic.write_text(path, text)


def _write_notebooks(results: Path, found: Sequence[Evidence]) -> None:
    """A page a notebook, with ways to the claims that it settles; pages of notebooks that are gone go too."""
    claims: dict[Path, list[tuple[str, str]]] = {}
    for evidence in found:
        if evidence.record is not None and evidence.record.notebook:
            notebook = results / evidence.file(evidence.record.notebook)
            claims.setdefault(notebook, []).append((evidence.claim.id, place(evidence)))
    pages = {path.with_name(page_name(path.name)): path for path in claims if path.is_file()}
    for old in {p for p in results.glob("*/*/*.html") if p.parent.parent.name != FOLDER} - set(pages):
        old.unlink()
    for page_path, notebook in pages.items():
        atomic.write_text(page_path, notebook_page(notebook, "../../", claims[notebook]))


def tally(found: Sequence[Evidence]) -> list[str]:
    """How many claims have which verdict, one sentence for each kind of claim, and one for derived ones.

    Kinds are never added up: that a count agrees says nothing of an effect.
    """
    own = [evidence for evidence in found if not evidence.claim.rule.derived_from]
    sentences = []
    for kind in CHECKS:
        statuses = [evidence.status for evidence in own if evidence.claim.checks == kind]
        if statuses:
            counts = Counter(statuses)
            words = ", ".join(f"{counts[status]} {status}" for status in STATUSES if counts[status])
            many = f"{len(statuses)} claim{'s' * (len(statuses) > 1)}"
            sentences.append(f"{kind[0].upper()}{kind[1:]}: {many} ({words}).")
    if derived := len(found) - len(own):
        sentences.append(f"Following from other claims, and so not counted again: {derived}.")
    return sentences


def cite(paper: Paper) -> str:
    """Authors, year, address and sources read of a paper, in Markdown."""
    link = f"[arXiv:{paper.arxiv}](https://arxiv.org/abs/{paper.arxiv})" if paper.arxiv else paper.url
    cited = ", ".join(str(part) for part in (authors(paper), paper.year, link) if part) + "."
    return f"{cited} Sources read: {', '.join(paper.sources)}."


def _table(rows: Sequence[Evidence], prefix: str) -> str:
    lines = [HEAD, ["---"] * len(HEAD), *(_row(evidence, prefix) for evidence in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _row(evidence: Evidence, prefix: str) -> list[str]:
    finding = evidence.finding + (f", {evidence.size}" if evidence.size != ABSENT else "")
    cells = [
        evidence.claim.id, short_kind(evidence.claim), evidence.reported, evidence.ours, evidence.n,
        evidence.kind, evidence.profile, finding,
    ]  # fmt: skip
    return [*map(escape_markdown, cells), _verdict(evidence), _links(evidence, prefix)]


def _points(answer: Answer, rows: Sequence[Evidence]) -> str:
    """What to know before a verdict is quoted, a line each."""
    return "\n".join(f"- {named(point)}: {in_words(point, rows)}" for point in answer.points)


def _verdict(evidence: Evidence) -> str:
    status = evidence.status if evidence.status == NOT_EVALUATED else f"**{evidence.status}**"
    return "; ".join((status, *map(escape_markdown, evidence.marks)))


def _bullets(sentences: Sequence[str]) -> str:
    return "\n".join(f"- {sentence}" for sentence in sentences)


def _links(evidence: Evidence, prefix: str) -> str:
    record = evidence.record
    if record is None:
        return ABSENT
    named = [("notebook", record.notebook), ("figure", evidence.figure)]
    links = [f"[{name}]({prefix}{evidence.file(file)})" for name, file in named if file]
    return ", ".join(links) or ABSENT
