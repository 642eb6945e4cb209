"""Lines that tell how far work is: redrawn in a terminal and in JupyterLab, one a minute in a log, else none.

A kernel that nobody looks at (papermill, nbval) stays silent, so that an executed notebook holds results and
not the times they took; whoever started it reads how far it is from the notes of :mod:`studykit.runs.now`.
"""

import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from tqdm import tqdm

LOG_SECONDS = 60.0
DRAW_SECONDS = 0.5
MOST_COLUMNS = 110
COUNT_COLUMNS = 54
"""Of a bar, that its counts and times may take."""
LOOKED_AT = ("JPY_SESSION_NAME", "VSCODE_PID", "COLAB_RELEASE_TAG")
"""Variables that a kernel has when it was started from a notebook that somebody has open."""


def progress_line(label: str, step: int, steps: int, seconds: float, first: int = 0) -> str:
    """One bar: ``seconds`` have brought the work from step ``first`` to ``step``.

    As wide as the terminal, in which a long label loses its beginning and never the time left.
    """
    columns = min(MOST_COLUMNS, shutil.get_terminal_size().columns - 1)
    if len(label) > (room := max(columns - COUNT_COLUMNS, 1)):
        label = "…" + label[len(label) - room + 1 :]
    return tqdm.format_meter(step, steps, seconds, ncols=columns, prefix=label, unit="step", initial=first)


def in_words(label: str, step: int, steps: int, seconds: float, first: int = 0) -> str:
    """The same for a log, as a sentence."""
    done = step - first
    left = f", about {span(seconds / done * (steps - step))} to go" if done > 0 else ""
    return f"{label}: step {step} of {steps}{left}"


class Board:
    """Shows what :meth:`show` is given on the surface at hand, as often as that surface bears.

    Args:
        stream: where a terminal or a log is written; standard error unless given.
    """

    def __init__(self, stream: Any = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._drawn = 0
        self._handle: Any = None
        self._write, self._every = self._surface()
        self._due = time.monotonic() + (LOG_SECONDS if self._every == LOG_SECONDS else 0.0)

    @property
    def silent(self) -> bool:
        """Whether nothing is ever shown."""
        return self._write is None

    @property
    def is_log(self) -> bool:
        """Whether lines stay where they were written, so that words are better than bars."""
        return self._write == self._log

    @property
    def is_due(self) -> bool:
        """Whether lines that are shown now would be drawn."""
        return self._write is not None and time.monotonic() >= self._due

    def show(self, lines: Sequence[str], *, now: bool = False) -> None:
        """Put ``lines`` in place of those before; with ``now`` even if the surface was drawn a moment ago."""
        if self._write is None or not lines:
            return
        if (now and not self.is_log) or self.is_due:
            self._due = time.monotonic() + self._every
            self._write(lines)

    def clear(self) -> None:
        """Take the lines away, to write something else in their place; they come back when shown again."""
        if self._write == self._terminal and self._drawn:
            self._stream.write(f"\x1b[{self._drawn}A\x1b[J")
            self._stream.flush()
            self._drawn, self._due = 0, 0.0

    def close(self) -> None:
        """Leave the last lines as they are; what is shown next stands below them."""
        self._drawn, self._handle = 0, None

    def _surface(self) -> tuple[Callable[[Sequence[str]], None] | None, float]:
        shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
        if hasattr(shell, "kernel"):
            looked_at = any(name in os.environ for name in LOOKED_AT)
            return (self._notebook, 2 * DRAW_SECONDS) if looked_at else (None, 0.0)
        if self._stream.isatty() and "CI" not in os.environ:
            return self._terminal, DRAW_SECONDS
        return self._log, LOG_SECONDS

    def _terminal(self, lines: Sequence[str]) -> None:
        width, height = shutil.get_terminal_size()
        lines = [line[: width - 1] for line in lines[: max(height - 2, 1)]]
        up = f"\x1b[{self._drawn}A" if self._drawn else ""
        blank = ["" for _ in range(self._drawn - len(lines))]
        text = "".join(f"\r\x1b[2K{line}\n" for line in [*lines, *blank])
        self._stream.write(up + text + (f"\x1b[{len(blank)}A" if blank else ""))
        self._stream.flush()
        self._drawn = len(lines)

    def _notebook(self, lines: Sequence[str]) -> None:
        from IPython.display import display

        content = {"text/plain": "\n".join(lines)}
        if self._handle is None:
            self._handle = display(content, raw=True, display_id=True)
        else:
            self._handle.update(content, raw=True)

    def _log(self, lines: Sequence[str]) -> None:
        print("; ".join(lines), file=self._stream, flush=True)


def span(seconds: float) -> str:
    """A time in words: in seconds, minutes or hours, whichever needs two digits or so."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
