"""Tests stand where the code stands that they test: ``tests/`` and ``studykit/`` mirror each other.

``tests/<room>/test_<module>.py`` tests ``studykit/<room>/<module>.py``. A longer name says which side of the
module it looks at (``test_check_messy_folder.py``); a room's own name stands for all of the room
(``test_layers_on_a_card.py``). What looks at more than one room is in :data:`BESIDE`.
"""

from pathlib import Path

import pytest

from studykit import home

BESIDE = {
    "additions": "studykit",
    "benchmarks": "benchmarks",
    "committed_notebooks": "notebooks",
    "docs": "docs",
    "doctests": "studykit",
    "environment": "environment.yml",
    "evidence_weight": "results",
    "faults": "scripts/faults",
    "floors": "studykit",
    "golden": "tests/golden.json",
    "install_words": "README.md",
    "minkowski_wheel": "scripts/minkowski_wheel.py",
    "mirror": "tests",
    "project_files": "Makefile",
    "readme": "README.md",
    "released_encoder": "results",
    "wheel": "pyproject.toml",
}
"""Tests at the top of ``tests/`` that belong to no module, and what they look at."""

TESTS = Path(__file__).parent
PACKAGE = Path(home.__file__).parent


def mirrored(test: str, modules: set[str]) -> str | None:
    """The module of a test file named below ``tests/``, or its room with a slash behind it, or None.

    Args:
        test: such as ``"data/test_check.py"``.
        modules: such as ``{"data/check.py"}``, below the package.
    """
    path = Path(test)
    words = path.stem.removeprefix("test_").split("_")
    for length in range(len(words), 0, -1):
        name = "_".join(words[:length])
        for module in (path.parent / f"{name}.py", path.parent / name / "__init__.py"):
            if module.as_posix() in modules:
                return module.as_posix()
        if name == path.parent.name and (path.parent / "__init__.py").as_posix() in modules:
            return f"{path.parent.as_posix()}/"
    return None


MODULES = {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py")}
FILES = sorted(path.relative_to(TESTS).as_posix() for path in TESTS.rglob("test_*.py"))


@pytest.mark.parametrize("test", FILES)
def test_a_test_stands_where_its_module_does(test):
    beside = BESIDE.get(test.removeprefix("test_").removesuffix(".py"))
    assert mirrored(test, MODULES) or beside, f"tests/{test}: studykit has no such module; name or move it"
    assert not beside or mirrored(test, MODULES) is None, f"tests/{test} has a module, it is no exception"


def test_what_is_looked_at_beside_the_package_is_there():
    gone = [name for name in BESIDE if f"test_{name}.py" not in FILES]
    assert not gone, "exceptions of tests that are no more"
    assert not [place for place in BESIDE.values() if not (TESTS.parent / place).exists()]


def test_every_room_has_tests():
    """A room without any is a folder of the package in which something is defined."""
    rooms = {Path(module).parent.as_posix() for module in MODULES if not module.endswith("__init__.py")}
    tested = {Path(test).parent.as_posix() for test in FILES}
    assert rooms - tested == set()


@pytest.mark.parametrize(
    ("test", "module"),
    [
        ("data/test_check.py", "data/check.py"),
        ("data/test_check_of_a_folder.py", "data/check.py"),
        ("test_data.py", "data/__init__.py"),
        ("data/test_data_of_all_kinds.py", "data/"),
        ("data/test_sources.py", None),
        ("test_check.py", None),
        ("test_checks.py", None),
    ],
)
def test_a_name_leads_to_its_module(test, module):
    assert mirrored(test, {"data/check.py", "data/__init__.py"}) == module
