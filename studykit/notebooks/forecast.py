"""When a batch will be over: notebooks at work by what is ahead of them, others by what they took before.

How long a notebook takes is remembered beside the runs that it makes, and is forgotten with them. One that
was never executed here is expected to take what its evidence cost, as far as its runs are not at hand, and
else as long as the others of its batch.
"""

import json
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from statistics import mean
from typing import Any

from studykit import atomic, home
from studykit.arms.ownership import own_parameters
from studykit.notebooks.catalogue import study_of
from studykit.report.record import FILE, read_verdicts
from studykit.runs.board import span
from studykit.runs.now import NOW
from studykit.runs.run_table import read_run_table
from studykit.runs.store import STATUS

TOOK = "notebooks.took"
"""File beside the notes of trainings: seconds by notebook and parameters."""


class Forecast:
    """The notebooks of a batch, some of them over, some at work; threads may tell it of them.

    Args:
        parameters: of each notebook.
        jobs: notebooks at a time.
        cores: of this machine.
    """

    def __init__(self, parameters: Mapping[str, Mapping[str, Any]], jobs: int, cores: int) -> None:
        took = _took()
        self._jobs = jobs
        self._names = {stem: _name(stem, own) for stem, own in parameters.items()}
        self._expected = {
            stem: took.get(self._names[stem]) or _of_evidence(stem, own, cores)
            for stem, own in parameters.items()
        }
        self._began: dict[str, float] = {}
        self._seconds: dict[str, float] = {}
        self._lock = threading.Lock()

    def begin(self, stem: str) -> None:
        """It is at work from now on."""
        with self._lock:
            self._began[stem] = time.monotonic()

    def keep(self, stem: str) -> None:
        """It is left as it is, and takes no time."""
        with self._lock:
            del self._expected[stem]

    def end(self, stem: str, *, failed: bool) -> None:
        """It is over; what it took is remembered unless it failed."""
        with self._lock:
            self._seconds[stem] = time.monotonic() - self._began.pop(stem)
            if not failed:
                _remember(self._names[stem], self._seconds[stem])

    def at_work(self) -> dict[str, float]:
        """Notebooks at work, and for how many seconds they have been."""
        with self._lock:
            return {stem: time.monotonic() - began for stem, began in self._began.items()}

    def left(self, told: Mapping[str, float | None]) -> float | None:
        """Seconds until all are over; None where nothing tells.

        Args:
            told: seconds of training that are ahead of notebooks at work, as far as they know.
        """
        elapsed = self.at_work()
        with self._lock:
            over = dict(self._seconds)
        # What others took, against what was expected of them, is how far to trust what is expected of these.
        pairs = [(over[stem], self._expected[stem]) for stem in over if self._expected[stem]]
        trust = sum(own for own, _ in pairs) / sum(known for _, known in pairs) if pairs else 1.0
        whole = dict(over)
        for stem in self._expected.keys() - over.keys():
            guesses = [elapsed.get(stem, 0.0) + ahead for ahead in [told.get(stem)] if ahead is not None]
            guesses += [trust * known for known in [self._expected[stem]] if known is not None]
            if guesses:
                whole[stem] = max(guesses)
        if not whole:
            return None
        usual = mean(whole.values())
        left = [
            max(whole.get(stem, usual) - elapsed.get(stem, 0.0), 0.0)
            for stem in self._expected
            if stem not in over
        ]
        return max(sum(left) / self._jobs, max(left, default=0.0))

    def line(self, told: Mapping[str, float | None]) -> str:
        """In words, for a :class:`~studykit.runs.board.Board`."""
        seconds = self.left(told)
        about = "" if seconds is None else f", about {span(seconds)} to go"
        return f"{len(self._seconds)} of {len(self._expected)} notebooks done{about}"


def _of_evidence(stem: str, parameters: Mapping[str, Any], cores: int) -> float | None:
    """Seconds that the runs of the evidence took which are not at hand; None without evidence from a CPU."""
    study, profile = study_of(stem), parameters.get("profile", "smoke")
    folder = home.evidence_dir(study, profile, own=False)
    if not (folder / FILE).is_file():
        return None
    try:
        if own_parameters(study, profile, parameters):
            return None
        costs = [record.cost for record in read_verdicts(folder)]
        keys = {row["run"] for row in read_run_table(folder)}
    except (ValueError, OSError):
        return None
    missing = [key for key in keys if not (home.runs_dir() / key / STATUS).is_file()]
    if not keys or any(cost.gpu_hours for cost in costs):
        return None
    return 3600 * max((cost.cpu_hours for cost in costs), default=0.0) / cores * len(missing) / len(keys)


def _name(stem: str, parameters: Mapping[str, Any]) -> str:
    return f"{stem} {json.dumps(dict(parameters), sort_keys=True, default=str)}"


def _took() -> dict[str, float]:
    """What notebooks took, by name and parameters; nothing where that cannot be read."""
    try:
        content = json.loads(_file().read_bytes())
        return {str(name): float(seconds) for name, seconds in content.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _remember(name: str, seconds: float) -> None:
    with suppress(OSError):
        _file().parent.mkdir(parents=True, exist_ok=True)
        atomic.write_json(_file(), _took() | {name: round(seconds, 1)})


def _file() -> Path:
    return home.runs_dir() / NOW / TOOK
