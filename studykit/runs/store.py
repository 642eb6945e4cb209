"""Content-addressed runs: a folder for each configuration, found by its hash, resumed or reused by state.

    <root>/<hash>/   config.json  status.json  metrics.jsonl  checkpoint.pt  …
    <root>/.locks/   lock and lease of each run, held while it is worked on, see :mod:`studykit.runs.locks`

A run's state is one of :data:`STATES`. Only ``done`` is reused.
"""

import hashlib
import json
import logging
import math
import os
import shutil
import socket
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from filelock import Timeout

from studykit.atomic import disk_is_full, write_json
from studykit.runs.locks import RunLock
from studykit.training.records import METRICS, read_records

if TYPE_CHECKING:
    import pandas as pd

CONFIG = "config.json"
STATUS = "status.json"
LOCKS = ".locks"
STATES = ("running", "interrupted", "done", "diverged", "collapsed", "error")
ENDINGS = ("interrupted", "done", "diverged", "collapsed")
FINAL = ("done", "diverged", "collapsed")
"""States that another call would end in again."""

log = logging.getLogger(__name__)
_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


def run_hash(config: Mapping[str, Any]) -> str:
    """Identity of a configuration: 16 hexadecimal digits of the SHA-256 of its canonical JSON.

    The order of keys does not count, tuples count as lists, and 1 is not 1.0.

    Raises:
        TypeError: a value is not plain JSON; the message says where.
    """
    return _digest(_plain(config, "config"))


def _digest(plain: Any) -> str:
    """The hash of what is plain JSON, such as what was read from a file."""
    return hashlib.sha256(_canonical(plain).encode()).hexdigest()[:16]


def derive_seed(*parts: str | int) -> int:
    """Seed in [0, 2^63) from a name such as (study, arm, repetition); a new arm moves no other's seed."""
    text = json.dumps([_plain(part, "part") for part in parts], separators=(",", ":"))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


@dataclass(frozen=True)
class Status:
    """What ``status.json`` holds; times are UTC, in ISO 8601."""

    state: str
    label: str
    message: str
    started: str
    updated: str
    attempts: int
    pid: int
    host: str


FIELDS = tuple(field.name for field in fields(Status))


class Ending(Protocol):
    """What work on a run gives back; :class:`studykit.training.loop.Outcome` is one."""

    @property
    def state(self) -> str: ...
    @property
    def message(self) -> str: ...


class Run:
    """One run in its folder; what it says is read from the folder when asked."""

    def __init__(self, root: Path, key: str, config: Mapping[str, Any], label: str) -> None:
        self.key = key
        self.folder = root / key
        self.config = config
        self.label = label
        self._root = root

    def __repr__(self) -> str:
        return f"Run({self.label!r}, {self.state}, {self.folder})"

    @property
    def status(self) -> Status | None:
        """The last status written, None before the first; one that is damaged counts as ``interrupted``."""
        try:
            with open(f"{self.folder}/{STATUS}", "rb", buffering=0) as file:
                content = json.loads(file.read())
            status = Status(**{name: content[name] for name in FIELDS})
            if status.state not in STATES:
                raise ValueError(f"unknown state {status.state!r}")
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            reason = f"{STATUS} could not be read ({type(error).__name__}: {error})"
            return Status("interrupted", self.label, reason, "", "", 0, 0, "")
        return status

    @property
    def state(self) -> str | None:
        """State of the run, None before the first work; ``running`` only while a worker is alive."""
        return self._state(self.status)

    def _state(self, status: Status | None) -> str | None:
        held = status and status.state == "running" and self.is_held()
        return "running" if held else self._at_rest(status)

    @property
    def metrics(self) -> "pd.DataFrame":
        """One row a record of ``metrics.jsonl``; a torn last line is left out."""
        import pandas as pd

        return pd.DataFrame(read_records(self.folder / METRICS))

    @contextmanager
    def held(self, *, wait: bool) -> Iterator[None]:
        """Hold the run; where another process does, wait for it or raise :class:`filelock.Timeout`."""
        with self._lock().held(wait=wait, label=self.label):
            yield

    def is_held(self) -> bool:
        """Whether some process, this one included, works on the run."""
        return self._lock().is_held()

    def _lock(self) -> RunLock:
        return RunLock(self._root / LOCKS, self.key)

    @staticmethod
    def _at_rest(status: Status | None) -> str | None:
        """State where nobody works on the run: who left it ``running`` was killed."""
        if status is None:
            return None
        return "interrupted" if status.state == "running" else status.state


