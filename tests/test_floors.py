"""The house keeps its floors: imports run downwards and never in a circle, as the imports themselves say."""

import ast
import json
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

STARTED = {"__main__", "bundle.node", "notebooks.kernel", "runs.worker"}
"""Modules that are run as a process, so that nobody imports them."""

OFFERED = {"batch", "models.monai_weights"}
"""Modules for people's own scripts: one by its earlier name, one by docs/data.md."""

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
    return imported_in(path.read_text(encoding="utf-8"))


def imported_in(code: str) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("studykit"):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name.removeprefix("studykit.") for name in names]
            found |= {name if name in MODULES else name.rpartition(".")[0] for name in names}
        elif isinstance(node, ast.Import):
            names = {alias.name.removeprefix("studykit.") for alias in node.names}
            found |= names & MODULES.keys()
    return found - {""}


IMPORTS = {name: imported(path) - {name} for name, path in MODULES.items()}


def notebook_imports(path: Path) -> set[str]:
    """As :func:`imported`, of a notebook's cells."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    lines = [
        line for cell in cells if cell["cell_type"] == "code" for line in "".join(cell["source"]).split("\n")
    ]
    return imported_in("\n".join(line for line in lines if not line.lstrip().startswith(("%", "!"))))


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


def test_what_one_notebook_alone_uses_stands_in_its_own_room():
    """Only probes stand with the others of their kind even where a single study asks them."""
    users = {name: {other for other, own in IMPORTS.items() if name in own} for name in MODULES}
    for path in sorted(home.notebooks_dir().glob("*.ipynb")):
        for name in notebook_imports(path) & MODULES.keys():
            users[name].add(path.stem)
    alone = {}
    for name, own in users.items():
        studies = {user.split(".")[1] for user in own if user.startswith("studies.")}
        if len(studies) == 1 and all(user.startswith("studies.") for user in own):
            alone[name] = studies.pop()
    wrong = {
        name: study
        for name, study in alone.items()
        if name.partition(".")[0] not in ("studies", "probes") and not MODULES[name].name == "__init__.py"
    }
    assert wrong == {}, "they belong below studies/"


def test_what_only_tests_use_stands_with_them():
    imported_by_all = set().union(*IMPORTS.values())
    for path in (*home.notebooks_dir().glob("*.ipynb"), *(home.home() / "benchmarks").glob("*.py")):
        imported_by_all |= notebook_imports(path) if path.suffix == ".ipynb" else imported(path)
    left = {name for name in MODULES if MODULES[name].name != "__init__.py"} - imported_by_all
    assert {name for name in left if not name.startswith("data.kinds.")} == STARTED | OFFERED


@pytest.mark.parametrize("name", MODULES)
def test_a_module_is_one_idea(name):
    lines = len(MODULES[name].read_text(encoding="utf-8").splitlines())
    assert lines <= MOST_LINES, f"{MODULES[name]} has {lines} lines"


def test_an_import_upwards_and_a_circle_are_found():
    imports = {"layers.linear": {"models.vit"}, "models.vit": {"layers.linear"}}
    assert upward(imports, FLOORS) == ["layers.linear -> models.vit"]
    with pytest.raises(CycleError):
        TopologicalSorter(imports).prepare()
