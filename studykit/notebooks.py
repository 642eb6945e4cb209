"""Notebooks in a batch: each runs by papermill in a process of its own, under a time limit."""

import ast
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from studykit import atomic, home
from studykit.arms.ownership import own_parameters
from studykit.arms.profiles import check_profile
from studykit.imports import without_url_grammar

FAILED = "batch"
TAIL_LINES = 12
SAVE_SECONDS = 150
"""How long a notebook past its limit may take to end; a training in it saves a checkpoint meanwhile."""


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
    content = json.loads(notebooks()[notebook_of(stem)].read_text(encoding="utf-8"))
    declared = {}
    for cell in content["cells"]:
        if "parameters" in cell["metadata"].get("tags", []):
            for line in ast.parse("".join(cell["source"])).body:
                if isinstance(line, ast.Assign | ast.AnnAssign) and line.value is not None:
                    targets = line.targets if isinstance(line, ast.Assign) else [line.target]
                    declared |= {ast.unparse(target): ast.unparse(line.value) for target in targets}
    return declared


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


def run_notebook(
    stem: str,
    parameters: Mapping[str, Any],
    *,
    limit_seconds: float | None = None,
    in_place: bool = False,
    show_output: bool = False,
) -> Execution:
    """Execute one notebook; its output goes beside the verdicts of its study and profile.

    A notebook that fails leaves its output below ``results/batch/``, never among the evidence.

    Args:
        stem: of the notebook.
        parameters: by name; the others keep the values that the notebook declares.
        limit_seconds: a notebook that takes longer is stopped, a training in it as by SIGTERM.
        in_place: the outputs go into the notebook itself, as it is committed.
        show_output: what the notebook prints appears on this process's standard output, too.

    Raises:
        ValueError: unknown notebook, parameter or profile; the message lists the known ones.
    """
    stem = notebook_of(stem)
    check_parameters(stem, parameters)
    source, profile = notebooks()[stem], parameters.get("profile", "smoke")
    own = own_parameters(study_of(stem), profile, parameters)
    folder = home.evidence_dir(study_of(stem), profile, own=bool(own))
    output = source if in_place else folder / f"{stem}.ipynb"
    draft = home.results_dir() / FAILED / f"{stem}-{profile}-{os.getpid()}.ipynb"
    draft.parent.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    error = _execute(source, draft, parameters, limit_seconds, show_output)
    seconds = time.monotonic() - start
    if error:
        return Execution(stem, draft, seconds, error)
    atomic.write_text(output, _portable(draft.read_text(encoding="utf-8"), parameters))
    draft.unlink()
    return Execution(stem, output, seconds)


def _execute(
    source: Path, draft: Path, parameters: Mapping[str, Any], limit: float | None, show_output: bool
) -> str:
    """Run ``source`` into ``draft`` in a child process; returns the last lines of its failure, or nothing."""
    command = [sys.executable, "-m", "studykit.notebooks", str(source), str(draft), json.dumps(parameters)]
    child = subprocess.Popen(
        command, stdout=None if show_output else subprocess.DEVNULL, stderr=subprocess.PIPE, encoding="utf-8"
    )
    try:
        _, said = child.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        _stop(child)
        return f"stopped after its limit of {limit:.0f} s; run it again to go on from its checkpoints"
    if child.returncode == 0:
        return ""
    last = "\n".join(said.strip().splitlines()[-TAIL_LINES:])
    return last or f"its process ended with exit code {child.returncode} and no word"


def _stop(child: subprocess.Popen) -> None:
    """End the kernel of ``child`` with SIGTERM, on which a training saves, and then what is left of it."""
    family = psutil.Process(child.pid)
    for kernel in family.children():
        kernel.terminate()
    try:
        child.communicate(timeout=SAVE_SECONDS)
    except subprocess.TimeoutExpired:
        for process in [*family.children(recursive=True), family]:
            process.kill()
        child.communicate()


