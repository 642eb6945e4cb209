"""Who is one subject: ids from paths, in many ways of naming, so that no subject is on both sides of a split.

In this order: what a table says (``subjects.csv`` with the columns ``file`` and ``subject``, or an id of
``participants.tsv`` in the path), ``sub-XX``, the ids of well-known data sets, and the file's and folders'
names without what tells apart the images of one subject: modality, channel, session, run, side, date. Where
two readings are possible, images rather share a subject than not.
"""

import csv
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from studykit.data.files.names import (
    case_of,
    is_numbered,
    is_session,
    says_nothing,
    starts_as_image,
    tells,
    without_lead,
    without_letter,
    without_repeat,
)
from studykit.data.files.text import read_text
from studykit.data.files.walk import stem

TABLE, PARTICIPANTS = "subjects.csv", "participants.tsv"

_SUBJECT = re.compile(
    r"(?:^|[/_])sub-([A-Za-z]+[_-]\d{1,5}(?![A-Za-z0-9])|[A-Za-z0-9]+)", re.IGNORECASE
)  # BIDS has letters and digits alone; people write sub-patient_001, too
_KNOWN = re.compile(
    r"(?<![A-Za-z0-9])(\d{3}_S_\d{4,5}|OAS[12]_\d{4}|OAS3\d{4}|IXI\d{3}|BraTS-[A-Z]+-\d{4,5}(?=-\d{3})|"
    r"TCGA-\w\w-\w{4}|LIDC-IDRI-\d{4}|\d{5}(?=_\d{7})|\d{7}(?=_2\d{4}_\d_\d)|"
    r"[A-Z]{3,}_\d+(?=_(?:MR|CT|PT)_)|\d{5}[A-Z](?=_(?:INSP|EXP)))(?![A-Za-z0-9])"
)
"""ADNI, OASIS, IXI, BraTS 2023, TCGA, LIDC, PI-CAI, UK Biobank, other downloads of IDA, COPDGene."""

MOST_IN_A_FOLDER = 3
"""Files of different names a folder, on average, up to which the folder is the subject."""


@dataclass(frozen=True)
class Told:
    """What tables in a folder say: file name or path → subject, and the ids of participants."""

    subjects: Mapping[str, str]
    participants: tuple[str, ...]


def read_told(root: Path) -> Told:
    """``subjects.csv`` and ``participants.tsv`` of a folder, where there are any.

    Raises:
        ValueError: ``subjects.csv`` has not the columns ``file`` and ``subject``, has no subject for a file,
            or two.
    """
    table = root / TABLE
    subjects = _read_table(table) if table.is_file() else {}
    listed = root / PARTICIPANTS
    ids: list[str] = []
    if listed.is_file():
        rows = csv.DictReader(read_text(listed).splitlines(), delimiter="\t")
        ids = [(row.get("participant_id") or "").strip() for row in rows]
    return Told(subjects, tuple(sorted(filter(None, ids), key=len, reverse=True)))


def _read_table(table: Path) -> dict[str, str]:
    """File → subject; columns apart by commas, semicolons or tabs, folders by slashes of either kind."""
    lines = read_text(table).splitlines()
    rows = csv.DictReader(lines, delimiter=max(",;\t", key=(lines or [""])[0].count))
    if not {"file", "subject"} <= set(rows.fieldnames or ()):
        raise ValueError(f"{table} needs the columns file and subject; it has {rows.fieldnames}")
    subjects: dict[str, str] = {}
    for row in rows:
        file, subject = ((row[name] or "").strip() for name in ("file", "subject"))
        if not file or not subject:
            raise ValueError(
                f"{table}: line {rows.line_num} needs a file and a subject, it has {list(row.values())}"
            )
        file = PurePosixPath(file.replace("\\", "/")).as_posix()
        if subjects.setdefault(file, subject) != subject:
            raise ValueError(f"{table} gives {file} to two subjects: {subjects[file]} and {subject}")
    return subjects


def not_here(told: Told, files: Iterable[Path]) -> list[str]:
    """What ``subjects.csv`` names that is none of some files, given by their relative paths."""
    known = {name for path in files for name in _own_names(path)}
    return sorted(set(told.subjects) - known)


def _own_names(path: Path) -> tuple[str, str, str]:
    """What a table may call a file."""
    return path.as_posix(), path.name, stem(path)


def name_subjects(files: Sequence[tuple[Path, str]], told: Told) -> dict[Path, str]:
    """Relative path of each image → its subject.

    Args:
        files: relative path and stem of each image, the stem without a channel.
    """
    ids = {path: _told(path, told) or _by_scheme(path) for path, _ in files}
    rest = [(path, name) for path, name in files if not ids[path]]
    ids |= _by_names(rest)
    spelling = one_spelling(ids.values(), told)
    return {path: spelling[name] for path, name in ids.items()}


def one_spelling(ids: Iterable[str], told: Told) -> dict[str, str]:
    """Each id → the first, in alphabetical order, of those that differ from it in spelling alone.

    What ``subjects.csv`` says outright stays.

    >>> one_spelling(["P_01", "p1", "P02"], Told({}, ()))
    {'P02': 'P02', 'P_01': 'P_01', 'p1': 'P_01'}
    """
    first: dict[str, str] = {}
    found = {name: first.setdefault(_folded(name), name) for name in sorted(set(ids))}
    return found | {name: name for name in told.subjects.values()}


