"""The report in a browser, where there is one: it filters, sorts, leads on, keeps quiet and fits a phone."""

import json
import re

import pytest
from chromium import FOUND, Browser
from toy_paper import ratio

from studykit.home import results_dir
from studykit.report.site import write_summary

pytestmark = pytest.mark.skipif(FOUND is None, reason="no Chromium here")

INDEX = results_dir() / "index.html"
COMMITTED = sorted({INDEX, *results_dir().glob("*/*/*.html")})
ROWS = "[...document.querySelectorAll('tbody tr')].filter(row => !row.hidden).map(row => row.id)"
WIDTH = "document.documentElement.scrollWidth"
WIDE = f"<table><tr>{'<td>a cell of many words</td>' * 12}</tr></table>"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    made = Browser(tmp_path_factory.mktemp("browser"))
    yield made
    made.close()


@pytest.fixture
def site(conclude, papers):
    """A report of the toy paper, as the address of its first page without ``index.html``."""
    conclude.write("steps", "laptop", ratio(2.4, 1.8, 3.3))
    conclude.write("flops", "gpu", ratio(10.5, 9.1, 12.0))
    wide = {
        "cell_type": "code",
        "source": "x" * 300,
        "outputs": [{"text": "y" * 300}, {"data": {"text/html": WIDE}}],
    }
    for folder in (conclude.results / "speed").iterdir():
        (folder / "01_speed.ipynb").write_text(json.dumps({"cells": [wide]}))
        (folder / "curves.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>')
    write_summary(conclude.results, papers, {})
    return conclude.results.as_uri()


def head(name):
    return f"[...document.querySelectorAll('thead th')].find(head => head.textContent === '{name}')"


def sorted_by(browser, name):
    browser.ask(f"{head(name)}.querySelector('button').click()")
    return [row.removeprefix("toy/") for row in browser.ask(ROWS)]


def test_it_filters_and_sorts_without_a_word_on_the_console(browser, site):
    browser.open(f"{site}/index.html")
    assert sorted_by(browser, "Claim") == ["count", "flops", "late", "steps"]
    assert sorted_by(browser, "Claim") == ["steps", "late", "flops", "count"]
    assert sorted_by(browser, "Ours [95 % interval]")[:2] == ["steps", "flops"]
    assert sorted_by(browser, "Profile")[:2] == ["steps", "flops"], "laptop is the weaker"
    assert sorted_by(browser, "Profile")[:2] == ["flops", "steps"]
    assert sorted_by(browser, "Kind")[-1] == "count", "arithmetic"
    browser.ask(
        "(e => { e.value = 'gpu'; e.dispatchEvent(new Event('input', {bubbles: true})); })"
        "(document.querySelector('select[name=profile]'))"
    )
    assert browser.ask(ROWS) == ["toy/flops"]
    assert browser.ask("document.querySelector('output').textContent") == "1 of 4 claims"
    assert browser.said == []


def test_a_claim_is_followed_and_leads_on_and_back(browser, site):
    browser.open(f"{site}/index.html")
    browser.click("tr[id='toy/steps'] a")
    browser.wait_for("Page.loadEventFired")
    assert browser.ask("document.title") == "steps: partially reproduced"
    browser.click("nav a:last-child")
    browser.wait_for("Page.loadEventFired")
    assert browser.ask("document.title").startswith("flops: ")
    browser.click("nav a")
    browser.wait_for("Page.loadEventFired")
    assert browser.ask("document.title") == "Claims and verdicts" and browser.said == []


@pytest.mark.parametrize(("scheme", "colour"), [("dark", "rgb(22, 24, 27)"), ("light", "rgb(255, 255, 255)")])
def test_a_link_may_carry_the_filter_in_both_themes(browser, site, scheme, colour):
    browser.open(f"{site}/index.html?finding=supported", scheme=scheme)
    assert browser.ask("getComputedStyle(document.body).backgroundColor") == colour
    assert browser.ask("document.querySelector('output').textContent") == "2 of 4 claims"
    assert browser.said == []


def test_it_is_used_by_keyboard(browser, site):
    browser.open(f"{site}/index.html")
    before = browser.ask(ROWS)
    browser.ask(f"{head('Claim')}.querySelector('button').focus()")
    browser.press("Enter", 13, "\r")
    assert browser.ask(ROWS) == sorted(before) != before
    browser.press("Tab", 9)
    assert browser.ask("document.activeElement.textContent") == "Paper", "the next head has the focus"
    assert browser.ask("getComputedStyle(document.activeElement).outlineStyle") == "solid", "and shows it"
    browser.ask("document.querySelector('tbody a').focus()")
    browser.press("Enter", 13, "\r")
    browser.wait_for("Page.loadEventFired")
    assert browser.ask("document.title").startswith("count: ")


def test_it_prints_without_what_only_a_screen_can_use(browser, site):
    browser.open(f"{site}/claims/toy/steps.html")
    printed = browser.pdf()
    links = re.findall(rb"/URI \(([^)]*)\)", printed)
    assert printed.startswith(b"%PDF") and len(re.findall(rb"/Type /Page\b", printed)) > 0
    assert any(link.endswith(b"curves.svg") for link in links), "the figure leads to its file"
    assert not [link for link in links if b"index.html" in link], "the ways to other pages are not printed"
    browser.open(f"{site}/index.html", media="print")
    assert browser.ask("document.querySelector('details p').checkVisibility()"), "what is folded is printed"
    shown = "(name => getComputedStyle(document.querySelector(name)).display)"
    assert [browser.ask(f"{shown}('{name}')") for name in ("form", "nav", "table")] == [
        "none",
        "none",
        "table",
    ]


def test_intervals_are_drawn_narrow_on_a_phone_and_their_words_can_be_read(browser, site):
    size = (
        "(e => parseFloat(getComputedStyle(e).fontSize) * e.getBoundingClientRect().width"
        " / e.viewBox.baseVal.width)"
    )
    for width in (390, 1200):
        browser.open(f"{site}/claims/toy/steps.html", width=width)
        shown = "[...document.querySelectorAll('svg.plot')].filter(e => e.getBoundingClientRect().width)"
        assert browser.ask(f"{shown}.map(e => e.classList.contains('narrow'))") == [width == 390]
        assert browser.ask(f"{size}({shown}[0])") >= 12


@pytest.mark.parametrize("name", ["index.html", "claims/toy/steps.html", "speed/laptop/01_speed.html"])
def test_nothing_is_cut_on_a_phone(browser, site, name):
    browser.open(f"{site}/{name}", width=390)
    assert browser.ask(WIDTH) <= 390 and browser.said == []


def test_no_page_that_is_committed_is_cut_on_a_phone_or_says_a_word_on_the_console(browser):
    assert len(COMMITTED) > 60
    for path in COMMITTED:
        browser.open(path.as_uri(), width=390)
        assert browser.ask(WIDTH) <= 390, path
        assert browser.said == [], path


@pytest.mark.parametrize("width", [800, 1180, 1200])
def test_the_table_of_all_claims_fits_where_it_is_one(browser, width):
    browser.open(INDEX.as_uri(), width=width)
    shown = browser.ask("getComputedStyle(document.querySelector('tbody tr')).display")
    assert browser.ask(WIDTH) <= width and shown == ("table-row" if width == 1200 else "block")
