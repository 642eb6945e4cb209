"""Runs side by side: small trainings on all cores, one thread each, or several on a GPU, in worker processes.

Each ends bit for bit as it would alone, see :mod:`studykit.runs.threads`; only who trains it, and when, is
decided here. A worker that is killed costs the steps since its run's last checkpoint: another one goes on.
"""

import json
import logging
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import torch

from studykit.runs.board import Board
from studykit.runs.now import note_of
from studykit.runs.outlook import own_outlook
from studykit.runs.shares import may_share, most_workers, worker_environment
from studykit.runs.store import FINAL, Run
from studykit.runs.weights import last_step
from studykit.training.distributed import SAVE_SECONDS
from studykit.training.signals import StopRequest, stop_on_signal

WORKER = ("-m", "studykit.runs.worker")
LOOK_SECONDS = 0.5
START_SECONDS = 6.0
"""That a worker takes to start, on a machine that has something else to do, too."""
OPERATIONS_A_SECOND = {"cpu": 2e10, "cuda": 1e13}
"""That a small training comes to on one thread, or on a GPU: a cautious guess of what workers would win."""
MOST_ATTEMPTS = 2
"""Workers that may die of one run."""
TAIL_LINES = 20

log = logging.getLogger(__name__)


def small_ones(runs: Sequence[Run]) -> list[Run]:
    """Those that share a machine, and do not start from one of the others.

    Args:
        runs: each after the one that it starts from.
    """
    apart: set[str] = set()
    for run in runs:
        if not may_share(run.config) or run.config.get("start", {}).get("run") in apart:
            apart.add(run.key)
    return [run for run in runs if run.key not in apart]


def workers_that_pay(runs: Sequence[Run], operations: Sequence[float]) -> int:
    """How many of these small runs to make at a time: 1 where workers take longer to start than they win.

    Args:
        operations: that each of them takes.
    """
    workers = min(most_workers(), len(runs))
    if workers < 2:
        return 1
    rate = OPERATIONS_A_SECOND["cuda" if torch.cuda.is_available() else "cpu"]
    won = sum(operations) / rate * (1 - 1 / workers)
    return workers if won > START_SECONDS else 1


def work_side_by_side(runs: Sequence[Run], workers: int) -> None:
    """Bring runs to their end, ``workers`` at a time, in the order given but for those that have to wait.

    Args:
        runs: of one store, each once; one that starts from another of them waits for it.

    Raises:
        RuntimeError: a run failed, or workers died of it twice; the others have saved what they had.
        KeyboardInterrupt: SIGTERM or SIGINT reached every worker, and each has saved its run. At a second
            SIGINT they are killed, and lose what came after their last checkpoints.
    """
    with stop_on_signal(insist=True) as stop, tempfile.TemporaryDirectory(prefix="studykit-") as logs:
        crew = _Crew(runs, workers, Path(logs), stop)
        try:
            crew.work()
        finally:
            crew.dismiss()
    if crew.failure:
        raise RuntimeError(crew.failure)
    if crew.unfinished:
        raise KeyboardInterrupt(
            f"stopped by {stop.received}, {len(crew.unfinished)} run(s) before their end; run again to go on"
        )


class _Worker:
    """One process, and the run it is at."""

    def __init__(self, said: Path, beside: int) -> None:
        self.said = said
        self.task: Run | None = None
        with open(said, "ab") as errors:
            # In a session of its own a Ctrl-C reaches it once, through its parent.
            self.process = subprocess.Popen(
                [sys.executable, "-P", *WORKER],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=worker_environment(beside),
                start_new_session=True,
            )

    def give(self, task: Run) -> None:
        self.task = task
        line = json.dumps(
            {"root": str(task.folder.parent.absolute()), "config": task.config, "label": task.label}
        )
        try:
            self._pipe("stdin").write(line.encode() + b"\n")
            self._pipe("stdin").flush()
        except BrokenPipeError:
            pass  # it died between two tasks: its silence will be noticed

    def answer(self) -> dict[str, str] | None:
        """What it says of its task; None if it died."""
        line = self._pipe("stdout").readline()
        return json.loads(line) if line.endswith(b"\n") else None

    def last_words(self) -> str:
        lines = self.said.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-TAIL_LINES:])

    def _pipe(self, name: str) -> IO[bytes]:
        return getattr(self.process, name)