def _folded(name: str) -> str:
    """An id without what people write in one way or another: case, accents' form, separators, zeros."""
    name = re.sub(r"[_\-. ]+", "_", unicodedata.normalize("NFC", name).casefold())
    return re.sub(r"(?<=[a-z])_(?=\d)|(?<!\d)0+(?=\d)", "", name)


def subject_in(path: PurePosixPath | Path) -> str:
    """``sub-XX`` of a path, empty where there is none."""
    match = _SUBJECT.search(path.as_posix())
    return f"sub-{match[1]}" if match else ""


def _told(path: Path, told: Told) -> str:
    for name in _own_names(path):
        if name in told.subjects:
            return told.subjects[name]
    text = path.with_name(stem(path)).as_posix()
    for participant in told.participants:
        if re.search(rf"(?<![A-Za-z0-9]){re.escape(participant)}(?![A-Za-z0-9])", text):
            return participant
    return ""


def _by_scheme(path: Path) -> str:
    if subject := subject_in(path):
        return subject
    for part in reversed(path.parts):
        if match := _KNOWN.search(part):
            return match[1]
    return ""


def _by_names(files: Sequence[tuple[Path, str]]) -> dict[Path, str]:
    """Subjects from names alone: the file's where it tells, else the folders'."""
    cases = _without_repeats({path: case_of(name) for path, name in files})
    folders = {path: _folders(path) for path, _ in files}
    levels = _Levels(list(folders.values()))
    homes, inside = defaultdict(set), defaultdict(set)
    for path, case in cases.items():
        homes[case].add(folders[path])
        inside[folders[path]].add(case)
    numbered = {own: names for own, names in inside.items() if own and is_numbered(own[-1])}
    few = len(numbered) > 1 and sum(map(len, numbered.values())) <= MOST_IN_A_FOLDER * len(numbered)
    # Where one name stands in several folders, the more numerous of the two are the subjects.
    crossed = any(len(own) > 1 for case, own in homes.items() if case and not says_nothing(case))
    by_folder = few and not (crossed and len(homes) > len(inside))
    found = {}
    for path, case in cases.items():
        own = folders[path]
        named = own and _begins_with(case, own[-1]) and (is_numbered(own[-1]) or len(levels.upper) > 1)
        generic = not re.search(r"\d", case) and len(homes[case]) > 1
        weak, weak_home = bool(case) and is_session(case), bool(own) and is_session(own[-1])
        generic |= weak and not weak_home and bool(own) and (is_numbered(own[-1]) or len(homes[case]) > 1)
        generic |= says_nothing(case) and bool(own) and (is_numbered(own[-1]) or not starts_as_image(case))
        if named:
            found[path] = own[-1]
        elif own and (
            not case or generic or (by_folder and own in numbered and not (weak_home and not weak))
        ):
            found[path] = levels.subject(own)
        else:
            found[path] = without_lead(case) or stem(path)
    return _without_letters(found)


def _without_letters(ids: Mapping[Path, str]) -> dict[Path, str]:
    """Ids without a last letter, where several numbers have several: ``1a``, ``1b``, ``2a``, ``2b``."""
    letters = defaultdict(set)
    for name in ids.values():
        if bare := without_letter(name):
            letters[bare].add(name)
    several = {bare for bare, names in letters.items() if len(names) > 1}
    chosen = {name: bare for bare in several for name in letters[bare]} if len(several) > 1 else {}
    return {path: chosen.get(name, name) for path, name in ids.items()}


def _folders(path: Path) -> tuple[str, ...]:
    """The folders of a path that may be its subject's: beside a numbered one, none that may be sessions'."""
    own = tuple(part for part in path.parts[:-1] if tells(part))
    sure = tuple(part for part in own if not is_session(part))
    return sure if any(map(is_numbered, sure)) else own


class _Levels:
    """Which of two levels of folders has the subjects; the other one has sessions, or groups of subjects."""

    def __init__(self, folders: Sequence[Sequence[str]]) -> None:
        below = defaultdict(set)
        for own in folders:
            for name in own[1:2]:
                below[name].add(own[0])
        self.upper, self.lower = {own[0] for own in folders if own}, set(below)
        self._crossed = any(len(above) > 1 for above in below.values())
        self._sessions = all(map(is_session, self.upper)) and not all(map(is_session, self.lower))

    def subject(self, own: Sequence[str]) -> str:
        """The subject of some images' folders."""
        if len(own) == 1 or (len(self.lower) <= len(self.upper) and not self._sessions):
            return own[0]
        if self._crossed or self._sessions:
            return own[1]
        return own[0] if is_numbered(own[0]) else "/".join(own[:2])


def _begins_with(case: str, folder: str) -> bool:
    rest = case[len(folder) :]
    return case.lower().startswith(folder.lower()) and not rest[:1].isalnum()


def _without_repeats(cases: Mapping[Path, str]) -> dict[Path, str]:
    """Names without what counts the images of a subject, where several subjects have such counts."""
    stripped = {path: without_repeat(case) for path, case in cases.items()}
    stripped = {path: case for path, case in stripped.items() if case}
    return {**cases, **stripped} if len(set(stripped.values())) > 1 else dict(cases)
