"""How long a user waits: all claims from nothing and again, one study again, ``studykit --help``."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from unittest.mock import patch

import numpy as np
from timing import compared, is_quick, race, write_result

from studykit.notebooks import run_notebook

NOTEBOOK = "01_bertswin_convergence"
JOBS = 2
NOTES = (
    f"All notebooks at the smoke profile, --jobs {JOBS}, from nothing but the volumes, and again from their "
    "finished runs, each once; notebook 01 alone again, against its first execution, which trains; and "
    "studykit --help against the bare interpreter. The limits are of ours."
)
WHY = "the bare interpreter imports nothing and says nothing"


def seconds_of_notebook() -> float:
    """Wall-clock of one execution, its kernel's start included."""
    execution = run_notebook(NOTEBOOK, {"profile": "smoke"})
    if execution.error:
        raise RuntimeError(f"{NOTEBOOK} failed:\n{execution.error}")
    return execution.seconds


def seconds_of_all(*options: str) -> float:
    """Wall-clock of ``studykit run`` of every notebook."""
    command, start = Path(sys.executable).with_name("studykit"), time.perf_counter()
    subprocess.run([command, "run", "--jobs", str(JOBS), *options], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def of_all() -> list[dict[str, float | str]]:
    """Rows of all claims: from nothing, executed again, and left as they are."""
    with tempfile.TemporaryDirectory() as folder, patch.dict(os.environ, STUDYKIT_RESULTS=folder):
        first, again, kept = (np.array([seconds_of_all(*own)]) for own in ([], ["--again"], []))
    return [
        row("all claims at smoke", "the same", first, first, limit=240.0),
        row("all claims again", "their first execution", again, first, limit=90.0),
        row("all claims, nothing changed", "their first execution", kept, first, limit=10.0),
    ]


def main(quick: bool) -> None:
    load = f"Load of the machine before, over a minute: {os.getloadavg()[0]:.1f}."
    rows = [] if quick else of_all()
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
    rows += [
        row("notebook 01 again", "its first execution", again, first.repeat(len(again)), limit=20.0),
        row("studykit --help", "python -c pass", start["ours"], start["peer"], limit=0.5),
    ]
    write_result("reopen", rows, f"{NOTES} {load}", quick=quick)


def row(name: str, peer: str, ours: np.ndarray, theirs: np.ndarray, limit: float) -> dict[str, float | str]:
    """A row whose target is a limit on ours, in seconds."""
    columns = compared(ours, theirs, why=WHY)
    del columns["target"]
    met = "yes" if np.median(ours) < limit else "no"
    return {"ours": name, "peer": peer} | columns | {"limit (ms)": limit * 1e3, "met": met}


if __name__ == "__main__":
    main(is_quick(__doc__))
