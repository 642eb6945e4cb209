import re
from dataclasses import replace
from html import unescape

import pytest
from read_page import Page
from toy_paper import ratio

from studykit.claims.estimate import Estimate
from studykit.home import results_dir
from studykit.report.answer import Answer, Point, Sentence
from studykit.report.evidence import gather
from studykit.report.site import tally, write_summary


@pytest.fixture
def written(conclude, papers):
    conclude.write("steps", "laptop", ratio(2.4, 1.8, 3.3))
    conclude.write("count", "gpu", Estimate.exact(538.2, unit="GFLOP"), figures=(), notebook=None)
    summary, site = write_summary(conclude.results, papers, {})
    return summary.read_text(encoding="utf-8"), site.read_text(encoding="utf-8")


def test_summary_shows_every_claim_with_links(written):
    summary, _ = written
    assert summary.startswith(
        "# Claims and verdicts\n\n"
        "- A reported number checked: 3 claims (1 partially reproduced, 2 not evaluated).\n"
        "- Arithmetic checked: 1 claim (1 not reproduced).\n"
    )
    assert "Sources read: abstract." in summary
    assert "[arXiv:2512.00000](https://arxiv.org/abs/2512.00000)" in summary
    assert (
        "| steps | a number | 5.8× | 2.40× [1.80, 3.30] | 5 | reduced-scale | laptop | "
        "supported, smaller than reported | **partially reproduced** | "
        "[notebook](speed/laptop/01_speed.ipynb), [figure](speed/laptop/curves.svg) |"
    ) in summary
    assert (
        "| count | arithmetic | 223.8× | 538.2 GFLOP | – | exact | gpu | fails | **not reproduced** | – |"
        in summary
    )
    assert "| late | a number | 5.8× | – | – | – | – | – | not evaluated | – |" in summary


def test_summary_is_the_same_when_written_again(written, conclude, papers):
    again = [path.read_text(encoding="utf-8") for path in write_summary(conclude.results, papers, {})]
    assert again == list(written)


def test_page_is_well_formed_and_has_a_row_a_claim(written):
    page = Page(written[1])
    assert page.all("html") == [{"lang": "en"}] and len(page.all("h1")) == 1
    assert [a["scope"] for a in page.all("th")].count("row") == 4
    rows = [a for a in page.all("tr") if "id" in a]
    assert rows[0] == {
        "id": "toy/steps",
        "data-paper": "toy",
        "data-kind": "a number",
        "data-verdict": "partially reproduced",
        "data-finding": "supported",
        "data-evidence": "reduced-scale",
        "data-profile": "laptop",
    }
    assert "partially reproduced" in page.words and "not evaluated" in page.words
    for needed in ("2.40× [1.80, 3.30] (n = 5)", "538.2 GFLOP", "supported, smaller than reported"):
        assert needed in page.words


def test_page_escapes_what_comes_from_files(written):
    page = Page(written[1])
    assert 'Faster <by far> & "cheaper", as they say.' in page.words
    assert "A <toy> paper" in page.words
    assert "<by far>" not in written[1] and "<toy>" not in written[1]


def test_rows_are_a_forest_and_sorted_by_numbers(written):
    rows = written[1].split('<tr id="')[1:]
    assert 'class="forest partially-reproduced"' in rows[0] and 'class="drawn" data-key="3.92' in rows[0]
    assert 'data-key="5.8">5.8×' in rows[0] and 'data-key="2.4">2.40×' in rows[0]
    assert "<svg" not in rows[2] and 'class="drawn" data-key=""' in rows[2], "a count is no effect"
    assert "the least effect that its rule counts" in Page(written[1]).words


def test_filters_offer_what_there_is_and_wait_for_their_script(written):
    page = Page(written[1])
    assert "hidden" in page.all("form")[0]
    assert [a["name"] for a in page.all("select")] == [
        "paper",
        "kind",
        "verdict",
        "finding",
        "evidence",
        "profile",
    ]
    assert "<option>partially reproduced</option>" in written[1]
    assert "<option>–</option>" not in written[1]


def test_every_link_of_every_page_leads_somewhere(conclude, papers):
    conclude.write("steps", "laptop", ratio(2.4, 1.8, 3.3), tables=("speed.csv",))
    folder = conclude.results / "speed" / "laptop"
    for name in ("curves.svg", "speed.csv"):
        (folder / name).touch()
    (folder / "01_speed.ipynb").write_text('{"cells": []}')
    _, site = write_summary(conclude.results, papers, {})
    pages = [site, *(conclude.results / "claims").rglob("*.html"), folder / "01_speed.html"]
    assert len(pages) == 6
    for path in pages:
        page = Page(path.read_text(encoding="utf-8"))
        links = [a["href"] for a in page.all("a") + page.all("link")] + [a["src"] for a in page.all("img")]
        local = [link.partition("#")[0] for link in links if not link.startswith("https://arxiv.org/")]
        local = [link or path.name for link in local]
        assert local and all((path.parent / link).is_file() for link in local), path