class RunStore:
    """The runs below ``root``, usually ``studykit.home.runs_dir()``."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)

    def open(self, config: Mapping[str, Any], label: str) -> Run:
        """The run of ``config``, whether it exists yet or not; ``label`` is its name for people.

        Raises:
            TypeError: the configuration is not plain JSON.
        """
        plain = _plain(config, "config")
        return Run(self.root, run_hash(plain), plain, label)

    def list(self) -> Sequence[Run]:
        """Every run with a readable ``config.json`` that hashes to its folder's name, sorted by label."""
        return [run for run, _ in self.states()]

    def states(self) -> Sequence[tuple[Run, str | None]]:
        """The runs of :meth:`list`, each with its state; every file is read once."""
        found = []
        keys = os.listdir(self.root) if self.root.is_dir() else []
        for key in sorted(key for key in keys if not key.startswith(".")):
            path = f"{self.root}/{key}/{CONFIG}"
            try:
                with open(path, "rb", buffering=0) as file:
                    config = json.loads(file.read())
                if _digest(config) != key:
                    raise ValueError("it is not the configuration its folder is named after")
            except (FileNotFoundError, NotADirectoryError):
                continue
            except (ValueError, TypeError) as error:
                log.warning("%s is left out: %s", path, error)
                continue
            run = Run(self.root, key, config, key)
            status = run.status
            run.label = status.label if status else key
            found.append((run, run._state(status)))
        return sorted(found, key=lambda pair: (pair[0].label, pair[0].key))

    def clean(self, states: Collection[str]) -> Sequence[Run]:
        """Remove the folders of runs in one of ``states`` that nobody works on; returns the runs removed.

        Raises:
            ValueError: a state is unknown.
        """
        unknown = sorted(set(states) - set(STATES))
        if unknown:
            raise ValueError(f"unknown state {', '.join(unknown)}; known: {', '.join(STATES)}")
        removed = []
        for run in self.list():
            try:
                with run.held(wait=False):
                    if run._at_rest(run.status) in states:
                        shutil.rmtree(run.folder)
                        removed.append(run)
            except Timeout:
                log.warning("%s is being worked on, and stays", run.label)
        return removed

    def execute(self, config: Mapping[str, Any], label: str, work: Callable[[Run], Ending]) -> Run:
        """Bring the run of ``config`` to its end by ``work``, or find that it is there already.

        What is :data:`FINAL` is given back as it is, until it is cleaned away. ``interrupted`` and ``error``,
        and ``running`` whose worker is dead, are worked on again: from their checkpoint, if ``work`` left
        one. A run that another process works on is waited for.

        Args:
            work: works in ``run.folder`` and returns its ending: a state of :data:`ENDINGS` and a message.
                What it raises makes the state ``error`` and is raised again; KeyboardInterrupt makes it
                ``interrupted``.

        Returns:
            The run; a caller with more to do has to look whether it is ``interrupted``, and stop too.

        Raises:
            OSError: the disk is full; nothing is damaged, and the next call goes on from the last checkpoint.
        """
        run = self.open(config, label)
        if run.state == "done":
            return run
        with run.held(wait=True), _full_disk_explained(run):
            if run.state in FINAL:
                return run
            previous = run.status
            started = previous.started if previous and previous.started else _now()
            attempts = previous.attempts + 1 if previous else 1

            def note(state: str, message: str = "") -> None:
                status = Status(
                    state, label, message, started, _now(), attempts, os.getpid(), socket.gethostname()
                )
                write_json(run.folder / STATUS, asdict(status))

            write_json(run.folder / CONFIG, run.config)
            note("running")
            try:
                ending = work(run)
                if ending.state not in ENDINGS:
                    raise ValueError(f"work on {label} ended {ending.state!r}; known: {', '.join(ENDINGS)}")
            except KeyboardInterrupt:
                note("interrupted", "stopped by the user")
                raise
            except BaseException as error:
                note("error", f"{type(error).__name__}: {error}")
                raise
            note(ending.state, ending.message)
        return run


@contextmanager
def _full_disk_explained(run: Run) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if not disk_is_full(error):
            raise
        words = f"the disk is full: {run.label} stopped, undamaged. Free some space and call again to go on"
        raise OSError(error.errno, words, str(run.folder)) from error


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _plain(value: Any, where: str) -> Any:
    """``value`` as JSON would give it back; refuses what JSON would change or not take."""
    if isinstance(value, Mapping):
        strange = [key for key in value if not isinstance(key, str)]
        if strange:
            raise TypeError(f"{where}: key {strange[0]!r} is {type(strange[0]).__name__}, not str")
        return {key: _plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, f"{where}[{index}]") for index, item in enumerate(value)]
    if value is None or type(value) in (str, bool, int):
        return value
    if type(value) is float and math.isfinite(value):
        return value
    raise TypeError(
        f"{where} is {value!r} ({type(value).__name__}); a configuration holds dicts, lists, str, bool, int, "
        "finite float and None"
    )
