"""Notebooks in a batch: some at a time, watched while they run, stopped together, the summary last."""

import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from studykit import home
from studykit.notebooks.catalogue import check_parameters, notebook_of, parameters_of
from studykit.notebooks.execution import Execution, kept_notebook, run_notebook
from studykit.notebooks.forecast import Forecast
from studykit.runs.board import Board
from studykit.runs.now import notes
from studykit.runs.outlook import outlooks
from studykit.training.signals import StopRequest, stop_on_signal

LOOK_SECONDS = 0.5


def run_batch(
    stems: Sequence[str],
    parameters: Mapping[str, Any],
    *,
    jobs: int = 1,
    limit_seconds: float | None = None,
    minutes: float | None = None,
    in_place: bool = False,
    keep: bool = False,
    show_output: bool = False,
    announce: Callable[[Execution], None] = lambda execution: None,
) -> list[Execution]:
    """Execute notebooks, ``jobs`` at a time; parameters that one does not declare are not passed to it.

    The cores are shared out among the jobs. The summary notebook, if among them, runs after all others, since
    it reads what they wrote. SIGTERM and SIGINT reach every kernel: trainings save, and all ends; the same
    call goes on.

    Args:
        minutes: for all of them: each has its share of what is left when it begins, and buys seeds with it,
            see :mod:`studykit.study.budget`.
        keep: whether a notebook is left as it is where nothing that decides its outputs has changed since it
            was executed, see :mod:`studykit.notebooks.unchanged`.

    Raises:
        ValueError: an unknown notebook or profile, a parameter that none of the notebooks declares, fewer
            than one job, or minutes for several at a time; before any notebook runs.
        KeyboardInterrupt: a signal stopped the batch.
    """
    if jobs < 1:
        raise ValueError(f"jobs must be at least 1, got {jobs}.")
    if minutes is not None and (jobs > 1 or not minutes > 0):
        raise ValueError(
            f"minutes must be above 0 and are spent on one job at a time; got {minutes:g}, {jobs} jobs."
        )
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

    last = [stem for stem in stems if stem.startswith("99_")]
    executions: list[Execution] = []
    end = None if minutes is None else time.time() + 60 * minutes
    with stop_on_signal(insist=True) as stop:
        forecast = Forecast(own, jobs, _cores())
        watch = _Watch(stop, forecast)

        def one(stem: str) -> Execution:
            until = None if end is None else share(end, len(stems) - len(executions))
            execution = kept_notebook(stem, own[stem]) if keep else None
            if execution:
                forecast.keep(stem)
                return execution
            forecast.begin(stem)
            try:
                execution = run_notebook(
                    stem, own[stem], limit_seconds=limit_seconds, until=until, in_place=in_place,
                    show_output=show_output, say=watch.say, stopped=lambda: bool(stop.received),
                    cores=max(1, _cores() // jobs),
                )  # fmt: skip
                return execution
            finally:
                forecast.end(stem, failed=execution is None or bool(execution.error))

        for group in ([stem for stem in stems if stem not in last], last):
            for execution in _spread(one, group, jobs, watch):
                watch.aside(lambda execution=execution: announce(execution))
                executions.append(execution)
        if stop.received:
            raise KeyboardInterrupt(f"stopped by {stop.received}")
    return executions


def share(end: float, waiting: int) -> float:
    """When the first of ``waiting`` notebooks has to be over, all of which have until ``end``."""
    now = time.time()
    return now + max(end - now, 0.0) / waiting


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Watch:
    """What runs now, shown below what has been said."""

    def __init__(self, stop: StopRequest, forecast: Forecast) -> None:
        self.stop = stop
        self._board = Board()
        self._forecast = forecast
        self._lock = threading.Lock()

    def aside(self, act: Callable[[], None]) -> None:
        """Do what prints, above the bars."""
        with self._lock:
            self._board.clear()
            act()

    def say(self, line: str) -> None:
        self.aside(lambda: print(line, flush=True))

    def look(self) -> None:
        """Show how long it will take, the notebooks at work, and each training of theirs."""
        since = self._forecast.at_work()
        if self._board.silent or not since or not self._board.is_due:
            return
        lines = [f"{stem}: {seconds:.0f} s" for stem, seconds in since.items()]
        if self.stop.received:
            lines = [f"{self.stop.received}: {', '.join(since)} will save and end"]
        root, ours = home.runs_dir(), _processes()
        lines += [note.line(words=self._board.is_log) for note in notes(root) if note.pid in ours]
        told = {ours[one.pid]: one.left(root)[1] for one in outlooks(root) if one.pid in ours}
        with self._lock:
            self._board.show([self._forecast.line(told), *lines])

    def close(self) -> None:
        with self._lock:
            self._board.clear()


def _processes() -> dict[int, str]:
    """Processes below this one, each with the notebook that it works for."""
    found: dict[int, str] = {}
    for child in psutil.Process().children():
        with suppress(psutil.Error):
            stem = next((Path(word).stem for word in child.cmdline() if word.endswith(".ipynb")), "")
            found |= {process.pid: stem for process in (child, *child.children(recursive=True))}
    return found


def _spread(
    one: Callable[[str], Execution], stems: Sequence[str], jobs: int, watch: _Watch
) -> Iterable[Execution]:
    """Executions as they end; once a stop is asked for, no further one begins."""
    waiting = list(stems)
    running: set[Future[Execution]] = set()
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        while running or (waiting and not watch.stop.received):
            while waiting and len(running) < jobs and not watch.stop.received:
                running.add(pool.submit(one, waiting.pop(0)))
            done, running = wait(running, LOOK_SECONDS, FIRST_COMPLETED)
            watch.look()
            for future in done:
                yield future.result()
    watch.close()
