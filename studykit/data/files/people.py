"""Who is one subject: ids from paths, in many ways of naming, so that no subject is on both sides of a split.

In this order: what a table says (``subjects.csv`` with the columns ``file`` and ``subject``, or an id of
``participants.tsv`` in the path), ``sub-XX``, the ids of well-known data sets, and the file's and folders'
names without what tells apart the images of one subject: modality, channel, session, run, side, date, and
whatever stands behind several subjects' names alike (:mod:`studykit.data.files.crossed`). Where two readings
are possible, images rather share a subject than not.
"""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from studykit.data.files.crossed import bare_names, shape
from studykit.data.files.names import (
    GROUPS,
    is_group,
    is_long_number,
    is_numbered,
    is_session,
    says_nothing,
    starts_as_image,
    tells,
    without_lead,
    without_letter,
)
from studykit.data.files.told import Told, subject_in, told_subject
from studykit.data.files.walk import stem

_KNOWN = re.compile(
    r"(?<![A-Za-z0-9])(\d{3}_S_\d{4,5}|OAS[12]_\d{4}|OAS3\d{4}|IXI\d{3}|BraTS-[A-Z]+-\d{4,5}(?=-\d{3})|"
    r"TCGA-\w\w-\w{4}|LIDC-IDRI-\d{4}|\d{5}(?=_\d{7})|\d{7}(?=_2\d{4}_\d_\d)|"
    r"[A-Z]{3,}_\d+(?=_(?:MR|CT|PT)_)|\d{5}[A-Z](?=_(?:INSP|EXP)))(?![A-Za-z0-9])"
)
"""ADNI, OASIS, IXI, BraTS 2023, TCGA, LIDC, PI-CAI, UK Biobank, other downloads of IDA, COPDGene."""

IMAGES = ("imagestr", "imagests")
"""Folders of images in nnU-Net's layout, in lower case."""
MOST_IN_A_FOLDER = 3
"""Files of different names a folder, on average, up to which the folder is the subject."""
MOST_STUDIES = 12
"""Numbered folders in a numbered one, on average, above which the upper one is a site."""


def name_subjects(files: Sequence[tuple[Path, str]], told: Told) -> dict[Path, str]:
    """Relative path of each image → its subject.

    Args:
        files: relative path and stem of each image, the stem without a channel.
    """
    ids = {path: told_subject(path, told) or _by_scheme(path) for path, _ in files}
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


def _by_scheme(path: Path) -> str:
    if subject := subject_in(path):
        return subject
    for part in reversed(path.parts):
        if match := _KNOWN.search(part):
            return match[1]
    return ""


def _by_names(files: Sequence[tuple[Path, str]]) -> dict[Path, str]:
    """Subjects from names alone: the file's where it tells, else the folders'."""
    bare = bare_names(name for _, name in files)
    cases = {path: bare[name] for path, name in files}
    bare = bare_names({part for path in cases for part in _telling(path)})
    folders = {path: _folders([bare[part] or part for part in _telling(path)]) for path in cases}
    levels = _Levels(list(folders.values()))
    homes, inside = defaultdict(set), defaultdict(set)
    for path, case in cases.items():
        homes[case].add(folders[path])
        inside[folders[path]].add(case)
    numbered = {own: names for own, names in inside.items() if own and is_numbered(own[-1])}
    few = len(numbered) > 1 and sum(map(len, numbered.values())) <= MOST_IN_A_FOLDER * len(numbered)
    # Where one name stands in several folders, the more numerous of the two are the subjects.
    crossed = any(len(own) > 1 for case, own in homes.items() if case and not says_nothing(case))
    counted = _counted(homes), _counted(own[-1] for own in numbered)
    by_folder = few and not (crossed and len(homes) > len(inside))
    found = {}
    for path, case in cases.items():
        own = folders[path]
        named = own and _begins_with(case, own[-1]) and (is_numbered(own[-1]) or len(levels.upper) > 1)
        generic = not re.search(r"\d", case) and len(homes[case]) > 1
        repeats = own in numbered and len(homes[case]) > 1 and (own[-1].isdigit() or not is_session(own[-1]))
        generic |= repeats and case not in counted[0] and own[-1] in counted[1]
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
    at_home = {folders[path] for path, name in found.items() if _are_of_one(folders[path], name, levels)}
    alike = {own: Counter(map(shape, inside[own])) for own in at_home}
    common = Counter(one for own in at_home for one in alike[own])
    for path, case in cases.items():
        own = folders[path]
        # Beside images that are the folder's, only what is counted there and nowhere else is others'.
        if own in at_home and (alike[own][shape(case)] == 1 or common[shape(case)] > 1):
            found[path] = levels.subject(own)
    return _without_letters(found)


