"""``index.html``: all claims on one page, to filter and to sort; whole without its script."""

import math
from collections.abc import Mapping, Sequence
from html import escape

from studykit.claims.claim import Paper
from studykit.claims.rule_words import short_kind
from studykit.claims.words import ABSENT
from studykit.report.answer import Answer, in_words, named, short_answer
from studykit.report.authors import authors
from studykit.report.claim_page import place
from studykit.report.evidence import EVIDENCE_PROFILES, Evidence
from studykit.report.forest_cell import forest_cell, measured
from studykit.report.html import STYLE, bullets, document, inline, verdict
from studykit.version import __version__

COLUMNS = (
    "Claim", "Paper", "Kind", "Reported", "Ours [95 % interval]", "Effect", "Evidence", "Profile", "Finding",
    "Verdict",
)  # fmt: skip

FOREST = (
    "Effect: ours (●) with its 95 % interval and the reported number (◇), each in units of the least effect "
    "that its rule counts: no effect at the full line, the least at the dotted one; further out by "
    "logarithms, an arrow where an end lies beyond or nothing bounds it. What is counted stands in words."
)

CITED = (
    f"studykit contributors, studykit: a reproducibility study kit for 3-D medical self-supervised learning, "
    f"version {__version__}."
)

FILTERS = ("paper", "kind", "verdict", "finding", "evidence", "profile")

SCRIPT = """
const form = document.querySelector("form"), table = document.querySelector("table.claims");
const picks = [...form.querySelectorAll("select")];
const body = table.tBodies[0], rows = [...body.rows], said = document.querySelector("output");
const filter = () => {
  const wanted = new FormData(form), words = wanted.get("words").toLowerCase();
  const chosen = new URLSearchParams([...wanted].filter(([, value]) => value));
  try { history.replaceState(null, "", `${location.pathname}?${chosen}${location.hash}`); } catch {}
  let shown = 0;
  for (const row of rows) {
    const picked = picks.every(s => !s.value || row.dataset[s.name] === s.value);
    row.hidden = !(picked && row.textContent.toLowerCase().includes(words));
    shown += !row.hidden;
  }
  said.textContent = `${shown} of ${rows.length} claims`;
};
form.hidden = false;
form.addEventListener("input", filter);
form.addEventListener("reset", () => setTimeout(filter));
form.addEventListener("submit", event => event.preventDefault());
const order = ["reproduced", "partially reproduced", "not reproduced", "underpowered", "uninformative",
  "not evaluated"];
table.querySelectorAll("thead th").forEach((head, column) => {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = head.textContent;
  head.replaceChildren(button);
  button.addEventListener("click", () => {
    const up = head.ariaSort !== "ascending";
    table.querySelectorAll("thead th").forEach(other => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const last = column === table.tHead.rows[0].cells.length - 1;
    const key = row => last ? String(order.indexOf(row.dataset.verdict))
      : row.cells[column].dataset.key ?? row.cells[column].textContent;
    const way = up ? 1 : -1;
    body.append(...[...rows].sort((a, b) => {
      const [x, y] = [key(a), key(b)];
      if (x === "" || y === "") return (x === "") - (y === "");
      return way * (isNaN(x) || isNaN(y) ? x.localeCompare(y, "en", { numeric: true }) : x - y);
    }));
  });
});
for (const [name, value] of new URLSearchParams(location.search)) {
  const field = form.elements[name];
  if (field) field.value = value;
}
filter();
"""


def page(
    found: Sequence[Evidence],
    papers: Mapping[str, Paper],
    answers: Mapping[str, Answer],
    tally: Sequence[str],
    reading: str,
) -> str:
    """The whole page, with the counts of ``tally`` and how to read them; all text from files is escaped."""
    of = {name: [evidence for evidence in found if evidence.claim.paper == name] for name in papers}
    answered = "".join(
        _answered(paper, of[name], answers.get(name, Answer())) for name, paper in papers.items()
    )
    head = "".join(f'<th scope="col">{column}</th>' for column in COLUMNS)
    rows = "".join(_row(evidence) for evidence in found)
    body = (
        f"{_ways(papers)}<main>\n<h1>Claims and verdicts</h1>\n{bullets(tally)}\n"
        f"<details><summary>How to read a verdict</summary><p>{escape(reading)}</p></details>\n{answered}"
        f'<h2 id="claims">Every claim</h2>\n{_form(found)}\n<p class="mark">{escape(FOREST)}</p>\n'
        f'<table class="claims"><caption hidden>Every claim and its verdict</caption>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody></table>\n"
        f"<h2>Cite this</h2>\n<p>Each claim’s page has the lines for it. All of it:</p>\n<pre>{CITED}</pre>\n"
        f"</main>\n<script>{SCRIPT}</script>\n"
    )
    return document("Claims and verdicts", f"<style>{STYLE}</style>", body)


