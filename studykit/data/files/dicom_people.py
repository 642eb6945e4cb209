"""Whose the DICOM series of a folder are: by tables, by PatientID, else by folders as files are.

A PatientID says nothing where an anonymiser wrote a word for it, or one for all. One patient's series share
a study; what lies in the folder that names an image's subject is that subject's, too.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePath

from studykit.data.files.dicom_series import Series
from studykit.data.files.names import is_group, is_numbered, is_session, tells, without_lead
from studykit.data.files.people import name_subjects, one_spelling
from studykit.data.files.told import Told, participant, subject_in, told_subject

_NOBODY = re.compile(
    r"(?:anon\w*|deidentified|unknown|none|null|n/?a|removed|hidden|patient|patient_?id|id|[x0*]+)?",
    re.IGNORECASE,
)
"""What anonymisers write in the place of a PatientID."""
_PSEUDONYM = re.compile(r"anon\w*\d\w*", re.IGNORECASE)
"""One of these that may be a person's own, where there are several: ``ANON0017``."""
LEAST_DIGITS = 5
"""Digits from which a folder's name is a subject's number rather than a session's."""


def name_folders(folders: Iterable[Path], root: Path, told: Told) -> dict[Path, str]:
    """Folder of series → its subject, by tables and by the names of folders."""
    places = {folder: folder.relative_to(root) for folder in folders}
    inside = {
        folder: Path(_home(place.parts), (place.parts or (root.name,))[0]) for folder, place in places.items()
    }
    named = name_subjects([(path, "") for path in inside.values()], told)
    return {folder: told_subject(place, told) or named[inside[folder]] for folder, place in places.items()}


def _home(parts: Sequence[str]) -> str:
    """The first folder that can be a subject's: what lies deeper is rather a study's or a series'."""
    own = [part for part in parts if tells(part)]
    for number, part in enumerate(own):
        below = any(is_numbered(one) and without_lead(one) == one for one in own[number + 1 :])
        short = is_session(part) and not (part.isdigit() and len(part) >= LEAST_DIGITS)
        if not below or not (short or is_group(part)):
            return part
    return ""


def name_series(
    found: Sequence[tuple[Path, Series]],
    root: Path,
    told: Told,
    named: Mapping[Path, str],
    images: Iterable[str],
) -> tuple[list[str], dict[str, str]]:
    """The subject of each series, and which subjects are one: id → the id that stands for it.

    Args:
        found: series with their folders.
        named: folder → its subject, see :func:`name_folders`.
        images: ids of the subjects of other images.
    """
    patients = {series.patient.casefold() for _, series in found}
    tops = {folder.relative_to(root).parts[:1] for folder, _ in found}
    for_all = len(patients) == 1 and len(tops) > 1
    ids, together = [], defaultdict(set)
    spelling = one_spelling({*images, *named.values(), *(series.patient for _, series in found)}, told)
    of_images = {spelling[name] for name in images}
    pseudonyms = {name for name in patients if _PSEUDONYM.fullmatch(name)}
    several = {kind: len({getattr(series, kind) for _, series in found}) > 1 for kind in ("study", "uid")}
    for folder, series in found:
        place, home = folder.relative_to(root), spelling[named[folder]]
        said = told_subject(place, told) or subject_in(place) or participant(PurePath(series.patient), told)
        nobody = bool(_NOBODY.fullmatch(series.patient))
        ids.append(said or (home if nobody or for_all else spelling[series.patient]))
        if said in told.subjects.values():
            continue
        if home in of_images:
            together["folder", home] |= {home, ids[-1]}
        if len(pseudonyms) > 1 and series.patient.casefold() in pseudonyms:
            together["pseudonym", series.patient.casefold()].add(ids[-1])
        for kind, unlike in several.items():
            value = getattr(series, kind)
            if value and (unlike or not nobody):
                together[kind, value, series.patient.casefold()].add(ids[-1])
    return ids, _united(together.values(), of_images)


def _united(groups: Iterable[set[str]], first: set[str]) -> dict[str, str]:
    """Each id of some groups → one of those that groups chain together, one of ``first`` where there is."""
    found: dict[str, set[str]] = {}
    for group in groups:
        whole = set().union(group, *(found.get(name, ()) for name in group))
        found |= dict.fromkeys(whole, whole)
    return {name: min(whole, key=lambda one: (one not in first, one)) for name, whole in found.items()}
