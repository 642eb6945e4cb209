"""How long a user waits: finished studies opened again, and ``studykit --help``, each against its peer."""

import os
import subprocess
import sys
import tempfile
import time
from unittest.mock import patch

import numpy as np
from timing import compared, is_quick, race, write_result

from studykit.notebooks import run_notebook

NOTEBOOK = "01_bertswin_convergence"
JOBS = 2
NOTES = (
    "Notebook 01 at the smoke profile executed again, its runs being done, against its first execution, "
    "which trains; all notebooks at that profile, {jobs} at a time, likewise, once each (`studykit run`); "
    "and studykit --help against the bare interpreter. The limits are of ours."
)
WHY = "the bare interpreter imports nothing and says nothing"


def seconds_of_notebook() -> float:
    """Wall-clock of one execution, its kernel's start included."""
    execution = run_notebook(NOTEBOOK, {"profile": "smoke"})
    if execution.error:
        raise RuntimeError(f"{NOTEBOOK} failed:\n{execution.error}")
    return execution.seconds


def seconds_of_all() -> float:
    """Wall-clock of all notebooks.

    Raises:
        CalledProcessError: one of them failed.
    """
    start = time.perf_counter()
    command = [sys.executable, "-m", "studykit", "run", "--profile", "smoke", "--jobs", str(JOBS)]
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def main(quick: bool) -> None:
    rows = []
    with tempfile.TemporaryDirectory() as folder, patch.dict(os.environ, STUDYKIT_RESULTS=folder):
        first = np.array([seconds_of_notebook()])
        again = np.array([seconds_of_notebook() for _ in range(1 if quick else 3)])
        rows.append(row("notebook 01 again", "its first execution", again, first.repeat(len(again)), 20.0))
        if not quick:
            all_first, all_again = (np.array([seconds_of_all()]) for _ in range(2))
            rows.append(row("all notebooks again", "their first execution", all_again, all_first, 90.0))
    start = race(
        {
            "ours": lambda: subprocess.run(
                [sys.executable, "-m", "studykit", "--help"], stdout=subprocess.DEVNULL, check=True
            ),
            "peer": lambda: subprocess.run([sys.executable, "-c", "pass"], check=True),
        },
        rounds=3 if quick else 20,
    )
    rows.append(row("studykit --help", "python -c pass", start["ours"], start["peer"], 0.5))
    write_result("reopen", rows, NOTES.format(jobs=JOBS), quick=quick)


def row(name: str, peer: str, ours: np.ndarray, theirs: np.ndarray, limit: float) -> dict[str, float | str]:
    """A row whose target is a limit on ours, in seconds."""
    columns = compared(ours, theirs, why=WHY)
    del columns["target"]
    met = "yes" if np.median(ours) < limit else "no"
    return {"ours": name, "peer": peer} | columns | {"limit (ms)": limit * 1e3, "met": met}


if __name__ == "__main__":
    main(is_quick(__doc__))
