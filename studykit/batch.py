"""Notebooks in a batch: each runs by papermill in a process of its own, under a time limit."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studykit import atomic, home

FAILED = "batch"
TAIL_LINES = 12


@dataclass(frozen=True)
class Execution:
    """How one notebook went.

    Attributes:
        notebook: its stem.
        output: the executed notebook; where it failed, a copy with the error, away from the evidence.
        seconds: wall-clock.
        error: last lines of the failure, empty where all cells ran.
    """

    notebook: str
    output: Path
    seconds: float
    error: str = ""


def notebooks() -> dict[str, Path]:
    """All notebooks by stem, in order."""
    return {path.stem: path for path in sorted(home.notebooks_dir().glob("[0-9]*.ipynb"))}


def notebook_of(name: str) -> str:
    """Stem of a notebook from its stem or from its study.

    Raises:
        ValueError: unknown; the message lists the known studies and notebooks.
    """
    known = notebooks()
    by_study = {stem.split("_", 1)[1].replace("_", "-"): stem for stem in known}
    stem = name if name in known else by_study.get(name)
    if stem is None:
        raise ValueError(f"No notebook for {name!r}. Known: {', '.join(by_study)}.")
    return stem


def parameters_of(stem: str) -> dict[str, str]:
    """Parameters that a notebook declares, with their defaults as written."""
    content = json.loads(notebooks()[stem].read_text(encoding="utf-8"))
    for cell in content["cells"]:
        if "parameters" in cell["metadata"].get("tags", []):
            lines = [line.split("#")[0] for line in "".join(cell["source"]).splitlines()]
            pairs = [line.split("=", 1) for line in lines if "=" in line]
            return {name.split(":")[0].strip(): value.strip() for name, value in pairs}
    return {}


def check_parameters(stem: str, parameters: Mapping[str, Any]) -> None:
    """Refuse parameters that the notebook does not declare.

    Raises:
        ValueError: an unknown parameter; the message lists the known ones.
    """
    known = parameters_of(stem)
    unknown = sorted(set(parameters) - set(known))
    if unknown:
        raise ValueError(
            f"{stem} has no parameter {', '.join(unknown)}. Known: {', '.join(known) or 'none'}."
        )


def run_notebook(
    stem: str,
    parameters: Mapping[str, Any],
    *,
    limit_seconds: float | None = None,
    in_place: bool = False,
) -> Execution:
    """Execute one notebook; its output goes beside the verdicts of its study and profile.

    A notebook that fails leaves its output below ``results/batch/``, never among the evidence. With
    ``in_place`` the outputs go into the notebook itself, as it is committed.
    """
    check_parameters(stem, parameters)
    study = stem.split("_", 1)[1].replace("_", "-")
    profile = str(parameters.get("profile", "smoke"))
    output = notebooks()[stem] if in_place else home.results_dir() / study / profile / f"{stem}.ipynb"
    draft = home.results_dir() / FAILED / f"{stem}-{profile}-{os.getpid()}.ipynb"
    for folder in (output.parent, draft.parent):
        folder.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    command = [
        sys.executable,
        "-m",
        "studykit.batch",
        str(notebooks()[stem]),
        str(draft),
        json.dumps(parameters),
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit_seconds)
        error = "" if done.returncode == 0 else "\n".join(done.stderr.strip().splitlines()[-TAIL_LINES:])
    except subprocess.TimeoutExpired:
        error = (
            f"stopped after its limit of {limit_seconds:.0f} s; run it again to go on from its checkpoints"
        )
    seconds = time.monotonic() - start
    if error:
        return Execution(stem, draft, seconds, error)
    atomic.write_text(output, _portable(draft.read_text(encoding="utf-8")))
    draft.unlink()
    return Execution(stem, output, seconds)


def _portable(notebook: str) -> str:
    """The notebook's JSON without papermill's notes, which hold times and folders of this machine."""
    content = json.loads(notebook)
    content["metadata"].pop("papermill", None)
    for cell in content["cells"]:
        for note in ("papermill", "execution"):
            cell["metadata"].pop(note, None)
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def run_batch(
    stems: Sequence[str],
    parameters: Mapping[str, Any],
    *,
    jobs: int = 1,
    limit_seconds: float | None = None,
    in_place: bool = False,
    announce: Callable[[Execution], None] = lambda execution: None,
) -> list[Execution]:
    """Execute notebooks, ``jobs`` at a time; parameters that one does not declare are not passed to it.

    The summary notebook, if among them, runs after all others, since it reads what they wrote.

    Raises:
        ValueError: a parameter that none of the notebooks declares.
    """
    declared = {stem: parameters_of(stem) for stem in stems}
    foreign = sorted(set(parameters) - {name for known in declared.values() for name in known})
    if foreign and stems:
        known = sorted({name for names in declared.values() for name in names})
        raise ValueError(f"No notebook has the parameter {', '.join(foreign)}. Known: {', '.join(known)}.")

    def one(stem: str) -> Execution:
        own = {name: value for name, value in parameters.items() if name in declared[stem]}
        return run_notebook(stem, own, limit_seconds=limit_seconds, in_place=in_place)

    last = [stem for stem in stems if stem.startswith("99_")]
    executions = []
    for group in ([stem for stem in stems if stem not in last], last):
        for execution in _spread(one, group, jobs):
            announce(execution)
            executions.append(execution)
    return executions


def _spread(one: Callable[[str], Execution], stems: Sequence[str], jobs: int) -> Iterable[Execution]:
    with ThreadPoolExecutor(max_workers=max(jobs, 1)) as pool:
        for future in as_completed([pool.submit(one, stem) for stem in stems]):
            yield future.result()


def main(notebook: str, output: str, parameters: str) -> None:
    """Entry of the child process: papermill over a kernel that talks through files, not through free ports."""
    import papermill
    from jupyter_client.manager import AsyncKernelManager

    class FileKernelManager(AsyncKernelManager):
        def __init__(self, **options: Any) -> None:
            super().__init__(**{**options, "transport": "ipc"})

    papermill.execute_notebook(
        notebook,
        output,
        json.loads(parameters),
        progress_bar=sys.stderr.isatty(),
        cwd=str(Path(notebook).parent),
        kernel_name="python3",
        kernel_manager_class=FileKernelManager,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
