"""One notebook, executed in a process of its own, under a time limit, and stopped so that it can go on."""

import json
import math
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psutil

from studykit import atomic, home
from studykit.arms.ownership import own_parameters
from studykit.notebooks.catalogue import check_parameters, notebook_of, notebooks, study_of
from studykit.notebooks.portable import portable, relinked
from studykit.notebooks.unchanged import executed_before, remember

FAILED = "batch"
TAIL_LINES = 12
LOOK_SECONDS = 0.1
RELAY_SECONDS = 5
SAVE_SECONDS = 150
"""How long a notebook that is stopped may take to end; a training in it saves a checkpoint meanwhile."""
NOT_HANDED_ON = ("MPLBACKEND", "JPY_SESSION_NAME", "VSCODE_PID", "COLAB_RELEASE_TAG")
"""Variables that say how somebody else's figures and bars are shown."""


@dataclass(frozen=True)
class Execution:
    """How one notebook went.

    Attributes:
        notebook: its stem.
        output: the executed notebook; where it failed, a copy with the error, away from the evidence.
        seconds: wall-clock.
        error: last lines of the failure, empty where all cells ran.
        log: all that a failed one said on standard error.
        evidence: where its verdicts, figures and tables go.
        kept: when it was executed, where nothing has changed since and it was not executed again.
    """

    notebook: str
    output: Path
    seconds: float
    error: str = ""
    log: Path | None = None
    evidence: Path | None = None
    kept: str = ""


def places_of(stem: str, parameters: Mapping[str, Any], *, in_place: bool = False) -> tuple[Path, Path]:
    """Where the evidence of a notebook goes, and the executed notebook."""
    profile = parameters.get("profile", "smoke")
    own = own_parameters(study_of(stem), profile, parameters)
    folder = home.evidence_dir(study_of(stem), profile, own=bool(own))
    return folder, notebooks()[stem] if in_place else folder / f"{stem}.ipynb"


def kept_notebook(stem: str, parameters: Mapping[str, Any]) -> Execution | None:
    """What an earlier execution left, where nothing that decides it has changed since; None elsewhere."""
    folder, output = places_of(stem, parameters)
    when = executed_before(stem, parameters, output)
    return Execution(stem, output, 0.0, evidence=folder, kept=when) if when else None


def run_notebook(
    stem: str,
    parameters: Mapping[str, Any],
    *,
    limit_seconds: float | None = None,
    until: float | None = None,
    in_place: bool = False,
    show_output: bool = False,
    say: Callable[[str], None] = print,
    stopped: Callable[[], bool] = lambda: False,
    cores: int | None = None,
) -> Execution:
    """Execute one notebook; its output goes beside the verdicts of its study and profile.

    A notebook that fails leaves its output and its log below ``results/batch/``, never among the evidence.

    Args:
        stem: of the notebook.
        parameters: by name; the others keep the values that the notebook declares.
        limit_seconds: a notebook that takes longer is stopped, a training in it as by SIGTERM.
        until: seconds of the epoch; trainings end in time before, see :mod:`studykit.study.budget`, and the
            notebook is stopped then as at its limit.
        in_place: the outputs go into the notebook itself, as it is committed.
        show_output: what the notebook prints is said, too, line by line.
        say: where to.
        stopped: asked all the time; once it is true, the notebook is stopped as at its limit.
        cores: that it may use, all unless given; ``OMP_NUM_THREADS``, where it is set, goes before.

    Raises:
        ValueError: unknown notebook, parameter or profile; the message lists the known ones.
    """
    stem = notebook_of(stem)
    check_parameters(stem, parameters)
    source, profile = notebooks()[stem], parameters.get("profile", "smoke")
    folder, output = places_of(stem, parameters, in_place=in_place)
    draft = home.results_dir() / FAILED / f"{stem}-{profile}-{os.getpid()}.ipynb"
    draft.parent.mkdir(parents=True, exist_ok=True)
    log = draft.with_suffix(".log")
    start = time.monotonic()
    if until is not None:
        limit_seconds = min(limit_seconds or math.inf, until - time.time())
    error = execute(
        source, draft, parameters, log=log, limit=limit_seconds, say=say if show_output else None,
        stopped=stopped, cores=cores, variables={} if until is None else {home.UNTIL: str(until)},
    )  # fmt: skip
    seconds = time.monotonic() - start
    if error:
        return Execution(stem, draft, seconds, error, log, folder)
    executed = portable(draft.read_text(encoding="utf-8"), parameters)
    atomic.write_text(output, executed if in_place else relinked(executed, source.parent, folder))
    draft.unlink()
    log.unlink(missing_ok=True)
    if until is None and not in_place:
        remember(stem, parameters)
    return Execution(stem, output, seconds, evidence=folder)


