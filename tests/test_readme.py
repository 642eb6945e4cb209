"""The front door: README is short, its numbers are the verdicts', and links lead somewhere."""

import re
from pathlib import Path

import pytest

from studykit.claims.paper import load_papers
from studykit.claims.verdict import STATUSES
from studykit.home import home, results_dir
from studykit.report.answer import load_answers
from studykit.report.evidence import gather
from studykit.report.front import BEGIN, END, front

MOST_WORDS, MOST_WORDS_OF_A_PAPER, MOST_WORDS_OF_AN_ANSWER = 400, 70, 40
PAGES = [
    *(home() / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    results_dir() / "SUMMARY.md",
    *sorted((home() / "docs").glob("*.md")),
]
LINK = re.compile(r"""\]\(([^)\s]+)\)|(?:src|href)="([^"]+)\"""")


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def test_the_readme_is_as_the_report_writes_it():
    block = text_of(home() / "README.md").partition(BEGIN)[2].partition(END)[0].strip()
    papers = load_papers()
    said = front(gather(results_dir(), papers), papers, load_answers(), "results/")
    assert block == said, "run studykit report"


def words(text: str) -> int:
    """As they are read: without addresses and tags."""
    return len(re.sub(r"<[^>]+>|\]\([^)]+\)", " ", text).split())


def test_the_readme_is_read_in_one_go_and_names_every_paper():
    text = text_of(home() / "README.md")
    before, rest = text.split(BEGIN)
    block, after = rest.split(END)
    assert words(before + after) < MOST_WORDS
    for paper, part in zip(load_papers().values(), block.split("### ")[1:], strict=True):
        assert part.startswith(f"{paper.title}\n")
        assert words(part) < MOST_WORDS_OF_A_PAPER, paper.name
        answer = part.partition("**Short answer:** ")[2].partition("\n")[0].partition(" See [")[0]
        assert 0 < words(answer) <= MOST_WORDS_OF_AN_ANSWER, paper.name


def test_the_commands_come_first_and_say_how_long_they_take():
    text = text_of(home() / "README.md")
    assert text.index("make study") < text.index("make test") < len(text) / 3
    assert "minutes" in text[text.index("make study") : text.index("make test")]


def test_the_words_of_a_verdict_are_explained_before_they_are_used():
    before = text_of(home() / "README.md").partition(BEGIN)[0]
    for status in STATUSES:
        assert f"*{status.removesuffix(' reproduced') if 'partially' in status else status}*" in before, (
            status
        )


def test_a_picture_is_shown_at_the_size_at_which_its_words_are_read():
    text = text_of(home() / "README.md")
    shown = re.findall(r'<img src="([^"]+)" width="(\d+)"', text)
    assert shown and "align=" not in text
    for file, width in shown:
        (drawn,) = re.findall(r'<svg[^>]* width="([\d.]+)pt"', text_of(home() / file)[:2000])
        assert int(width) > 0.9 * float(drawn) * 4 / 3


@pytest.mark.parametrize("page", [home() / "README.md", home() / "docs" / "index.md"], ids=str)
def test_the_report_is_a_link_away(page):
    links = [first or second for first, second in LINK.findall(text_of(page))]
    assert results_dir() / "index.html" in [(page.parent / link).resolve() for link in links]


def test_what_is_written_by_hand_states_no_result():
    before, rest = text_of(home() / "README.md").split(BEGIN)
    by_hand = before + rest.split(END)[1]
    assert not re.search(r"\d\s*[×%]|\[[−\d.]+, [−\d.]+\]", by_hand)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_link_leads_somewhere(page):
    links = [first or second for first, second in LINK.findall(text_of(page))]
    assert links or page.parent.name == "docs"
    for link in links:
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(text_of(target)), link


def anchors(text: str) -> set[str]:
    """Names that a page can be entered by: its own, and those of its headings as code hosts make them."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    made = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return made | set(re.findall(r'<a id="([^"]+)"', text))
