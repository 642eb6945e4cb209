"""``index.html``: all claims on one page, to filter and to sort; whole without its script."""

from collections.abc import Mapping, Sequence
from html import escape

from studykit.claims.claim import Paper
from studykit.claims.rule_words import short_kind
from studykit.claims.words import ABSENT
from studykit.report.answer import Answer, short_answer
from studykit.report.claim_page import place
from studykit.report.evidence import Evidence
from studykit.report.html import STYLE, bullets, document, inline, verdict

COLUMNS = ("Claim", "Paper", "Checks", "Reported", "Ours [95 % interval]", "Evidence", "Finding", "Verdict")

FILTERS = ("paper", "verdict", "finding", "evidence", "profile")

SCRIPT = """
const form = document.querySelector("form"), table = document.querySelector("table.claims");
const picks = [...form.querySelectorAll("select")];
const body = table.tBodies[0], rows = [...body.rows], said = document.querySelector("output");
const filter = () => {
  const wanted = new FormData(form), words = wanted.get("words").toLowerCase();
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
    const key = row => last ? String(order.indexOf(row.dataset.verdict)) : row.cells[column].textContent;
    const sorted = [...rows].sort((a, b) => key(a).localeCompare(key(b), "en", { numeric: true }));
    body.append(...(up ? sorted : sorted.reverse()));
  });
});
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
        f"<main>\n<h1>Claims and verdicts</h1>\n{bullets(tally)}\n"
        f"<details><summary>How to read a verdict</summary><p>{escape(reading)}</p></details>\n{answered}"
        f'<h2 id="claims">Every claim</h2>\n{_form(found)}\n'
        f'<table class="claims"><caption hidden>Every claim and its verdict</caption>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody></table>\n</main>\n<script>{SCRIPT}</script>\n"
    )
    return document("Claims and verdicts", f"<style>{STYLE}</style>", body)


def _answered(paper: Paper, rows: Sequence[Evidence], answer: Answer) -> str:
    address = f"https://arxiv.org/abs/{paper.arxiv}" if paper.arxiv else paper.url
    link = f', <a href="{escape(address)}">{escape(address)}</a>' if address else ""
    cited = escape(f"{', '.join(paper.authors)}, {paper.year}")
    points = "".join(
        f"<li>{inline(', '.join(f'`{claim}`' for claim in point.claims))}: {inline(point.words)}</li>"
        for point in answer.points
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
        "verdict": evidence.status,
        "finding": evidence.finding,
        "evidence": evidence.kind,
        "profile": evidence.profile,
    }


def _row(evidence: Evidence) -> str:
    claim = evidence.claim
    data = "".join(f' data-{name}="{escape(value)}"' for name, value in _traits(evidence).items())
    finding = evidence.finding + (f", {evidence.size}" if evidence.size != ABSENT else "")
    runs = f"{evidence.kind}, {evidence.profile}" if evidence.profile != ABSENT else ABSENT
    n = f" (n = {evidence.n})" if evidence.n != ABSENT else ""
    cells = zip(
        COLUMNS[1:-1],
        (claim.paper, short_kind(claim), evidence.reported, evidence.ours + n, runs, finding),
        strict=True,
    )
    return (
        f'<tr id="{escape(claim.key)}"{data}><th scope="row"><a href="{escape(place(evidence))}">'
        f'{escape(claim.id)}</a><span class="mark">{escape(claim.sentence)}</span></th>'
        f"{''.join(_cell(name, words) for name, words in cells)}"
        f"<td>{verdict(evidence.status, evidence.marks)}</td></tr>\n"
    )


def _cell(name: str, words: str) -> str:
    return f'<td data-name="{name}" class="number">{escape(words)}</td>'