def _portable(notebook: str, parameters: Mapping[str, Any]) -> str:
    """The notebook's JSON with light pictures, without times and folders, which say who ran it where."""
    from studykit.figures.light import light_base64

    content = json.loads(notebook)
    content["metadata"].pop("papermill", None)
    for cell in content["cells"]:
        for note in ("papermill", "execution"):
            cell["metadata"].pop(note, None)
        for data in (output.get("data", {}) for output in cell.get("outputs", [])):
            if "image/png" in data:
                data["image/png"] = light_base64("".join(data["image/png"]))
    content["cells"] = _without_folders(content["cells"], _folders(parameters))
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _folders(parameters: Mapping[str, Any]) -> list[tuple[re.Pattern[str], str]]:
    """Folders that an output may name, inner ones first, and what stands for each."""
    named = {home.results_dir(): "results", home.data_dir(): "data", Path(sys.prefix): "python"}
    named |= {home.home(): "studykit", Path(tempfile.gettempdir()): "temporary"}
    with suppress(RuntimeError):  # in a container a user may have no home
        named |= {Path.home(): "~"}
    own = Path(str(parameters.get("data", "")).partition(":")[2])
    named |= {own: own.name}
    known = sorted(
        (folder for folder in named if folder.is_absolute() and folder != Path(folder.anchor)),
        key=lambda folder: -len(folder.parts),
    )
    return [(re.compile(rf"(?<![\w.]){re.escape(str(folder))}(?![\w.-])"), named[folder]) for folder in known]


def _without_folders(value: Any, folders: Sequence[tuple[re.Pattern[str], str]]) -> Any:
    if isinstance(value, list):
        return [_without_folders(item, folders) for item in value]
    if isinstance(value, dict):
        pictures = ("image/png", "image/jpeg")
        return {k: v if k in pictures else _without_folders(v, folders) for k, v in value.items()}
    if isinstance(value, str):
        for folder, name in folders:
            value = folder.sub(name, value)
    return value


def run_batch(
    stems: Sequence[str],
    parameters: Mapping[str, Any],
    *,
    jobs: int = 1,
    limit_seconds: float | None = None,
    in_place: bool = False,
    show_output: bool = False,
    announce: Callable[[Execution], None] = lambda execution: None,
) -> list[Execution]:
    """Execute notebooks, ``jobs`` at a time; parameters that one does not declare are not passed to it.

    The summary notebook, if among them, runs after all others, since it reads what they wrote.

    Raises:
        ValueError: an unknown notebook or profile, a parameter that none of the notebooks declares, or fewer
            than one job; before any notebook runs.
    """
    if jobs < 1:
        raise ValueError(f"jobs must be at least 1, got {jobs}.")
    stems = list(dict.fromkeys(notebook_of(stem) for stem in stems))
    declared = {stem: parameters_of(stem) for stem in stems}
    foreign = sorted(set(parameters) - {name for known in declared.values() for name in known})
    if foreign and stems:
        known = sorted({name for names in declared.values() for name in names})
        raise ValueError(f"No notebook has the parameter {', '.join(foreign)}. Known: {', '.join(known)}.")
    own = {
        stem: {name: value for name, value in parameters.items() if name in declared[stem]} for stem in stems
    }
    for stem in stems:
        check_parameters(stem, own[stem])

    def one(stem: str) -> Execution:
        return run_notebook(
            stem, own[stem], limit_seconds=limit_seconds, in_place=in_place, show_output=show_output
        )

    last = [stem for stem in stems if stem.startswith("99_")]
    executions = []
    for group in ([stem for stem in stems if stem not in last], last):
        for execution in _spread(one, group, jobs):
            announce(execution)
            executions.append(execution)
    return executions


def _spread(one: Callable[[str], Execution], stems: Sequence[str], jobs: int) -> Iterable[Execution]:
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        try:
            for future in as_completed([pool.submit(one, stem) for stem in stems]):
                yield future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def main(notebook: str, output: str, parameters: str) -> None:
    """Entry of the child process: papermill over a kernel that talks through files, not free ports.

    The files lie in a folder of this kernel's own, since two kernels that start at once would else take the
    same ones.
    """
    with without_url_grammar():
        import papermill
    from jupyter_client.manager import AsyncKernelManager

    class FileKernelManager(AsyncKernelManager):
        def __init__(self, **options: Any) -> None:
            super().__init__(**{**options, "transport": "ipc", "ip": f"{sockets}/kernel"})

    with tempfile.TemporaryDirectory(prefix="studykit-") as sockets:
        papermill.execute_notebook(
            notebook,
            output,
            json.loads(parameters),
            progress_bar=False,
            stdout_file=sys.stdout,
            cwd=str(Path(notebook).parent),
            kernel_name="python3",
            kernel_manager_class=FileKernelManager,
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
