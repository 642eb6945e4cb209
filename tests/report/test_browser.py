"""The report in a browser, where there is one: it filters, sorts, keeps quiet and fits a phone."""

import json
import re
import shutil
import subprocess

import pytest
from toy_paper import ratio

from studykit.report.site import write_summary

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium here")

USED = """<script>
const verdict = document.querySelector("select[name=verdict]");
verdict.value = "partially reproduced";
verdict.dispatchEvent(new Event("input", { bubbles: true }));
const shown = [...document.querySelectorAll("tbody tr")].filter(row => !row.hidden).map(row => row.id);
const heads = [...document.querySelectorAll("thead th button")];
heads[0].click(); heads[0].click();
const sorted = [...document.querySelectorAll("tbody tr")].map(row => row.id);
heads[3].click();
const by_number = [...document.querySelectorAll("tbody tr")].map(row => row.id);
document.title = [shown, sorted, by_number, document.querySelector("output").textContent].join("|");
</script>"""

LOOKED_AT = """<script>
const colour = getComputedStyle(document.body).backgroundColor;
const keys = [...document.querySelectorAll("a, button, select, input, summary")].every(e => e.tabIndex === 0);
document.title = [colour, keys, document.querySelector("output").textContent].join("|");
</script>"""

WIDE = f"<table><tr>{'<td>a cell of many words</td>' * 12}</tr></table>"

PHONE = """<iframe src="{page}" style="width:390px;height:800px"></iframe><script>
onload = () => {{ const inside = document.querySelector("iframe").contentDocument.documentElement;
document.title = inside.scrollWidth; }};</script>"""


@pytest.fixture
def opened(conclude, papers, tmp_path):
    """Writes a report, puts more behind its start page or beside it, and gives title and console back."""
    conclude.write("steps", "laptop", ratio(2.4, 1.8, 3.3))
    conclude.write("flops", "laptop", ratio(10.5, 9.1, 12.0))
    wide = {
        "cell_type": "code",
        "source": "x" * 300,
        "outputs": [{"text": "y" * 300}, {"data": {"text/html": WIDE}}],
    }
    (conclude.results / "speed" / "laptop" / "01_speed.ipynb").write_text(json.dumps({"cells": [wide]}))
    _, site = write_summary(conclude.results, papers, {})

    def open_page(text, query="", *more):
        path = site.with_name("tried.html")
        path.write_text(text, encoding="utf-8")
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"]
        flags += [
            f"--user-data-dir={tmp_path}",
            "--enable-logging=stderr",
            *more,
            "--dump-dom",
            path.as_uri() + query,
        ]
        done = subprocess.run([BROWSER, *flags], capture_output=True, text=True, timeout=60)
        return re.search("<title>(.*?)</title>", done.stdout)[1], re.findall("CONSOLE.*", done.stderr)

    return site, open_page


def test_it_filters_and_sorts_without_a_word_on_the_console(opened):
    site, open_page = opened
    title, console = open_page(site.read_text(encoding="utf-8") + USED)
    assert title.split("|") == [
        "toy/steps",
        "toy/steps,toy/late,toy/flops,toy/count",
        "toy/steps,toy/flops,toy/count,toy/late",
        "1 of 4 claims",
    ]
    assert console == []


@pytest.mark.parametrize(("scheme", "colour"), [(0, "rgb(22, 24, 27)"), (1, "rgb(255, 255, 255)")])
def test_a_link_may_carry_the_filter_and_both_themes_are_reached_by_keyboard(opened, scheme, colour):
    site, open_page = opened
    text = site.read_text(encoding="utf-8") + LOOKED_AT
    title, console = open_page(text, "?finding=supported", f"--blink-settings=preferredColorScheme={scheme}")
    assert title == f"{colour}|true|2 of 4 claims" and console == []


@pytest.mark.parametrize("name", ["index.html", "claims/toy/steps.html", "speed/laptop/01_speed.html"])
def test_nothing_is_cut_on_a_phone(opened, name):
    width, console = opened[1]("<title></title>" + PHONE.format(page=name))
    assert int(width) <= 390 and console == []
