"""Children of this process, forked so that what is imported and prepared need not be so again; bounded."""

import os
import pickle
import resource
import select
import signal
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Ended:
    """How a child ended.

    Attributes:
        value: what its function gave back.
        error: the last line of what it raised, or how else it ended; empty where it gave something back.
        seconds: wall-clock.
        megabytes: its memory at the most.
    """

    value: Any
    error: str
    seconds: float
    megabytes: float


class Child:
    """A child at work on ``function``; what it prints is dropped if it is ``quiet``."""

    def __init__(
        self, function: Callable[[], Any], *, most_gb: float | None = None, quiet: bool = True
    ) -> None:
        self._start = time.monotonic()
        self._read, write = os.pipe()
        self.pid = os.fork()
        if self.pid:
            os.close(write)
            return
        os.close(self._read)
        status = 1
        try:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            if quiet:
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, 1)
                os.dup2(nowhere, 2)
            if most_gb is not None:
                most = int(most_gb * 2**30)
                resource.setrlimit(resource.RLIMIT_AS, (most, most))
            try:
                answer = function(), ""
            except BaseException as error:
                answer = None, traceback.format_exception_only(error)[-1].strip()
            with os.fdopen(write, "wb") as file:
                pickle.dump(answer, file)
            status = 0
        finally:
            os._exit(status)

    def kill(self) -> None:
        """SIGKILL, if it is still at work."""
        os.kill(self.pid, signal.SIGKILL)

    def wait(self, limit: float | None = None) -> Ended:
        """Its end; who takes longer than ``limit`` seconds is killed."""
        late = limit is not None and not select.select([self._read], [], [], limit)[0]
        if late:
            self.kill()
        with os.fdopen(self._read, "rb") as file:
            said = file.read()
        _, status, usage = os.wait4(self.pid, 0)
        seconds = time.monotonic() - self._start
        if late:
            value, error = None, f"still at work after {limit:.0f} s"
        elif os.WIFSIGNALED(status):
            value, error = None, f"killed by signal {os.WTERMSIG(status)}"
        else:
            value, error = pickle.loads(said) if said else (None, "ended without a word")
        return Ended(value, error, seconds, usage.ru_maxrss / 1024)


def run(function: Callable[[], Any], *, limit: float | None = None, most_gb: float | None = None) -> Ended:
    """A child from beginning to end."""
    return Child(function, most_gb=most_gb).wait(limit)
