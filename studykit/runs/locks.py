"""A lock on a run that holds between processes and between machines that share a folder.

Two things hold it. The file system's own lock is freed by the system when its holder dies, but some shared
storage keeps it to one machine. So beside it lies a lease, a file that names the holder, whose time its
holder renews every ten seconds. A lease that is not renewed is a dead holder's: that is told, and the lease
is taken over. Both times of that comparison are the file system's, so no clock has to be right.
"""

import json
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from studykit.atomic import disk_is_full

BEAT_SECONDS = 10.0
DEAD_SECONDS = 60.0
"""Without a beat, and the holder counts as dead."""
LOOK_SECONDS = 1.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Holder:
    """Who holds a lock: a process, and a token that no other holding has."""

    pid: int
    host: str
    token: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


class RunLock:
    """Lock of the run ``key``, two files below ``folder``."""

    def __init__(self, folder: Path, key: str) -> None:
        self._path = folder / key
        self._lease = folder / f"{key}.lease"

    @property
    def holder(self) -> Holder | None:
        """Whoever holds it, or held it when he died; None where the lease is missing or damaged."""
        return _read(self._lease)

    def is_held(self) -> bool:
        """Whether a living process, this one included, holds it; nothing is written."""
        if not self._path.exists():
            return False
        lock = FileLock(self._path)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            return True
        except NotImplementedError:
            return self._leased_elsewhere(by_system=False)  # this storage has none
        except OSError:
            return False  # nobody can hold what nobody can write
        try:
            return self._leased_elsewhere(by_system=True)
        finally:
            lock.release()

    @contextmanager
    def held(self, *, wait: bool, label: str) -> Iterator[None]:
        """Hold it; where another process does, wait for that one or raise :class:`filelock.Timeout`.

        Args:
            label: what a warning calls the run.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        lock, told = FileLock(self._path), False
        own = Holder(os.getpid(), socket.gethostname(), uuid.uuid4().hex)
        while not self._taken(lock, own, label):
            if not wait:
                raise Timeout(str(self._path))
            if not told:
                who = self.holder or "another process"
                log.warning("%s: %s is working on this run; waiting for it (%s)", label, who, self._path)
                told = True
            time.sleep(LOOK_SECONDS)
        ended = threading.Event()
        threading.Thread(target=self._renew, args=(own, ended), daemon=True).start()
        try:
            yield
        finally:
            ended.set()
            if self.holder in (own, None):
                self._lease.unlink(missing_ok=True)
            lock.release()

    def _taken(self, lock: FileLock, own: Holder, label: str) -> bool:
        """Take the system's lock and then the lease, a dead holder's out of the way; both or none."""
        by_system = True
        try:
            lock.acquire(blocking=False)
        except Timeout:
            return False
        except NotImplementedError:
            by_system = False  # this storage has none: the lease alone holds
            self._path.touch()
        taken = False
        try:
            elsewhere = self._leased_elsewhere(by_system=by_system)
            taken = not elsewhere and self._cleared(own, label) and self._leased(own)
        finally:
            if not taken:
                lock.release()
        return taken

    def _cleared(self, own: Holder, label: str) -> bool:
        """Take away the lease of a dead holder, unless somebody else has just done so."""
        if not self._lease.exists():
            return True
        before, aside = self.holder, self._lease.with_suffix(f".{own.token}")
        try:
            os.rename(self._lease, aside)
        except FileNotFoundError:
            return False
        if _read(aside) != before:  # it is of somebody who was quicker
            os.rename(aside, self._lease)
            return False
        aside.unlink()
        log.warning("%s: %s died at this run; its lock is taken over", label, before or "a process")
        return True

    def _leased(self, own: Holder) -> bool:
        """Leave our lease where there is none."""
        try:
            with open(self._lease, "x", encoding="utf-8") as file:
                json.dump(asdict(own), file)
        except FileExistsError:
            return False
        except OSError as error:
            if not disk_is_full(error):
                raise
            # The disk is full: an empty lease does as well.
        return True

    def _leased_elsewhere(self, *, by_system: bool) -> bool:
        """Whether a process renews the lease, though the system's lock is free here.

        Where there is a system's lock, it has the last word on processes of this machine.
        """
        holder = self.holder
        if not self._lease.exists() or (by_system and holder and holder.host == socket.gethostname()):
            return False
        try:
            os.utime(self._path)
            # The times of open files: those of others a network file system may have cached.
            with open(self._path) as here, open(self._lease) as there:
                age = os.fstat(here.fileno()).st_mtime - os.fstat(there.fileno()).st_mtime
        except OSError:
            return False
        return abs(age) < DEAD_SECONDS

    def _renew(self, own: Holder, ended: threading.Event) -> None:
        """Renew the lease; whoever slept so long that it was taken over must not write any more, and ends."""
        while not ended.wait(BEAT_SECONDS):
            holder = self.holder
            if holder is not None and holder != own and not ended.is_set():
                log.error("%s took over %s while this process slept; it ends", holder, self._path.name)
                os._exit(1)
            with suppress(OSError):
                os.utime(self._lease)


def _read(lease: Path) -> Holder | None:
    try:
        return Holder(**json.loads(lease.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
