"""Who is one subject: ids from paths, in many ways of naming, so that no subject is on both sides of a split.

In this order: what a table says (``subjects.csv`` with the columns ``file`` and ``subject``, or an id of
``participants.tsv`` in the path), ``sub-XX``, the ids of well-known data sets, and the file's and folders'
names without what tells apart the images of one subject: modality, channel, session, run, side, date. Where
two readings are possible, images rather share a subject than not.
"""

import csv
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from studykit.data.files.text import read_text
from studykit.data.files.walk import stem

TABLE, PARTICIPANTS = "subjects.csv", "participants.tsv"

MODALITY_WORDS = frozenset(
    "t1 t1w t1n t1c t1ce t1gd t1post t1pre t2 t2w t2f t2star t2starw flair pd pdw pdt2 ct cta cbct mr mri "
    "mra dwi adc swi pet fdg bold space stir tse mprage mp2rage hbv cor sag ax tra defaced brain head".split()
)
IMAGE_WORDS = frozenset("image images img imgs imaging volume vol scan nii nifti data orig raw".split())
FOLDER_WORDS = MODALITY_WORDS | IMAGE_WORDS | frozenset(
    "anat imagestr imagests rawdata dicom dcm nrrd mha train training val valid validation test testing "
    "scans volumes dataset unprocessed resources files mris cts".split()
)  # fmt: skip

_SUBJECT = re.compile(r"(?:^|[/_])sub-([A-Za-z0-9]+)", re.IGNORECASE)
_KNOWN = re.compile(
    r"(?<![A-Za-z0-9])(\d{3}_S_\d{4,5}|OAS[12]_\d{4}|OAS3\d{4}|IXI\d{3}|BraTS-[A-Z]+-\d{4,5}(?=-\d{3})|"
    r"TCGA-\w\w-\w{4}|LIDC-IDRI-\d{4}|\d{5}(?=_\d{7}))(?![A-Za-z0-9])"
)
"""ADNI, OASIS, IXI, BraTS 2023, TCGA, LIDC, PI-CAI."""