def test_every_link_of_every_committed_page_leads_somewhere():
    pages = [results_dir() / "index.html", *results_dir().glob("*/*/*.html")]
    assert len(pages) > 60
    for path in pages:
        links = re.findall(r'(?:href|src)="([^"]+)"', path.read_text(encoding="utf-8"))
        local = [unescape(link).partition("#")[0] for link in links if not re.match(r"https?:|data:", link)]
        assert [link for link in local if link and not (path.parent / link).exists()] == [], path


def test_authors_that_nobody_knows_are_left_away(conclude, papers):
    write_summary(conclude.results, {"toy": replace(papers["toy"], authors=("unknown",))}, {})
    pages = [conclude.results / name for name in ("index.html", "SUMMARY.md", "claims/toy/steps.html")]
    for path in pages:
        text = path.read_text(encoding="utf-8")
        assert "2025" in text and "unknown" not in text, path


def test_the_page_of_a_claim_that_is_gone_goes_too(conclude, papers):
    write_summary(conclude.results, papers, {})
    gone = conclude.results / "claims" / "toy" / "late.html"
    assert gone.is_file()
    write_summary(conclude.results, {"toy": replace(papers["toy"], claims=papers["toy"].claims[:3])}, {})
    assert not gone.exists() and gone.with_name("steps.html").is_file()


def test_the_page_of_a_notebook_leads_to_its_claims_and_goes_with_it(conclude, papers):
    conclude.write("steps", "laptop", ratio(2.4, 1.8, 3.3))
    notebook = conclude.results / "speed" / "laptop" / "01_speed.ipynb"
    notebook.write_text('{"cells": []}')
    write_summary(conclude.results, papers, {})
    page = notebook.with_suffix(".html")
    assert 'href="../../claims/toy/steps.html">steps</a>' in page.read_text(encoding="utf-8")
    notebook.unlink()
    write_summary(conclude.results, papers, {})
    assert not page.exists()


def test_pages_stand_alone_in_light_and_dark(written, conclude):
    page = Page(written[1])
    assert not page.all("link") and not any("src" in a for a in page.all("script"))
    assert "prefers-color-scheme:dark" in written[1]
    style = (conclude.results / "claims" / "style.css").read_text(encoding="utf-8")
    assert "prefers-color-scheme:dark" in style


def test_claims_that_follow_from_others_are_not_counted_again(conclude, papers):
    paper = papers["toy"]
    derived = replace(
        paper.claims[1], rule=replace(paper.claims[1].rule, derived_from=("steps",), family=None)
    )
    papers = {"toy": replace(paper, claims=(paper.claims[0], derived))}
    said = " ".join(tally(gather(conclude.results, papers)))
    assert "A reported number checked: 1 claim" in said and "not counted again: 1." in said


def test_summary_says_the_answer_and_what_to_know_before_quoting_it(conclude, papers):
    conclude.write("steps", "laptop", ratio(2.4, 1.8, 3.3))
    said = Sentence("It is {steps}.", {"steps": ("partially reproduced",)})
    answers = {"toy": Answer((said,), (Point(("steps", "late"), "On [one](speed/laptop/t.md) machine."),))}
    summary = write_summary(conclude.results, papers, answers)[0].read_text(encoding="utf-8")
    assert '<a id="toy"></a>\n\n## A <toy> paper' in summary
    assert "\n\nIt is 2.40× [1.80, 3.30].\n\n" in summary
    assert "\n- `steps`, `late`: On [one](speed/laptop/t.md) machine.\n" in summary


def test_a_broken_verdict_stops_the_summary_and_keeps_the_old_one(conclude, papers):
    conclude.write("steps", "laptop", ratio(2.4, 1.8, 3.3))
    summary, _ = write_summary(conclude.results, papers, {})
    before = summary.read_text(encoding="utf-8")
    (conclude.results / "speed" / "laptop" / "verdict.json").write_text("{")
    with pytest.raises(ValueError, match=r"verdict\.json cannot be read"):
        write_summary(conclude.results, papers, {})
    assert summary.read_text(encoding="utf-8") == before
