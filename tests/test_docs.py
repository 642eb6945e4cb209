"""What the documentation says is so: names, commands, files, tables; the site builds without a warning."""

import ast
import fnmatch
import importlib
import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from test_floors import FLOORS

from studykit.claims.estimate import Estimate
from studykit.claims.paper_file import read_paper
from studykit.claims.verdict import judge
from studykit.cli import _parser
from studykit.data.sources import list_sources
from studykit.home import home
from studykit.notebooks import new_claim

DOCS = home() / "docs"
WRITTEN = [home() / "README.md", home() / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md"))]
NOT_IN_THE_REFERENCE = {
    "__main__", "cli", "bundle", "notebooks", "report", "studies", "registry", "atomic", "home", "imports"
}  # fmt: skip
"""Rooms that nobody imports but the kit itself."""
QUESTIONS = {1: "abc", 2: "abcde", 3: "abcdefg", 4: "abc", 5: "abcdef", 6: "abc", 7: "abc", 8: "ab"}
"""Of the REFORMS checklist."""

pages = pytest.mark.parametrize("page", WRITTEN, ids=lambda path: path.name)


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(page: Path, kind: str = "") -> list[str]:
    """Fenced blocks of a language; the plain ones are for a shell."""
    fenced = re.findall(r"^```(\S*)\n(.*?)^```$", text_of(page), re.M | re.S)
    return [text for language, text in fenced if language == kind]


def inline(page: Path) -> list[str]:
    without = re.sub(r"^```.*?^```$", "", text_of(page), flags=re.M | re.S)
    return re.findall(r"`([^`\n]+)`", without)


def scripts():
    spec = importlib.util.spec_from_file_location("architecture", home() / "scripts" / "architecture.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def resolved(name: str) -> object:
    """What a dotted name below ``studykit`` stands for."""
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for attribute in parts[cut:]:
            found = getattr(found, attribute)
        return found
    raise ModuleNotFoundError(name)


@pages
def test_every_name_of_code_is_one(page):
    for code in inline(page):
        if re.fullmatch(r"studykit(\.\w+)+", code):
            resolved(code)
    for block in blocks(page, "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("studykit"):
                for alias in node.names:
                    resolved(f"{node.module}.{alias.name}")


@pages
def test_every_command_is_one(page):
    parser = _parser()
    lines = [line for block in blocks(page) for line in block.splitlines()]
    for line in lines:
        for command in line.partition("  #")[0].split("&&"):
            words = shlex.split(command)
            if words[:1] == ["studykit"]:
                parser.parse_args(words[1:])
    verbs = set(re.search(r"\{(.+?)\}|$", parser.format_usage()).group(0).strip("{}").split(","))
    verbs |= set(next(a for a in parser._actions if a.choices).choices)
    targets = set(re.findall(r"^([a-z]+):", text_of(home() / "Makefile"), re.M))
    for code in inline(page):
        words = code.split()
        if words[0] == "studykit" and len(words) > 1:
            assert words[1] in verbs, code
        if words[0] == "make" and len(words) > 1:
            assert words[1] in targets, code


@pages
def test_every_file_of_the_kit_is_there(page):
    for code in inline(page):
        if re.match(r"(papers|docs|notebooks|studykit|tests|scripts|results|\.github)/[\w./*-]*$", code):
            made = "my-paper" in code or "NN_" in code or "windows_help" in code
            assert made or list(home().glob(code.rstrip("/"))), code


@pages
def test_every_variable_is_read_somewhere(page):
    source = "".join(text_of(path) for path in (home() / "studykit").rglob("*.py"))
    for name in re.findall(r"STUDYKIT_[A-Z]+", text_of(page)):
        assert name in source or name in text_of(home() / "tests" / "conftest.py"), name


def test_the_claim_of_the_walk_through_is_read_and_judged_as_it_says(tmp_path):
    page = DOCS / "own-claim.md"
    (entry,) = blocks(page, "toml")
    file = tmp_path / "my-paper" / "paper.toml"
    file.parent.mkdir()
    file.write_text(new_claim.PAPER.format(paper="my-paper") + entry, encoding="utf-8")
    claim = read_paper(file).claim("windows-help")
    rows = re.findall(r"^\| ([\d.]+) \[([\d.]+), ([\d.]+)\] \| (.+), (.+) \| (.+) \|$", text_of(page), re.M)
    assert len(rows) > 4
    for *numbers, finding, size, status in rows:
        verdict = judge(claim, Estimate(*map(float, numbers), 5, "reduced-scale", unit="×"), profile="laptop")
        assert (verdict.finding, verdict.size, verdict.status) == (finding, size, status)


def test_the_walk_through_names_the_arms_where_the_notebook_names_them():
    """And the notebook's number, which the next one of the kit takes, is called one of many."""
    page = text_of(DOCS / "own-claim.md")
    cells = Path(new_claim.__file__).with_name("new_claim.txt").read_text(encoding="utf-8")
    code = re.findall(r"^%% code.*?\n(.*?)(?=^%%|\Z)", cells, re.M | re.S)
    naming = [text for text in code if re.search(r"\bbaseline\b(?! paints)", text)]
    calls = ("study.arm(", "found = {", "lead_over_interpolation(", "study.conclude(")
    assert [next(call for call in calls if call in text) for text in naming] == list(calls)
    table = page[page.index("| cell below |") : page.index("## 3. A first run")]
    assert all(
        word in table for word in ("study.arm(", "`found`", "lead_over_interpolation(", "study.conclude")
    )
    assert 'pair = "baseline over new"' in new_claim.CLAIM and '"baseline over new"' in naming[1]
    assert "pip install pytest" in page
    (said,) = re.findall(r"\b\d\d_windows_help(.*)", page)
    assert said == '"  # whatever number studykit new gave it'


def test_licences_are_those_of_the_sources():
    rows = [
        line.split(" | ") for line in text_of(DOCS / "licences.md").splitlines() if line.startswith("| `")
    ]
    named = {row[0].strip("| `"): (row[1], row[2], row[3].removesuffix(" |")) for row in rows}
    used = set()
    for source in list_sources():
        (name,) = [name for name in named if fnmatch.fnmatchcase(source.name, name)]
        assert named[name] == (source.licence, source.citation or "–", source.how), source.name
        used.add(name)
    assert used == set(named)


def test_every_question_of_reforms_is_answered_once():
    answers = re.findall(r"^\| (\d[a-g]) \| .+? \| (.+) \|$", text_of(DOCS / "reforms.md"), re.M)
    assert [number for number, _ in answers] == [
        f"{m}{letter}" for m, own in QUESTIONS.items() for letter in own
    ]
    assert all(len(answer.split()) > 3 for _, answer in answers)


def test_the_reference_has_every_public_room():
    listed = re.findall(r"^   studykit\.(\w+)$", text_of(DOCS / "reference.md"), re.M)
    rooms = {room for floor in FLOORS for room in floor.split()}
    assert sorted(listed) == sorted(rooms - NOT_IN_THE_REFERENCE)


def test_every_page_is_in_the_table_of_contents():
    inside = blocks(DOCS / "index.md", "{toctree}")
    listed = {line for block in inside for line in block.splitlines() if line and not line.startswith(":")}
    assert {path.stem for path in DOCS.glob("*.md")} - {"index"} <= listed
    assert all((DOCS / f"{name}.md").is_file() for name in listed)


def test_the_picture_of_the_house_is_as_the_imports_are():
    drawn = scripts()
    picture = drawn.picture(drawn.rooms_of(drawn.PACKAGE))
    assert text_of(drawn.PICTURE) == picture, "run python scripts/architecture.py"


def test_the_picture_shows_each_import_by_a_way_down_and_none_twice():
    drawn = scripts()
    imports = {"top": {"middle", "low"}, "middle": {"low"}, "low": set(), "other": {"low"}}
    assert drawn.floors_of(imports) == {"low": 0, "middle": 1, "other": 1, "top": 2}
    assert drawn.direct(imports) == [("middle", "low"), ("other", "low"), ("top", "middle")]
    assert drawn.picture(imports).count("marker-end") == 3


@pytest.mark.notebook
def test_the_site_builds_without_a_warning(tmp_path):
    """Skipped where `make docs` has not brought Sphinx; continuous integration brings it."""
    pytest.importorskip("myst_nb")
    command = [sys.executable, "-m", "sphinx", "-b", "html", "-W", "--keep-going", "-q", "-c", "docs", "."]
    done = subprocess.run([*command, str(tmp_path)], cwd=home(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert 'href="../results/index.html"' in text_of(tmp_path / "docs" / "index.html")
    for page in (
        "index",
        "notebooks/00_tour",
        "results/SUMMARY",
        "results/index",
        "docs/api/studykit.losses.mvc",
    ):
        assert (tmp_path / f"{page}.html").is_file() or (tmp_path / "docs" / f"{page}.html").is_file()
