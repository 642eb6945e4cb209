"""The report in a browser, where there is one: it filters, sorts, keeps quiet and fits a phone."""

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
const head = document.querySelector("thead th button");
head.click(); head.click();
const sorted = [...document.querySelectorAll("tbody tr")].map(row => row.id);
document.title = [shown, sorted, document.querySelector("output").textContent].join("|");
</script>"""

PHONE = """<iframe src="{page}" style="width:390px;height:800px"></iframe><script>
onload = () => {{ const inside = document.querySelector("iframe").contentDocument.documentElement;
document.title = inside.scrollWidth; }};</script>"""


@pytest.fixture
def opened(conclude, papers, tmp_path):
    """Writes a report, puts more behind its start page or beside it, and gives title and console back."""
    conclude.write("steps", "laptop", ratio(2.4, 1.8, 3.3))
    _, site = write_summary(conclude.results, papers, {})

    def open_page(text):
        path = site.with_name("tried.html")
        path.write_text(text, encoding="utf-8")
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"]
        flags += [f"--user-data-dir={tmp_path}", "--enable-logging=stderr", "--dump-dom", path.as_uri()]
        done = subprocess.run([BROWSER, *flags], capture_output=True, text=True, timeout=60)
        return re.search("<title>(.*?)</title>", done.stdout)[1], re.findall("CONSOLE.*", done.stderr)

    return site, open_page


def test_it_filters_and_sorts_without_a_word_on_the_console(opened):
    site, open_page = opened
    title, console = open_page(site.read_text(encoding="utf-8") + USED)
    assert title == "toy/steps|toy/steps,toy/late,toy/flops,toy/count|1 of 4 claims"
    assert console == []


@pytest.mark.parametrize("name", ["index.html", "claims/toy/steps.html"])
def test_nothing_is_cut_on_a_phone(opened, name):
    width, console = opened[1]("<title></title>" + PHONE.format(page=name))
    assert int(width) <= 390 and console == []
