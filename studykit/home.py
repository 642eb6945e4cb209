"""Where the kit's papers, notebooks, results and cached volumes live on this machine."""

import os
from pathlib import Path

import platformdirs

DRY_RUN = "STUDYKIT_DRY_RUN"
UNTIL = "STUDYKIT_UNTIL"
ON_A_CARD = "STUDYKIT_ON_A_CARD"
OWN = "-own"
"""After a profile: the folder of what was run on data or seeds of one's own."""
MARKER = ".studykit"
"""File that marks a workspace; it says which version made it."""
PACKAGE = Path(__file__).resolve().parent


def home() -> Path:
    """Folder of papers, notebooks and results.

    It is ``$STUDYKIT_HOME``, or the workspace around the current folder, which ``studykit init`` made (see
    :mod:`studykit.workspace`), or the checkout that the package is imported from.

    Raises:
        FileNotFoundError: there is none of them.
    """
    given = os.environ.get("STUDYKIT_HOME")
    root = Path(given) if given else _workspace() or PACKAGE.parent
    if not (root / "papers").is_dir():
        raise FileNotFoundError(
            f"{root} is not a studykit checkout: it has no papers/ folder. "
            "studykit init DIR makes a folder to work in; or set STUDYKIT_HOME to a clone of the repository."
        )
    return root


def _workspace() -> Path | None:
    """The nearest folder from the current one upwards that ``studykit init`` made."""
    try:
        here = Path.cwd()
    except FileNotFoundError:  # it was deleted
        return None
    return next((folder for folder in (here, *here.parents) if (folder / MARKER).is_file()), None)


def papers_dir() -> Path:
    return home() / "papers"


def notebooks_dir() -> Path:
    return home() / "notebooks"


def results_dir() -> Path:
    """``$STUDYKIT_RESULTS``, or ``results/`` at :func:`home`."""
    given = os.environ.get("STUDYKIT_RESULTS")
    return Path(given) if given else home() / "results"


def evidence_dir(study: str, profile: str, *, own: bool) -> Path:
    """Where a study's verdicts, figures and executed notebook go.

    A run on data or seeds of one's own (``own``) has a folder beside the evidence, which it never touches.
    """
    return (dry_run() or results_dir()) / study / (f"{profile}{OWN}" if own else profile)


def dry_run() -> Path | None:
    """The folder that a dry run writes to instead, ``$STUDYKIT_DRY_RUN``; None where this is none."""
    return Path(os.environ[DRY_RUN]) if os.environ.get(DRY_RUN) else None


def until() -> float | None:
    """When all is to be over, ``$STUDYKIT_UNTIL``, in seconds of the epoch; None where time has no limit."""
    given = os.environ.get(UNTIL)
    return float(given) if given else None


def runs_on_a_card() -> int:
    """Runs that may share a GPU, ``$STUDYKIT_ON_A_CARD``; 1 where nothing is said.

    Raises:
        ValueError: no whole number of 1 or more.
    """
    given = os.environ.get(ON_A_CARD) or "1"
    if not given.isdecimal() or int(given) < 1:
        raise ValueError(f"{ON_A_CARD} is a number of runs, at least 1; got {given!r}")
    return int(given)


def runs_dir() -> Path:
    return results_dir() / "runs"


def data_dir() -> Path:
    """``$STUDYKIT_DATA``, or the platform's user cache folder: archives and decoded volumes.

    Raises:
        FileNotFoundError: neither is there, as for a user without a home.
    """
    given = os.environ.get("STUDYKIT_DATA")
    try:
        folder = Path(given or platformdirs.user_cache_dir("studykit", appauthor=False))
    except RuntimeError:
        folder = Path("~")
    if folder.parts[:1] == ("~",):
        raise FileNotFoundError("this user has no home folder: set STUDYKIT_DATA to a folder for volumes")
    return folder
