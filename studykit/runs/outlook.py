"""How long a study has still to train: the operations ahead of it, at the pace of those behind it.

    <root>/.now/<pid>.<host>.ahead     the runs that are ahead of a process; gone when it is through with them

Written once before trainings begin; how far each has come is read from its state and from its note, see
:mod:`studykit.runs.now`, so that whoever watches reckons for himself. A courtesy as notes are: one that
cannot be written stops nothing. Scores, figures and verdicts come after the trainings, and are not counted.
"""

import json
import os
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from studykit.runs.board import span
from studykit.runs.now import NOW, note_of
from studykit.runs.store import FINAL, Run
from studykit.training.records import METRICS, last_record

KNOWN_SECONDS = 20.0
"""For so long the pace of before counts beside that of now: the first steps of a training say little."""


@dataclass(frozen=True)
class Ahead:
    """A run to be made.

    Attributes:
        weight: of one of its steps, such as its operations.
        first: step that it is taken up at.
        steps: in all.
    """

    weight: float
    first: int
    steps: int


@dataclass(frozen=True)
class Outlook:
    """The runs that a process has ahead of it.

    Attributes:
        study: whose.
        ahead: by key.
        pace: weight a second that the process had before, 0 where it has trained nothing yet.
        since: seconds since the epoch.
        pid, host: of the process.
    """

    study: str
    ahead: Mapping[str, Ahead]
    pace: float
    since: float
    pid: int
    host: str

    def left(self, root: str | Path) -> tuple[int, float | None]:
        """Runs that have not come to their end, and seconds until they have; None before the first step."""
        steps = self._steps(Path(root))
        pace = self._pace(steps)
        weight = sum(own.weight * (own.steps - steps[key]) for key, own in self.ahead.items())
        open_ones = sum(steps[key] < own.steps for key, own in self.ahead.items())
        return open_ones, weight / pace if pace else None

    def pace_now(self, root: str | Path) -> float:
        """Weight a second until now; 0 where nothing has been done."""
        return self._pace(self._steps(Path(root)))

    def line(self, root: str | Path) -> str:
        """In words, for a :class:`~studykit.runs.board.Board`."""
        count, seconds = self.left(root)
        about = "" if seconds is None else f", about {span(seconds)} of training to go"
        return f"{self.study}: {count} training{'' if count == 1 else 's'} ahead{about}"

    def _pace(self, steps: Mapping[str, int]) -> float:
        made = sum(own.weight * (steps[key] - own.first) for key, own in self.ahead.items())
        elapsed = time.time() - self.since
        if made <= 0 or elapsed <= 0:  # nothing is done, or a clock went back
            return self.pace
        known = KNOWN_SECONDS if self.pace else 0.0
        return (made + known * self.pace) / (elapsed + known)

    def _steps(self, root: Path) -> dict[str, int]:
        """Steps done of each run."""
        return {key: _done(root, key, own) for key, own in self.ahead.items()}


def _done(root: Path, key: str, own: Ahead) -> int:
    status = Run(root, key, {}, key).status
    if status is not None and status.state in FINAL:
        return own.steps
    note = note_of(root, key)
    return own.first if note is None else min(max(note.step, own.first), own.steps)


class LookingAhead:
    """While open, whoever watches can read what is ahead of this process.

    A class and no generator: what is raised inside would hold on to a generator's frames, and with them to
    the study, for as long as nobody collects circles.

    Args:
        study: whose.
        runs: of one store, at least one.
        weights: of a step of each, by key.
        pace: as :meth:`Outlook.pace_now` of the one before, 0 without one.
    """

    def __init__(
        self, study: str, runs: Sequence[Run], weights: Mapping[str, float], pace: float = 0.0
    ) -> None:
        ahead = {
            run.key: Ahead(weights[run.key], _first(run), run.config["training"]["steps"]) for run in runs
        }
        self._outlook = Outlook(study, ahead, pace, time.time(), os.getpid(), socket.gethostname())
        self._root = runs[0].folder.parent
        self._path = _path(self._root, self._outlook.pid, self._outlook.host)

    def __enter__(self) -> Outlook:
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            _forget_the_dead(self._root)
            draft = self._path.with_suffix(".draft")
            draft.write_text(json.dumps(asdict(self._outlook)), encoding="utf-8")
            os.replace(draft, self._path)
        return self._outlook

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._path.unlink(missing_ok=True)


def outlooks(root: str | Path) -> list[Outlook]:
    """What is ahead of the processes that are alive, of other machines as far as they have left a word."""
    found = [_read(path) for path in sorted(Path(root).joinpath(NOW).glob("*.ahead"))]
    return [one for one in found if one is not None and not _is_dead(one)]


def own_outlook(root: str | Path) -> Outlook | None:
    """What is ahead of this process; None where it makes no runs of a study."""
    return _read(_path(Path(root), os.getpid(), socket.gethostname()))


def _first(run: Run) -> int:
    """Step that a run is taken up at, by what it wrote down last."""
    return last_record(run.folder / METRICS).get("step", 0)


def _forget_the_dead(root: Path) -> None:
    for path in root.joinpath(NOW).glob("*.ahead"):
        if (one := _read(path)) is None or _is_dead(one):
            path.unlink(missing_ok=True)


def _is_dead(one: Outlook) -> bool:
    return one.host == socket.gethostname() and not psutil.pid_exists(one.pid)


def _path(root: Path, pid: int, host: str) -> Path:
    return root / NOW / f"{pid}.{host}.ahead"


def _read(path: Path) -> Outlook | None:
    try:
        content = json.loads(path.read_bytes())
        ahead = {key: Ahead(**own) for key, own in content.pop("ahead").items()}
        return Outlook(ahead=ahead, **content)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
