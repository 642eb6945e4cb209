"""The examples in docstrings are true, and every public loss, metric and layer has one."""

import ast
import doctest
import importlib
from pathlib import Path

import pytest
import torch

from studykit import home

PACKAGE = Path(home.__file__).parent
SHOWN = ("losses", "metrics", "layers")
"""Rooms of which each public function and module has an example."""
WITHOUT = ("losses/__init__.py", "losses/patch_loss.py", "layers/minkowski.py", "metrics/remembered.py")
"""A table, a base, an engine that is not installed everywhere, and a memory of counts."""
RECORDS = {"dataclass", "NamedTuple"}
ROOMS = [path for room in SHOWN for path in sorted((PACKAGE / room).glob("*.py"))]
ROOMS = [path for path in ROOMS if path.relative_to(PACKAGE).as_posix() not in WITHOUT]
WITH_EXAMPLES = sorted(p for p in PACKAGE.rglob("*.py") if ">>> " in p.read_text(encoding="utf-8"))


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def public(path: Path) -> list[ast.FunctionDef | ast.ClassDef]:
    """Functions and classes that others use; records, which hold values and do nothing, are left out."""
    found = []
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            marks = {*node.decorator_list, *(node.bases if isinstance(node, ast.ClassDef) else ())}
            names = {part.id for mark in marks for part in ast.walk(mark) if isinstance(part, ast.Name)}
            if not names & RECORDS:
                found.append(node)
    return found


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=name_of)
def test_examples_are_true(path):
    dotted = path.relative_to(PACKAGE.parent).with_suffix("").parts
    module = importlib.import_module(".".join(dotted).removesuffix(".__init__"))
    torch.manual_seed(0)
    outcome = doctest.testmod(module)
    assert outcome.attempted and not outcome.failed


@pytest.mark.parametrize("path", ROOMS, ids=name_of)
def test_every_public_name_shows_itself_at_work(path):
    """The inverse of something is shown there or here."""
    words = {node.name: ast.get_docstring(node) or "" for node in public(path)}
    assert not [name for name, text in words.items() if ">>> " not in text and "Inverse of" not in text]
