"""``index.html``: all claims on one static page, without script, fonts or anything fetched from elsewhere."""

from collections.abc import Mapping, Sequence
from html import escape

from studykit.claims.claim import Paper
from studykit.claims.rule_words import kind_in_words, rule_in_words, short_kind
from studykit.claims.words import ABSENT, as_written
from studykit.report.cards import deviation_in_words
from studykit.report.evidence import Evidence
from studykit.report.rerun import comparison_in_words
from studykit.runs.provenance import in_words

COLUMNS = (
    "Claim",
    "Checks",
    "Reported",
    "Ours [95 % interval]",
    "n",
    "Evidence",
    "Profile",
    "Finding",
    "Verdict",
)

STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1b; --paper: #fff; --line: #d5d5d5; --soft: #f4f4f4;
  --good: #00664b; --part: #00568a; --bad: #a34700; --open: #595959; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8e8e8; --paper: #16181b; --line: #3a3d42; --soft: #202328;
    --good: #4fd1a5; --part: #7cc4f2; --bad: #ff9d5c; --open: #adadad; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 68rem; margin: 2rem auto; padding: 0 1rem; }
a { color: var(--part); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; margin: 1rem 0 2rem; }
caption { text-align: left; padding: .3rem 0; }
th, td { text-align: left; vertical-align: top; padding: .45rem .6rem; }
thead th { border-bottom: 2px solid var(--line); }
tr.claim > * { border-top: 1px solid var(--line); }
tbody th { font-weight: 600; }
td.number { font-variant-numeric: tabular-nums; white-space: nowrap; }
td.verdict { font-weight: 600; white-space: nowrap; }
.reproduced { color: var(--good); } .partially-reproduced { color: var(--part); }
.not-reproduced { color: var(--bad); } .underpowered, .uninformative, .not-evaluated { color: var(--open); }
.mark { font-weight: 400; white-space: normal; color: var(--open); font-size: .85em; }
details { background: var(--soft); border-radius: .4rem; padding: .3rem .8rem; }
summary { cursor: pointer; }
details img { max-width: 100%; background: #fff; border-radius: .3rem; }
dt { font-weight: 600; margin-top: .6rem; } dd { margin: 0; }
"""

SIGNS = {
    "reproduced": "✓",
    "partially reproduced": "◐",
    "not reproduced": "✗",
    "underpowered": "?",
    "uninformative": "–",
    "not evaluated": "·",
}
"""A sign before each verdict, so that colour never carries it alone."""


def page(found: Sequence[Evidence], papers: Mapping[str, Paper], tally: Sequence[str], reading: str) -> str:
    """The whole page, with the counts of ``tally`` and how to read them; all text from files is escaped."""
    sections = "".join(
        _section(paper, [evidence for evidence in found if evidence.claim.paper == name])
        for name, paper in papers.items()
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Claims and verdicts</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>Claims and verdicts</h1>\n{_list(tally)}\n<p>{escape(reading)}</p>\n"
        f"{sections}</main>\n</body>\n</html>\n"
    )


def _section(paper: Paper, rows: Sequence[Evidence]) -> str:
    head = "".join(f'<th scope="col">{column}</th>' for column in COLUMNS)
    body = "".join(_row(evidence) + _more(evidence) for evidence in rows)
    title = escape(paper.title)
    return (
        f'<section id="{escape(paper.name)}">\n<h2>{title}</h2>\n<p>{_citation(paper)}</p>\n'
        f'<div class="wide"><table>\n<caption>Claims of {title}</caption>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table></div>\n</section>\n"
    )


def _citation(paper: Paper) -> str:
    address = f"https://arxiv.org/abs/{paper.arxiv}" if paper.arxiv else paper.url
    words = f"{', '.join(paper.authors)}, {paper.year}"
    return escape(words) + (f', <a href="{escape(address)}">{escape(address)}</a>' if address else "")


def _row(evidence: Evidence) -> str:
    numbers = "".join(
        f'<td class="number">{escape(cell)}</td>' for cell in (evidence.reported, evidence.ours, evidence.n)
    )
    status = evidence.status
    marks = "".join(f'<br><span class="mark">{escape(mark)}</span>' for mark in evidence.marks)
    finding = evidence.finding + (f", {evidence.size}" if evidence.size != ABSENT else "")
    return (
        f'<tr class="claim" id="{escape(evidence.claim.key)}">'
        f'<th scope="row">{escape(evidence.claim.id)}</th><td>{escape(short_kind(evidence.claim))}</td>'
        f"{numbers}<td>{escape(evidence.kind)}</td><td>{escape(evidence.profile)}</td>"
        f"<td>{escape(finding)}</td>"
        f'<td class="verdict {status.replace(" ", "-")}">'
        f'<span aria-hidden="true">{SIGNS[status]}</span> {status}{marks}</td></tr>\n'
    )


def _more(evidence: Evidence) -> str:
    claim, record = evidence.claim, evidence.record
    entries = [
        ("Sentence", escape(claim.sentence)),
        ("Sources read", escape(", ".join(claim.sources))),
        ("Kind", escape(kind_in_words(claim))),
        ("Rule", escape(rule_in_words(claim.rule))),
    ]
    if claim.reported:
        numbers = (f"{n.name}: {as_written(n.value, n.unit)} ({n.place})" for n in claim.reported)
        entries.append(("Reported", _list(numbers)))
    if claim.unknown:
        entries.append(("Unknown", _list(claim.unknown)))
    if claim.deviations:
        entries.append(("Changed", _list(map(deviation_in_words, claim.deviations))))
    if record is not None:
        entries += _basis(evidence)
    terms = "".join(f"<dt>{term}</dt><dd>{words}</dd>" for term, words in entries)
    return (
        f'<tr><td colspan="{len(COLUMNS)}"><details><summary>What {escape(claim.id)} says and rests on'
        f"</summary><dl>{terms}</dl></details></td></tr>\n"
    )


def _basis(evidence: Evidence) -> list[tuple[str, str]]:
    record = evidence.record
    cases = "" if record.n_cases is None else f" ({record.n_cases} held-out cases)"
    entries = [("Reason", escape(record.verdict.reason))]
    if record.verdict.depends_on:
        entries.append(("Depends on", escape(record.verdict.depends_on)))
    if record.first is not None:
        entries.append(("First protocol", escape(f"{record.first['status']}. {record.first['reason']}")))
    for other in evidence.others:
        said = f"{other.verdict.finding or other.verdict.status}. {other.verdict.reason}"
        entries.append((f"Also at {escape(str(other.verdict.profile))}", escape(said)))
    for name, comparison in evidence.reruns:
        entries.append((f"Rerun {escape(name)}", escape(comparison_in_words(comparison))))
    entries += [
        ("Data", escape(record.data + cases)),
        ("Cost", escape(str(record.cost))),
        ("Ran on", escape(in_words(record.provenance))),
    ]
    if record.notebook:
        link = escape(evidence.file(record.notebook))
        entries.append(("Notebook", f'<a href="{link}">{escape(record.notebook)}</a>'))
    for file, words in record.figures:
        link, words = escape(evidence.file(file)), escape(words)
        entries.append(("Figure", f'<a href="{link}"><img src="{link}" alt="{words}" loading="lazy"></a>'))
    return entries


def _list(items) -> str:
    return "<ul>" + "".join(f"<li>{escape(item)}</li>" for item in items) + "</ul>"