def _ways(papers: Mapping[str, Paper]) -> str:
    """Ways into the page: the table first, then each paper."""
    links = ['<a href="#claims">Every claim</a>']
    links += [f'<a href="#{escape(name)}">{escape(name)}</a>' for name in papers]
    return f'<nav aria-label="On this page">{" · ".join(links)}</nav>\n'


def _answered(paper: Paper, rows: Sequence[Evidence], answer: Answer) -> str:
    address = f"https://arxiv.org/abs/{paper.arxiv}" if paper.arxiv else paper.url
    link = f', <a href="{escape(address)}">{escape(address)}</a>' if address else ""
    cited = escape(", ".join(str(part) for part in (authors(paper), paper.year) if part))
    points = "".join(
        f"<li>{inline(named(point))}: {inline(in_words(point, rows))}</li>" for point in answer.points
    )
    more = (
        f"<details><summary>Before you quote a verdict</summary><ul>{points}</ul></details>\n"
        if points
        else ""
    )
    return (
        f'<section id="{escape(paper.name)}">\n<h2>{escape(paper.title)}</h2>\n'
        f"<p>{cited}{link}. Sources read: {escape(', '.join(paper.sources))}.</p>\n"
        f"<p>{escape(short_answer(answer, rows))}</p>\n{more}</section>\n"
    )


def _form(found: Sequence[Evidence]) -> str:
    """Filters over what there is; a script shows them, as without it they could do nothing."""
    picks = []
    for name in FILTERS:
        values = dict.fromkeys(_traits(evidence)[name] for evidence in found)
        options = "".join(f"<option>{escape(value)}</option>" for value in values if value != ABSENT)
        picks.append(
            f'<label>{name.capitalize()}<select name="{name}"><option value="">any</option>{options}</select>'
            "</label>"
        )
    return (
        f'<form hidden>{"".join(picks)}<label>Words<input name="words" type="search"></label>'
        '<button type="reset">Show all</button><output aria-live="polite"></output></form>'
    )


def _traits(evidence: Evidence) -> dict[str, str]:
    return {
        "paper": evidence.claim.paper,
        "kind": short_kind(evidence.claim).partition(",")[0],
        "verdict": evidence.status,
        "finding": evidence.finding,
        "evidence": evidence.kind,
        "profile": evidence.profile,
    }


def _row(evidence: Evidence) -> str:
    claim = evidence.claim
    data = "".join(f' data-{name}="{escape(value)}"' for name, value in _traits(evidence).items())
    finding = evidence.finding + (f", {evidence.size}" if evidence.size != ABSENT else "")
    n = f" (n = {evidence.n})" if evidence.n != ABSENT else ""
    estimate = evidence.record.verdict.estimate if evidence.record else None
    cells = [
        _cell("Paper", claim.paper),
        _cell("Kind", short_kind(claim)),
        _cell("Reported", evidence.reported, _key(claim.rule.reported)),
        _cell("Ours", evidence.ours + n, _key(estimate and estimate.value)),
        f'<td class="drawn" data-key="{_key(measured(evidence))}">{forest_cell(evidence)}</td>',
        _cell("Evidence", evidence.kind, None if evidence.kind != ABSENT else ""),
        _cell("Profile", evidence.profile, _key(_strength(evidence))),
        _cell("Finding", finding),
    ]
    return (
        f'<tr id="{escape(claim.key)}"{data}><th scope="row"><a href="{escape(place(evidence))}">'
        f'{escape(claim.id)}</a><span class="mark">{escape(claim.sentence)}</span></th>'
        f"{''.join(cells)}<td>{verdict(evidence.status, evidence.marks)}</td></tr>\n"
    )


def _strength(evidence: Evidence) -> float | None:
    """A profile as a number, the larger the stronger it is, so that profiles sort by what they weigh."""
    profiles = EVIDENCE_PROFILES[::-1]
    return float(profiles.index(evidence.profile)) if evidence.profile in profiles else None


def _cell(name: str, words: str, key: str | None = None) -> str:
    """A cell with its column's name, which a phone shows, and what it is sorted by if not by its words."""
    sorted_by = "" if key is None else f' data-key="{key}"'
    return f'<td data-name="{name}" class="number"{sorted_by}>{escape(words)}</td>'


def _key(number: float | None) -> str:
    """A number to sort by; nothing where there is none, which comes last either way."""
    return "" if number is None or not math.isfinite(number) else f"{number:g}"
