"""The house keeps its floors: imports run downwards and never in a circle, as the imports themselves say."""

import ast
from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from studykit import home

FLOORS = (
    "__main__",
    "cli",
    "bundle finetuning studies",
    "batch",
    "study notebooks",
    "arms pretraining report",
    "runs",
    "probes tasks",
    "methods",
    "models losses metrics figures",
    "layers training data claims workspace",
    "imports",
    "masking registry atomic home version",
)
"""Rooms of the package from the top floor down."""

DATA_FLOORS = (
    "labelled check traits aneurysms",
    "sources splits",
    "kinds crops",
    "angiography",
    "cohorts",
    "volumes",
    "files cores",
)
"""Rooms of ``studykit.data`` from the top floor down."""

MOST_LINES = 300
PACKAGE = Path(home.__file__).parent


def _modules() -> dict[str, Path]:
    """Every module below the package, by its dotted name without ``studykit.``."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    del found[""]
    return found


MODULES = _modules()


def imported(path: Path) -> set[str]:
    """Modules of the package that a file imports, wherever in it the import stands."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("studykit"):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name.removeprefix("studykit.") for name in names]
            found |= {name if name in MODULES else name.rpartition(".")[0] for name in names}
        elif isinstance(node, ast.Import):
            names = {alias.name.removeprefix("studykit.") for alias in node.names}
            found |= names & MODULES.keys()
    return found - {""}


IMPORTS = {name: imported(path) - {name} for name, path in MODULES.items()}


def upward(imports: Mapping[str, set[str]], floors: tuple[str, ...], inside: str = "") -> list[str]:
    """Imports from a room to one above it, as ``importer -> imported``; rooms are named below ``inside``."""
    height = {room: -floor for floor, rooms in enumerate(floors) for room in rooms.split()}
    wrong = []
    for name, others in imports.items():
        for other in sorted(others):
            if name.startswith(inside) and other.startswith(inside):
                here, there = (text.removeprefix(inside).partition(".")[0] for text in (name, other))
                if here != there and height[here] <= height[there]:
                    wrong.append(f"{name} -> {other}")
    return wrong


def test_every_room_has_a_floor():
    rooms = {name.partition(".")[0] for name in MODULES}
    assert rooms == {room for floor in FLOORS for room in floor.split()}


def test_imports_run_downwards():
    assert upward(IMPORTS, FLOORS) == []


def test_imports_run_downwards_inside_data():
    assert upward(IMPORTS, DATA_FLOORS, "data.") == []


def test_no_module_stands_in_a_circle():
    try:
        TopologicalSorter(IMPORTS).prepare()
    except CycleError as error:
        pytest.fail(f"a circle of imports: {' -> '.join(error.args[1])}")


def test_what_one_study_uses_stays_its_own():
    """A room of ``studies/`` knows no other one: what two studies use belongs a floor lower."""
    wrong = []
    for name, others in IMPORTS.items():
        own = name.split(".")[:2]
        if own[0] == "studies" and len(own) == 2:
            wrong += [
                f"{name} -> {o}" for o in others if o.startswith("studies.") and o.split(".")[:2] != own
            ]
    assert wrong == []


@pytest.mark.parametrize("name", MODULES)
def test_a_module_is_one_idea(name):
    lines = len(MODULES[name].read_text(encoding="utf-8").splitlines())
    assert lines <= MOST_LINES, f"{MODULES[name]} has {lines} lines"


def test_an_import_upwards_and_a_circle_are_found():
    imports = {"layers.linear": {"models.vit"}, "models.vit": {"layers.linear"}}
    assert upward(imports, FLOORS) == ["layers.linear -> models.vit"]
    with pytest.raises(CycleError):
        TopologicalSorter(imports).prepare()
