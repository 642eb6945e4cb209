"""Volumes in a folder of one's own: BIDS, imagesTr/labelsTr, images/labels, or files as they lie.

What was found and what is used add up: every file that may have been meant as a volume is an image, the
label map of one, or is named with the reason why it is neither. Who is one subject: see
:mod:`studykit.data.files.people`, and for DICOM :mod:`studykit.data.files.dicom_people`.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from studykit.data.files.dicom_people import name_folders, name_series
from studykit.data.files.dicom_series import join_folders, sort_dicom
from studykit.data.files.label_names import folder_part, holds_series_of_maps
from studykit.data.files.listing import LISTING, read_channels
from studykit.data.files.names import channel_cases
from studykit.data.files.pairing import pair
from studykit.data.files.people import IMAGES, name_subjects, one_spelling
from studykit.data.files.refs import Subject, Unused, VolumeRef
from studykit.data.files.text import readable
from studykit.data.files.told import Told, read_told, said_in_vain
from studykit.data.files.walk import VOLUME_SUFFIXES, is_dicom, stem, walk

MODALITIES = {
    **{name: "T1w" for name in ("t1w", "t1", "t1n", "mprage")},
    **{name: "T1gd" for name in ("t1ce", "t1c", "t1gd", "t1post")},
    **{name: "T2w" for name in ("t2w", "t2")},
    **{name: "FLAIR" for name in ("flair", "t2f")},
    "pdw": "PDw", "pd": "PDw", "t2starw": "T2starw", "ct": "CT", "mr": "MR", "mri": "MR",
}  # fmt: skip
"""Last word of a file's name or name of a channel, in lower case → modality."""


@dataclass(frozen=True)
class Survey:
    """What a folder holds.

    Attributes:
        subjects: its images, those of one subject side by side.
        unused: files that may have been meant as volumes and are none of these, with reasons.
        others: suffix → number of other files, such as tables and texts.
    """

    subjects: tuple[Subject, ...]
    unused: tuple[Unused, ...]
    others: Mapping[str, int]


def read_folder(root: Path) -> tuple[Subject, ...]:
    """Every image under ``root`` (or the one file ``root``), by subject, with its label map if one is found.

    Raises:
        FileNotFoundError: no such path, or no image under it.
    """
    return survey(root).subjects


def survey(root: str | Path) -> Survey:
    """All that lies under a folder, see :func:`read_folder`."""
    root = Path(root)
    if not root.exists():
        raise FileNotFoundError(f"folder:{root}: no such file or folder")
    if root.is_file() and not root.name.lower().endswith(VOLUME_SUFFIXES) and is_dicom(root):
        series, others, _ = _series(root.parent, {root.parent: [root]}, Told({}, ()), set())
        return Survey(tuple(series), tuple(others), {})
    if root.is_file():
        image = VolumeRef(root)
        return Survey((Subject(readable(stem(root)), image, modality=_modality(stem(root))),), (), {})
    found = walk(root)
    told = read_told(root)
    images, unused = _files(root, found.volumes, told)
    series, others, same = _series(root, found.dicom, told, {subject.id for subject in images})
    spelling = one_spelling((subject.id for subject in images + series), told)
    spelling = {name: same.get(one, one) for name, one in spelling.items()}
    subjects = [replace(subject, id=readable(spelling[subject.id])) for subject in images + series]
    subjects.sort(key=lambda subject: (subject.id, subject.image.name))
    unused += said_in_vain(root, (path.relative_to(root) for path in (*found.volumes, *found.dicom)), told)
    unused = sorted([*found.unused, *unused, *others], key=lambda entry: entry.path)
    if not subjects:
        looked = f"looked for {', '.join(VOLUME_SUFFIXES)} and DICOM files"
        seen = "".join(f"\n  {readable(str(entry.path))} {entry.reason}" for entry in unused[:5])
        raise FileNotFoundError(f"folder:{root} holds no volume; {looked}{seen}")
    return Survey(tuple(subjects), tuple(unused), dict(found.others))


