"""Which notebooks there are, and which parameters each declares."""

import ast
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from studykit import home
from studykit.arms.profiles import check_profile


def notebooks() -> dict[str, Path]:
    """All notebooks by stem, in order."""
    return {path.stem: path for path in sorted(home.notebooks_dir().glob("[0-9][0-9]_*.ipynb"))}


def notebook_of(name: str) -> str:
    """Stem of a notebook from its stem or from its study.

    Raises:
        ValueError: unknown; the message lists the known studies and notebooks.
    """
    known = notebooks()
    by_study = {study_of(stem): stem for stem in known}
    stem = name if name in known else by_study.get(name)
    if stem is None:
        raise ValueError(f"No notebook for {name!r}. Known: {', '.join(by_study)}.")
    return stem


def study_of(stem: str) -> str:
    """Name of a notebook's folder below ``results/``: ``01_bertswin_convergence`` is bertswin-convergence."""
    return stem.partition("_")[2].replace("_", "-")


def parameters_of(stem: str) -> dict[str, str]:
    """Parameters that a notebook declares, with their defaults as written."""
    return {
        ast.unparse(target): ast.unparse(line.value) for line in _lines(stem) for target in _targets(line)
    }


def texts_of(stem: str) -> set[str]:
    """Parameters that are text, by the annotation that the notebook gives them or else by their default."""
    return {
        ast.unparse(target)
        for line in _lines(stem)
        for target in _targets(line)
        if (ast.unparse(line.annotation) if isinstance(line, ast.AnnAssign) else _type(line.value)) == "str"
    }


def _lines(stem: str) -> Iterator[ast.Assign | ast.AnnAssign]:
    """The assignments in a notebook's cell of parameters."""
    content = json.loads(notebooks()[notebook_of(stem)].read_text(encoding="utf-8"))
    for cell in content["cells"]:
        if "parameters" in cell["metadata"].get("tags", []):
            for line in ast.parse("".join(cell["source"])).body:
                if isinstance(line, ast.Assign | ast.AnnAssign) and line.value is not None:
                    yield line


def _targets(line: ast.Assign | ast.AnnAssign) -> list[ast.expr]:
    return line.targets if isinstance(line, ast.Assign) else [line.target]


def _type(value: ast.expr) -> str:
    return type(value.value).__name__ if isinstance(value, ast.Constant) else ""


def check_parameters(stem: str, parameters: Mapping[str, Any]) -> None:
    """Refuse parameters that the notebook does not declare, and a profile that there is not.

    Raises:
        ValueError: an unknown parameter or profile; the message lists the known ones.
    """
    known = parameters_of(stem)
    unknown = sorted(set(parameters) - set(known))
    if unknown:
        raise ValueError(
            f"{stem} has no parameter {', '.join(unknown)}. Known: {', '.join(known) or 'none'}."
        )
    if "profile" in parameters:
        check_profile(parameters["profile"])
