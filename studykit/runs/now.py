"""What is going on now: a note for each training at work, which any process of the machine can read.

    <root>/.now/<hash>.json     label, step of how many, since when, by which process; gone when it ends

Notes are a courtesy: one that cannot be written stops no training, and a run's state never rests on them.
"""

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from studykit.runs.board import in_words, progress_line
from studykit.runs.store import Run

NOW = ".now"


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


def leave(root: Path, note: Note) -> None:
    """Write the note, or do without."""
    path = _path(root, note.key)
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(f".{os.getpid()}")
        draft.write_text(json.dumps(asdict(note)), encoding="utf-8")
        os.replace(draft, path)


def take_away(root: Path, key: str) -> None:
    """Remove the note of a run, if there is one."""
    with suppress(OSError):
        _path(root, key).unlink(missing_ok=True)


def _path(root: Path, key: str) -> Path:
    return root / NOW / f"{key}.json"
