"""How long a user waits: a finished study opened again, and ``studykit --help``, each against its peer."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from unittest.mock import patch

import numpy as np
from timing import compared, is_quick, race, write_result

from studykit.notebooks import run_notebook

NOTEBOOK = "01_bertswin_convergence"
NOTES = (
    "Notebook 01 at the smoke profile executed again, its runs being done, against its first execution, "
    "which trains; and studykit --help against the bare interpreter. The limits are of ours."
)


def seconds_of_notebook() -> float:
    """Wall-clock of one execution, its kernel's start included."""
    execution = run_notebook(NOTEBOOK, {"profile": "smoke"})
    if execution.error:
        raise RuntimeError(f"{NOTEBOOK} failed:\n{execution.error}")
    return execution.seconds


def main(quick: bool) -> None:
    with tempfile.TemporaryDirectory() as folder, patch.dict(os.environ, STUDYKIT_RESULTS=folder):
        first = np.array([seconds_of_notebook()])
        again = np.array([seconds_of_notebook() for _ in range(1 if quick else 5)])
    command = Path(sys.executable).with_name("studykit")
    start = race(
        {
            "ours": lambda: subprocess.run([command, "--help"], stdout=subprocess.DEVNULL, check=True),
            "peer": lambda: subprocess.run([sys.executable, "-c", "pass"], check=True),
        },
        rounds=3 if quick else 20,
    )
    rows = [
        row("notebook 01 again", "its first execution", again, first.repeat(len(again)), limit=20.0),
        row("studykit --help", "python -c pass", start["ours"], start["peer"], limit=0.5),
    ]
    write_result("reopen", rows, NOTES, quick=quick)


def row(name: str, peer: str, ours: np.ndarray, theirs: np.ndarray, limit: float) -> dict[str, float | str]:
    """A row whose target is a limit on ours, in seconds."""
    columns = compared(ours, theirs)
    del columns["target"]
    met = "yes" if np.median(ours) < limit else "no"
    return {"ours": name, "peer": peer} | columns | {"limit (ms)": limit * 1e3, "met": met}


if __name__ == "__main__":
    main(is_quick(__doc__))