def _files(root: Path, files: Sequence[Path], told: Told) -> tuple[list[Subject], list[Unused]]:
    cases = _channels(files)
    found = pair(files, root, cases)
    names = [(path.relative_to(root), cases.get(path, stem(path))) for path in found.labels]
    ids = name_subjects(names, told)
    listed = {folder: read_channels(folder / LISTING) for folder in {path.parent.parent for path in cases}}
    subjects = []
    for path, label in found.labels.items():
        spare = ", ".join(readable(other.name) for other in found.spare[path])
        note = f"labels are {readable(label.name)}; not used: {spare}" if spare else ""
        subjects.append(
            Subject(
                readable(ids[path.relative_to(root)]),
                VolumeRef(path),
                None if label is None else VolumeRef(label, other_side=found.right.get(path)),
                _channel_modality(path, listed) if path in cases else _modality(stem(path)),
                note=note,
            )
        )
    return subjects, list(found.unused)


def _channels(files: Sequence[Path]) -> dict[Path, str]:
    """The case of each file whose last four digits count channels."""
    together = defaultdict(list)
    for path in files:
        together[path.parent].append(path)
    labelled = {
        (path.parent.parent, stem(path)) for path in files if folder_part(path.parent.name)[0] == "labels"
    }
    found = {}
    for folder, members in together.items():
        own = [stem(path) for path in members]
        # A name that a label map beside the folder has too is a whole name.
        whole = {name for name in own if (folder.parent, name) in labelled}
        certain = folder.name.lower() in IMAGES
        cases = channel_cases(set(own) - whole, certain=certain)
        found |= {path: cases[stem(path)] for path in members if stem(path) in cases}
    return found


def _channel_modality(path: Path, listed: Mapping[Path, Mapping[int, str]]) -> str:
    name = listed[path.parent.parent].get(int(stem(path)[-4:]), "")
    return MODALITIES.get(name.lower(), "unknown")


def _modality(name: str) -> str:
    return MODALITIES.get(re.split(r"[_\-. ]", name)[-1].lower(), "unknown")


def _series(
    root: Path, folders: Mapping[Path, Sequence[Path]], told: Told, images: Iterable[str]
) -> tuple[list[Subject], list[Unused], dict[str, str]]:
    """One entry for every DICOM volume and for every damaged file, the files that are no image, and which
    subjects are one: id → the id that stands for it."""
    maps = {f for f in folders if any(map(holds_series_of_maps, f.relative_to(root).parts))}
    maps = maps if len(maps) < len(folders) else set()
    contents = {folder: sort_dicom(files) for folder, files in folders.items() if folder not in maps}
    volumes = join_folders([(folder, one) for folder, content in contents.items() for one in content.series])
    named = name_folders({*contents, *(folder for folder, _ in volumes)}, root, told)
    ids, same = name_series(volumes, root, told, named, images)
    found, owners = [], defaultdict(set)
    for (folder, series), owner in zip(volumes, ids, strict=True):
        for name in series.names:
            owners[(folder / name).parent].add(owner)
        image = VolumeRef(folder, series.names)
        found.append(Subject(owner, image, modality=series.modality or "unknown", note=series.note))
    reason = "lies in a folder of label maps; those in DICOM are not read: convert them to NIfTI"
    unused = [Unused(path, reason) for folder in sorted(maps) for path in folders[folder]]
    for folder, content in contents.items():
        # A damaged file is read, and so refused by name, rather than passed over: a slice may be missing.
        owner = owners[folder].pop() if len(owners[folder]) == 1 else named[folder]
        found += [Subject(owner, VolumeRef(folder, (path.name,))) for path, _ in content.damaged]
        unused += [Unused(path, reason) for path, reason in content.others]
    return found, unused, same
