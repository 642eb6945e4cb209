"""What notebooks would train, without training: each runs up to its first training, and leaves its plan."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from studykit.home import DRY_RUN
from studykit.notebooks.catalogue import check_parameters, notebook_of, notebooks
from studykit.notebooks.execution import execute


def plan_notebook(stem: str, parameters: Mapping[str, Any]) -> tuple[list[dict[str, Any]], str]:
    """Rows of what is still to train, none where nothing is; and why the notebook failed before, or nothing.

    Raises:
        ValueError: unknown notebook, parameter or profile; the message lists the known ones.
    """
    from studykit.runs.plan import read_plans

    stem = notebook_of(stem)
    check_parameters(stem, parameters)
    with tempfile.TemporaryDirectory(prefix="studykit-") as name:
        folder = Path(name)
        error = execute(
            notebooks()[stem], folder / f"{stem}.ipynb", parameters,
            log=folder / f"{stem}.log", variables={DRY_RUN: name},
        )  # fmt: skip
        rows = read_plans(folder)
        return rows, "" if rows else error