def execute(
    source: Path,
    draft: Path,
    parameters: Mapping[str, Any],
    *,
    log: Path,
    limit: float | None = None,
    say: Callable[[str], None] | None = None,
    stopped: Callable[[], bool] = lambda: False,
    cores: int | None = None,
    variables: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Run ``source`` into ``draft`` in a child process; returns the last lines of its failure, or nothing.

    Args:
        log: what it says on standard error.
        limit, say, stopped, cores: as for :func:`run_notebook`; nothing is said without ``say``.
        variables: of its environment.
    """
    with open(log, "wb") as errors:
        child = _start([str(source), str(draft), json.dumps(parameters)], errors, cores, variables)
        relay = threading.Thread(target=_relay, args=(child, say), daemon=True)
        relay.start()
        try:
            error = _wait(child, limit, stopped)
        finally:
            child.stdin.close()
            relay.join(RELAY_SECONDS)
    if error or child.returncode == 0:
        return error
    return _last_words(log, child.returncode)


def _start(
    arguments: list[str], errors: Any, cores: int | None, variables: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """The process that executes, in a session of its own: a Ctrl-C reaches its kernel once, through us."""
    environment = {name: value for name, value in os.environ.items() if name not in NOT_HANDED_ON}
    environment |= variables
    environment.setdefault("OMP_WAIT_POLICY", "passive")
    if cores is not None:
        environment.setdefault("OMP_NUM_THREADS", str(cores))
    package = str(Path(__file__).resolve().parents[2])
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (package, environment.get("PYTHONPATH"))))
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "studykit.notebooks.kernel", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        env=environment,
        start_new_session=True,
    )


def _relay(child: subprocess.Popen[bytes], say: Callable[[str], None] | None) -> None:
    for line in child.stdout:
        if say:
            say(line.decode(errors="replace").rstrip("\n"))


def _wait(child: subprocess.Popen[bytes], limit: float | None, stopped: Callable[[], bool]) -> str:
    """Why it was stopped, empty where it ended by itself."""
    end = None if limit is None else time.monotonic() + limit
    while child.poll() is None:
        overdue = end is not None and time.monotonic() > end
        if overdue or stopped():
            _stop(child)
            why = f"after its limit of {limit:.0f} s" if overdue else "on request"
            return f"stopped {why}; run it again to go on from its checkpoints"
        time.sleep(LOOK_SECONDS)
    return ""


def _stop(child: subprocess.Popen[bytes]) -> None:
    """End the kernel of ``child`` with SIGTERM, on which a training saves, and then what is left of it."""
    family = psutil.Process(child.pid)
    told: list[psutil.Process] = []
    end = time.monotonic() + SAVE_SECONDS
    try:
        while child.poll() is None and time.monotonic() < end:
            kernels = [kernel for kernel in family.children() if kernel not in told]
            if not kernels and not told:
                child.terminate()  # it has not come to start one
            for kernel in kernels:
                kernel.terminate()
            told += kernels
            time.sleep(LOOK_SECONDS)
        for process in [*family.children(recursive=True), family]:
            process.kill()
    except psutil.NoSuchProcess:
        pass
    child.wait()


def _last_words(log: Path, code: int) -> str:
    said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-TAIL_LINES:]
    return "\n".join(said) or f"its process ended with exit code {code} and no word"