_SIDES = {"left", "right", "lh", "rh", "l", "r", "ed", "es", "3d", "4d"}
_ENTITY = (
    r"(?:ses|session|visit|tp|timepoint|run|acq|ce|rec|dir|echo|part|chunk|space|res|desc|mod)(?:-\w+|\d+)"
)
_ALWAYS = re.compile(
    rf"[_\-. ]+({_ENTITY}|(?:ses|session|visit|timepoint)[_ ]\d+|"
    rf"{'|'.join(sorted(MODALITY_WORDS | _SIDES))}|"
    r"baseline|followup|follow-up|bl|fu\d*|pre|post|preop|postop|(?:19|20)\d\d-?\d\d-?\d\d)$",
    re.IGNORECASE,
)
"""Ends of a name that never tell subjects apart."""
_AFTER_NUMBER = re.compile(
    r"[_\-. ]+((?:scan|series|study|exam|rep|repeat|frame|phase|echo|time|[tvmdwyes])[_\-]?\d+|\d{1,2})$",
    re.IGNORECASE,
)
"""Ends that do not where what stands before is a number already: ``p001_m12``, ``patient3_2``."""
_MIDDLE = re.compile(rf"[_\-. ]+({_ENTITY}|{'|'.join(sorted(MODALITY_WORDS))})[_\-. ][^\d]*$", re.IGNORECASE)
"""A modality or a session after a number, and only words after it: ``100307_T1w_acpc_restore``."""
_GROUP = re.compile(
    r"(?:site|cent(?:er|re)|hospital|scanner|group|cohort|fold|batch|part|split|set)[-_ ]?\w*", re.IGNORECASE
)
"""Folders of many subjects."""
_CHANNEL = re.compile(r"_(\d{4})$")
MOST_CHANNELS = 20
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
        ValueError: ``subjects.csv`` has not the columns ``file`` and ``subject``.
    """
    subjects: dict[str, str] = {}
    table = root / TABLE
    if table.is_file():
        rows = csv.DictReader(read_text(table).splitlines())
        if not {"file", "subject"} <= set(rows.fieldnames or ()):
            raise ValueError(f"{table} needs the columns file and subject; it has {rows.fieldnames}")
        subjects = {row["file"].strip(): row["subject"].strip() for row in rows}
    listed = root / PARTICIPANTS
    ids: list[str] = []
    if listed.is_file():
        rows = csv.DictReader(read_text(listed).splitlines(), delimiter="\t")
        ids = [(row.get("participant_id") or "").strip() for row in rows]
    return Told(subjects, tuple(sorted(filter(None, ids), key=len, reverse=True)))


def case_of(name: str) -> str:
    """A file's stem without what tells apart the images of one subject; empty where nothing else is left.

    >>> case_of("P01_ses-2_T1w"), case_of("p001_m12_flair"), case_of("scan_m12"), case_of("T1")
    ('P01', 'p001', 'scan_m12', '')
    """
    while True:
        match = _ALWAYS.search(name) or _MIDDLE.search(name)
        if match and match.re is _MIDDLE and not re.search(r"\d", name[: match.start()]):
            match = None
        if match is None:
            after = _AFTER_NUMBER.search(name)
            match = after if after and not after[1].isdigit() and name[after.start() - 1].isdigit() else None
        if match is None or match.start() == 0:
            return "" if name.lower() in MODALITY_WORDS | IMAGE_WORDS else name
        name = name[: match.start()]


def channel_cases(names: Iterable[str], *, certain: bool) -> dict[str, str]:
    """Stem → stem without ``_0000`` where the last four digits count channels, as in nnU-Net.

    They do where several names have the channels 0, 1, … and none has many, or where it is ``certain`` that
    the folder is one of nnU-Net's.
    """
    channels = defaultdict(set)
    for name in names:
        if match := _CHANNEL.search(name):
            channels[name[: match.start()]].add(int(match[1]))
    counted = [case for case, own in channels.items() if sorted(own) == list(range(len(own)))]
    few = all(max(own) < MOST_CHANNELS for own in channels.values())
    if not certain and (len(counted) < 2 or not few):
        return {}
    return {f"{case}_{number:04d}": case for case, own in channels.items() for number in own}


def name_subjects(files: Sequence[tuple[Path, str]], told: Told) -> dict[Path, str]:
    """Relative path of each image → its subject.

    Args:
        files: relative path and stem of each image, the stem without a channel.
    """
    ids = {path: _told(path, told) or _by_scheme(path) for path, _ in files}
    rest = [(path, name) for path, name in files if not ids[path]]
    ids |= _by_names(rest)
    spelling: dict[str, str] = {}
    for name in sorted(ids.values()):
        spelling.setdefault(name.casefold(), name)
    return {path: spelling[name.casefold()] for path, name in ids.items()}


def subject_in(path: PurePosixPath | Path) -> str:
    """``sub-XX`` of a path, empty where there is none."""
    match = _SUBJECT.search(path.as_posix())
    return f"sub-{match[1]}" if match else ""


def _told(path: Path, told: Told) -> str:
    for name in (path.as_posix(), path.name, stem(path)):
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
    folders = {path: [part for part in path.parts[:-1] if _tells(part)] for path, _ in files}
    uses = Counter((path.parent, case) for path, case in cases.items())
    shared = Counter(case for _, case in uses)
    levels = [{own[depth] for own in folders.values() if len(own) > depth} for depth in range(2)]
    numbered = {path.parent for path, own in folders.items() if own and _is_numbered(own[-1])}
    inside = [case for parent, case in uses if parent in numbered]
    roomy = len(numbered) > 1 and len(inside) <= MOST_IN_A_FOLDER * len(numbered)
    found = {}
    for path, case in cases.items():
        own, tells = folders[path], bool(re.search(r"\d", case))
        named = own and _begins_with(case, own[-1]) and (_is_numbered(own[-1]) or len(levels[0]) > 1)
        if own and (named or not case or (not tells and shared[case] > 1)):
            found[path] = own[-1] if named else _folder(own, levels)
        elif own and roomy and path.parent in numbered:
            found[path] = _folder(own, levels)
        else:
            found[path] = case or stem(path)
    return found


def _is_numbered(folder: str) -> bool:
    return bool(re.search(r"\d", folder)) and not _GROUP.fullmatch(folder)


def _folder(own: Sequence[str], levels: Sequence[set[str]]) -> str:
    """The subject's folder: the upper one, for the lower may be sessions; the lower one below groups."""
    group = not _is_numbered(own[0]) and len(levels[1]) > len(levels[0])
    return "/".join(own[:2]) if group else own[0]


def _begins_with(case: str, folder: str) -> bool:
    rest = case[len(folder) :]
    return case.lower().startswith(folder.lower()) and not rest[:1].isalnum()


def _tells(folder: str) -> bool:
    """Whether a folder's name can be a subject's: no session, no date, no word for images."""
    return folder.lower() not in FOLDER_WORDS and not _ALWAYS.fullmatch(f"_{folder}")


def _without_repeats(cases: Mapping[Path, str]) -> dict[Path, str]:
    """Names of which a last small number counts the images of a subject: ``p1_1``, ``p1_2``, ``p2_1``."""
    stripped = {}
    for path, case in cases.items():
        match = _AFTER_NUMBER.search(case)
        if match and match[1].isdigit() and case[match.start() - 1].isdigit():
            stripped[path] = case[: match.start()]
    if len(set(stripped.values())) < 2:
        return dict(cases)
    return {**cases, **stripped}