def _are_of_one(own: Sequence[str], name: str, levels: "_Levels") -> bool:
    """Whether folders are those of one subject, the one that is named."""
    last = name.rpartition("/")[2]
    told = bool(own) and is_numbered(last) and (last.isdigit() or not is_session(last))
    return told and name == levels.subject(own)


def _without_letters(ids: Mapping[Path, str]) -> dict[Path, str]:
    """Ids without a last letter, where several numbers have several: ``1a``, ``1b``, ``2a``, ``2b``."""
    letters = defaultdict(set)
    for name in ids.values():
        if bare := without_letter(name):
            letters[bare].add(name)
    several = {bare for bare, names in letters.items() if len(names) > 1}
    chosen = {name: bare for bare in several for name in letters[bare]} if len(several) > 1 else {}
    return {path: chosen.get(name, name) for path, name in ids.items()}


def _counted(names: Iterable[str]) -> set[str]:
    """Names that differ from others in a number alone."""
    alike = defaultdict(set)
    for name in names:
        alike[shape(name)].add(name)
    return {name for own in alike.values() if len(own) > 1 for name in own}


def _telling(path: Path) -> list[str]:
    """The folders of a path that can be a subject's: of nnU-Net's, whose names are the files', none."""
    parts = path.parts[:-1]
    above = max((n for n, part in enumerate(parts, 1) if part.lower() in IMAGES), default=0)
    return [part for part in parts[above:] if tells(part)]


def _folders(own: Sequence[str]) -> tuple[str, ...]:
    """Those of some folders that are a subject's: beside a numbered one, no session's and no group's."""
    sure = tuple(part for part in own if not is_session(part))
    if not any(map(is_numbered, sure)):
        return tuple(own)
    return tuple(part for part in sure if part.lower() not in GROUPS)


class _Levels:
    """Which of two levels of folders has the subjects; the other one has sessions, or groups of subjects."""

    def __init__(self, folders: Sequence[Sequence[str]]) -> None:
        below, inside = defaultdict(set), defaultdict(set)
        for own in folders:
            for name in own[1:2]:
                below[name].add(own[0])
                inside[own[0]].add(name)
        mean = sum(map(len, inside.values())) / max(1, len(inside))
        few, self._many = len(inside) > 1 and mean <= MOST_IN_A_FOLDER, mean > MOST_STUDIES
        self._studies = {name for name, own in inside.items() if few and all(map(is_long_number, own))}
        self.upper, self.lower = {own[0] for own in folders if own}, set(below)
        self._crossed = any(len(above) > 1 for above in below.values())
        self._sessions = all(map(is_session, self.upper)) and not all(map(is_session, self.lower))

    def subject(self, own: Sequence[str]) -> str:
        """The subject of some images' folders."""
        if len(own) == 1 or (len(self.lower) <= len(self.upper) and not self._sessions):
            return own[0]
        if self._crossed or self._sessions:
            return own[1]
        person = is_numbered(own[0]) or (own[0] in self._studies and not is_group(own[0]))
        site = self._many and is_numbered(own[1]) and not is_session(own[1])
        return own[0] if person and not site else "/".join(own[:2])


def _begins_with(case: str, folder: str) -> bool:
    rest = case[len(folder) :]
    return case.lower().startswith(folder.lower()) and not rest[:1].isalnum()
