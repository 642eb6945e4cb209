"""A training tells how far it is: by a note that others read, and by a bar where somebody looks."""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

from studykit.runs.board import Board
from studykit.runs.now import Note, leave, take_away
from studykit.runs.outlook import own_outlook
from studykit.runs.store import Run

NOTE_SECONDS = 1.0


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
        now, root = time.time(), self._run.folder.parent
        if self._since is None:
            self._since, self._first = now, step
        who = (os.getpid(), socket.gethostname())
        note = Note(self._run.key, self._run.label, step, self._steps, self._first, self._since, now, *who)
        leave(root, note)
        if self._board is not None and not self._board.silent:
            ahead = own_outlook(root)
            lines = [note.line(words=self._board.is_log), *([ahead.line(root)] if ahead else [])]
            self._board.show(lines, now=step in (self._first, self._steps))


@contextmanager
def telling(run: Run, *, show: bool) -> Iterator[Teller]:
    """While open, the note of ``run`` is kept by calling what this gives with every step that is done."""
    board = Board() if show else None
    try:
        yield Teller(run, board)
    finally:
        if board is not None:
            board.close()
        take_away(run.folder.parent, run.key)
