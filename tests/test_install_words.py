"""Nothing says to install studykit by its bare name: on the package index that is somebody else's."""

import json
import re
import tomllib
from pathlib import Path

import pytest

from studykit import home
from studykit.imports import how_to_get
from studykit.version import __version__

BARE = re.compile(
    r"install\b[^\n|]*?(?<![\w./-])studykit(?=\[|[=<>~!]=?\d|\s*(?:$|[`'\"]|&&|;))|\bstudykit\[[a-z]", re.M
)
WHEEL = re.compile(r"studykit-(\S+?)-py3-none-any\.whl")
KINDS = ("*.md", "*.py", "*.txt", "*.toml", "*.yml", "*.sh", "*.ipynb")
OURS = ("docs", "studykit", "notebooks", "benchmarks", "papers", "scripts", "tests", "results", ".github")
FILES = [
    *(path for kind in KINDS for path in home.home().glob(kind)),
    *(p for name in OURS for kind in KINDS for p in (home.home() / name).rglob(kind) if p != Path(__file__)),
]


def words(path: Path) -> str:
    """What a file says; of a notebook its sources alone, as pictures are long."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".ipynb":
        return text
    return "\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"])


def test_no_page_message_or_notebook_installs_the_bare_name():
    assert {"README.md", "start.md", "workspace.py", "00_tour.ipynb"} <= {path.name for path in FILES}
    found = {str(path): match[0] for path in FILES if (match := BARE.search(words(path)))}
    assert found == {}


@pytest.mark.parametrize(
    "text",
    [
        "pip install studykit",
        "`pip install --upgrade studykit` first",
        "pip install 'studykit[notebooks]'",
        "install studykit[viewer], or go without",
        'pip install "studykit==0.1.0"',
        "uv pip install studykit && studykit init",
    ],
)
def test_the_search_finds(text):
    assert BARE.search(text)


@pytest.mark.parametrize(
    "text",
    [
        "pip install -e '.[notebooks]'",
        "pip install 'studykit-0.1.0-py3-none-any.whl[notebooks]'",
        "pip install ./studykit",
        "pip install pre-commit\nstudykit init",
        "installs what studykit runs",
    ],
)
def test_the_search_passes_over(text):
    assert not BARE.search(text)


def test_the_name_of_the_wheel_is_the_one_that_is_built():
    page = words(home.home() / "docs" / "start.md")
    assert set(WHEEL.findall(page)) == {__version__} and "is not ours" in page


def test_what_is_missing_comes_from_the_clone_or_from_the_wheel(tmp_path, monkeypatch):
    extras = tomllib.loads(words(home.home() / "pyproject.toml"))["project"]["optional-dependencies"]
    source = "".join(words(path) for path in (home.home() / "studykit").rglob("*.py"))
    asked = set(re.findall(r"""how_to_get\(['"](\w+)['"]\)""", source))
    assert asked and asked <= set(extras)
    assert how_to_get("viewer") == "pip install -e '.[viewer]' in the clone"
    monkeypatch.setattr(home, "PACKAGE", tmp_path / "studykit")
    assert WHEEL.search(how_to_get("viewer"))[1] == __version__
