"""What is going on now: a note for each training at work, which any process of the machine can read.

    <root>/.now/<hash>.json     label, step of how many, since when, by which process; gone when it ends

Notes are a courtesy: one that cannot be written stops no training, and a run's state never rests on them.
"""

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from studykit.runs.board import Board, in_words, progress_line
from studykit.runs.store import Run

NOW = ".now"
NOTE_SECONDS = 1.0


@dataclass(frozen=True)
class Note:
    """How far a training is.

    Attributes:
        key: of its run.
        label: its run's, in words.
        step, steps: optimizer steps done, and in all.
        first: step that it was taken up at.
        since, updated: seconds since the epoch.
        pid, host: who works on it.
    """

    key: str
    label: str
    step: int
    steps: int
    first: int
    since: float
    updated: float
    pid: int
    host: str

    def line(self, *, words: bool) -> str:
        """One line for a :class:`Board`, a bar or in words."""
        say = in_words if words else progress_line
        return say(self.label, self.step, self.steps, self.updated - self.since, self.first)


class Teller:
    """Called with each step done; writes the note and shows the bar once a second."""

    def __init__(self, run: Run, board: Board | None) -> None:
        self._run = run
        self._board = board
        self._steps = run.config["training"]["steps"]
        self._since = self._first = None
        self._due = 0.0

    def __call__(self, step: int) -> None:
        if time.monotonic() < self._due and step < self._steps:
            return
        self._due = time.monotonic() + NOTE_SECONDS
        now = time.time()
        if self._since is None:
            self._since, self._first = now, step
        who = (os.getpid(), socket.gethostname())
        note = Note(self._run.key, self._run.label, step, self._steps, self._first, self._since, now, *who)
        _write(_path(self._run.folder.parent, self._run.key), note)
        if self._board is not None:
            self._board.show([note.line(words=self._board.is_log)], now=step in (self._first, self._steps))


@contextmanager
def telling(run: Run, *, show: bool) -> Iterator[Teller]:
    """While open, the note of ``run`` is kept by calling what this gives with every step that is done."""
    board = Board() if show else None
    try:
        yield Teller(run, board)
    finally:
        if board is not None:
            board.close()
        with suppress(OSError):
            _path(run.folder.parent, run.key).unlink(missing_ok=True)


def notes(root: str | Path) -> list[Note]:
    """Notes of the trainings at work below ``root``, by label; those of killed processes are left out."""
    found = [note_of(root, path.stem) for path in Path(root).joinpath(NOW).glob("*.json")]
    alive = [note for note in found if note and Run(Path(root), note.key, {}, note.label).is_held()]
    return sorted(alive, key=lambda note: (note.label, note.key))


def note_of(root: str | Path, key: str) -> Note | None:
    """The note of one run, None where there is none or half of one."""
    try:
        content = json.loads(_path(Path(root), key).read_bytes())
        return Note(**{field.name: content[field.name] for field in fields(Note)})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _path(root: Path, key: str) -> Path:
    return root / NOW / f"{key}.json"


def _write(path: Path, note: Note) -> None:
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(f".{os.getpid()}")
        draft.write_text(json.dumps(asdict(note)), encoding="utf-8")
        os.replace(draft, path)
