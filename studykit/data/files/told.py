"""Who is one subject as tables beside the files say it: ``subjects.csv`` and ``participants.tsv``."""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath

from studykit.data.files.names import without_times
from studykit.data.files.refs import Unused
from studykit.data.files.text import read_text
from studykit.data.files.walk import stem

TABLE, PARTICIPANTS, PARTICIPANT = "subjects.csv", "participants.tsv", "participant_id"
MOST_NAMED = 5

_SUBJECT = re.compile(
    r"(?:^|[/_])sub-([A-Za-z]+[_-]\d{1,5}(?![A-Za-z0-9])|[A-Za-z0-9]+)", re.IGNORECASE
)  # BIDS has letters and digits alone; people write sub-patient_001, too


@dataclass(frozen=True)
class Told:
    """What tables in a folder say.

    Attributes:
        subjects: file name or path → subject.
        participants: ids of participants, the longest first.
        unused: a table that says nothing, with the reason.
    """

    subjects: Mapping[str, str]
    participants: tuple[str, ...]
    unused: tuple[Unused, ...] = ()


def read_told(root: Path) -> Told:
    """``subjects.csv`` and ``participants.tsv`` of a folder, where there are any.

    Raises:
        ValueError: ``subjects.csv`` has not the columns ``file`` and ``subject``, has no subject for a file,
            or two, or a quotation mark that does not end.
    """
    table, listed = root / TABLE, root / PARTICIPANTS
    subjects = _read_subjects(table) if table.is_file() else {}
    try:
        ids = _read_participants(listed) if listed.is_file() else []
    except ValueError as error:
        return Told(subjects, (), (Unused(listed, f"says nothing of the subjects: it {error}"),))
    return Told(subjects, tuple(sorted(ids, key=len, reverse=True)))


def _read_subjects(table: Path) -> dict[str, str]:
    """File → subject; folders by slashes of either kind."""
    subjects: dict[str, str] = {}
    try:
        for number, row in _rows(table, ("file", "subject")):
            file, subject = ((row[name] or "").strip() for name in ("file", "subject"))
            if not file or not subject:
                raise ValueError(f"line {number} needs a file and a subject, it has {list(row.values())}")
            file = PurePosixPath(file.replace("\\", "/")).as_posix()
            if subjects.setdefault(file, subject) != subject:
                raise ValueError(f"gives {file} to two subjects: {subjects[file]} and {subject}")
    except ValueError as error:
        raise ValueError(f"{table} {error}") from error
    return subjects


def _read_participants(table: Path) -> list[str]:
    ids = [(row[PARTICIPANT] or "").strip() for _, row in _rows(table, (PARTICIPANT,))]
    if not any(ids):
        raise ValueError("names nobody")
    return [name for name in ids if name and name.lower() != "n/a"]


def _rows(table: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str | None]]]:
    """Lines of a table with their numbers; columns apart by commas, semicolons or tabs."""
    lines = read_text(table).splitlines()
    rows = csv.DictReader(lines, delimiter=max("\t,;", key=(lines or [""])[0].count), strict=True)
    try:
        rows.fieldnames = [name.strip() for name in rows.fieldnames or ()]
        if not set(columns) <= set(rows.fieldnames):
            plural = "s" if len(columns) > 1 else ""
            raise ValueError(f"needs the column{plural} {' and '.join(columns)}; it has {rows.fieldnames}")
        for row in rows:
            yield rows.line_num, row
    except csv.Error as error:
        raise ValueError(f"cannot be read as a table, at line {rows.line_num}: {error}") from error


def said_in_vain(root: Path, files: Iterable[Path], told: Told) -> list[Unused]:
    """Tables, or parts of them, that say nothing of some files, given by their relative paths."""
    files, unused = list(files), list(told.unused)
    if absent := sorted(set(told.subjects) - {name for path in files for name in _own_names(path)}):
        more = f" and {len(absent) - MOST_NAMED} more" if len(absent) > MOST_NAMED else ""
        named = f"names what is not here: {', '.join(absent[:MOST_NAMED])}{more}"
        unused.append(Unused(root / TABLE, named))
    if told.participants and not any(participant(path, told) for path in files):
        unused.append(Unused(root / PARTICIPANTS, "names nobody whose id stands in a file's path"))
    return unused


def _own_names(path: Path) -> tuple[str, str, str]:
    """What a table may call a file."""
    return path.as_posix(), path.name, stem(path)


def subject_in(path: PurePath) -> str:
    """``sub-XX`` of a path, empty where there is none."""
    match = _SUBJECT.search(path.as_posix())
    return f"sub-{match[1]}" if match else ""


def told_subject(path: Path, told: Told) -> str:
    """The subject of a file as the tables say it, empty where they do not."""
    named = (told.subjects[name] for name in _own_names(path) if name in told.subjects)
    return next(named, "") or participant(path, told)


def participant(path: PurePath, told: Told) -> str:
    """The participant of a path: whose ``sub-XX`` it is, else whose id stands first in it."""
    if subject := subject_in(path).casefold():
        ids = (name for name in told.participants if subject in (name.casefold(), f"sub-{name.casefold()}"))
        return next(ids, "")
    whole = path.as_posix()
    text = without_times(whole[: len(whole) - len(path.name) + len(stem(path))])
    places = []
    for name in told.participants:
        if match := re.search(rf"(?<![A-Za-z0-9]){re.escape(name)}(?![A-Za-z0-9])", text):
            places.append((match.start(), -len(name), name))
    return min(places)[2] if places else ""