class _Crew:
    """Workers, and who does what."""

    def __init__(self, runs: Sequence[Run], size: int, logs: Path, stop: StopRequest) -> None:
        self.failure = ""
        self.unfinished = {run.key for run in runs}
        self._waiting = list(runs)
        self._size = size
        self._logs = logs
        self._stop = stop
        self._attempts: dict[str, int] = {}
        self._workers: list[_Worker] = []
        self._selector = selectors.DefaultSelector()
        self._told = 0.0

    def work(self) -> None:
        board = Board()
        while self.unfinished:
            ending = bool(self._stop.received or self.failure)
            if not ending:
                self._hand_out()
            busy = [worker for worker in self._workers if worker.task]
            if ending and not busy:
                return
            if ending:
                self._have_saved(busy)
            for key, _ in self._selector.select(LOOK_SECONDS):
                self._hear(key.data)
            if board.is_due:
                board.show(self._lines(words=board.is_log))

    def dismiss(self) -> None:
        """End all processes: those without a task by themselves, the others by force."""
        for worker in self._workers:
            if worker.task:
                worker.process.kill()
            for pipe in (worker.process.stdin, worker.process.stdout):
                pipe.close()
        for worker in self._workers:
            try:
                worker.process.wait(10)
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()
        self._selector.close()

    def _hand_out(self) -> None:
        for task in [task for task in self._waiting if self._may_begin(task)]:
            worker = next((worker for worker in self._workers if worker.task is None), None)
            if worker is None and len(self._workers) < self._size:
                worker = self._hired()
            if worker is None:
                return
            self._waiting.remove(task)
            worker.give(task)

    def _may_begin(self, task: Run) -> bool:
        return task.config.get("start", {}).get("run") not in self.unfinished

    def _hired(self) -> _Worker:
        worker = _Worker(self._logs / f"{len(list(self._logs.iterdir()))}.log", self._size)
        self._workers.append(worker)
        self._selector.register(worker.process.stdout, selectors.EVENT_READ, worker)
        return worker

    def _hear(self, worker: _Worker) -> None:
        answer, task = worker.answer(), worker.task
        worker.task = None
        if answer is None:
            self._bury(worker, task)
        elif "error" in answer:
            self.failure = self.failure or f"{task.label}: {answer['error']}"
            log.debug("%s", worker.last_words())
        elif answer["state"] in FINAL:
            self.unfinished.discard(task.key)
        elif not self._told:
            self._stop.received = self._stop.received or "a signal to a worker"

    def _bury(self, worker: _Worker, task: Run | None) -> None:
        """Say that a worker died, and of what; its run goes on in another one."""
        self._selector.unregister(worker.process.stdout)
        self._workers.remove(worker)
        code = worker.process.wait()
        for pipe in (worker.process.stdin, worker.process.stdout):
            pipe.close()
        if self._told:
            return
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        if task is None:
            log.warning("an idle worker %s", how)
            return
        self._attempts[task.key] = self._attempts.get(task.key, 0) + 1
        kept = last_step(task)
        since = f"its last checkpoint, step {kept}" if kept else "its beginning: there was no checkpoint yet"
        if self._attempts[task.key] < MOST_ATTEMPTS:
            log.warning("%s: its worker %s; another one goes on from %s", task.label, how, since)
            self._waiting.insert(0, task)
        else:
            self.failure = self.failure or (
                f"{task.label}: its worker {how}, {MOST_ATTEMPTS} times; the same call goes on from {since}. "
                "If memory ran out, OMP_NUM_THREADS=1 trains one run at a time.\n" + worker.last_words()
            )

    def _have_saved(self, busy: Sequence[_Worker]) -> None:
        """Ask those at work to save and end; who takes too long is ended."""
        if not self._told:
            self._told = time.monotonic()
            for worker in busy:
                worker.process.terminate()
        elif time.monotonic() > self._told + SAVE_SECONDS:
            for worker in busy:
                worker.process.kill()

    def _lines(self, *, words: bool) -> list[str]:
        """One for each run at work, and one for all that is ahead."""
        tasks = [worker.task for worker in self._workers if worker.task]
        if not tasks:
            return []
        root = tasks[0].folder.parent
        notes = {task.label: note_of(root, task.key) for task in tasks}
        lines = [
            note.line(words=words) if note else f"{label}: getting ready" for label, note in notes.items()
        ]
        return [*lines, *([ahead.line(root)] if (ahead := own_outlook(root)) else [])]
