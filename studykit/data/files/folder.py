"""Volumes in a folder of one's own: BIDS, imagesTr/labelsTr, images/labels, or files as they lie.

Hidden files (``.…`` and the ``._…`` that some systems leave) are skipped. The subject of a file is, in this
order: ``sub-XX`` in its path; its sub-folder, where the file's name starts with the sub-folder's or occurs
in several of them; its stem. A DICOM series belongs to its PatientID, or to its sub-folder where all series
carry the same one.
"""

import json
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

from studykit.data.files.refs import Subject, VolumeRef

VOLUME_SUFFIXES = (".nii.gz", ".nii", ".mha", ".mhd", ".nrrd", ".nhdr", ".mgz", ".mgh")
LABEL_SUFFIXES = ("dseg", "msk", "mask", "seg", "label", "labels", "gt")
NOT_ANATOMY = {"func", "dwi", "perf", "fmap", "pet", "meg", "eeg"}
MODALITIES = {"t1w": "T1w", "t2w": "T2w", "flair": "FLAIR", "pdw": "PDw", "t2starw": "T2starw", "ct": "CT"}

_SUBJECT = re.compile(r"(?:^|[/_])(sub-[A-Za-z0-9]+)")
_SESSION = re.compile(r"(?:^|[/_])(ses-[A-Za-z0-9]+)")
_ENTITY = re.compile(r"(?:^|_)(acq|ce|rec|run|part|chunk)-([A-Za-z0-9]+)")
_CHANNEL = re.compile(r"_(\d{4})$")


def read_folder(root: Path) -> tuple[Subject, ...]:
    """Every volume under ``root`` (or the one file ``root``), by subject, with its label map if one is found.

    Labels are the files of ``labelsTr`` beside ``imagesTr``, of ``labels`` beside ``images``, or those
    whose name ends in one of ``LABEL_SUFFIXES`` after the image's name or after the same BIDS subject and
    session.

    Raises:
        FileNotFoundError: no such path, or no volume under it.
    """
    if not root.exists():
        raise FileNotFoundError(f"folder:{root}: no such file or folder")
    if root.is_file():
        return (Subject(stem(root), VolumeRef(root), modality=_modality(stem(root))),)
    files, dicom_folders = _walk(root)
    found: list[Subject] = []
    for images, labels in (("imagesTr", "labelsTr"), ("images", "labels")):
        if (root / images).is_dir():
            found = _paired(root, files, images, labels)
            dicom_folders = [path for path in dicom_folders if path.is_relative_to(root / images)]
            break
    else:
        found = _loose(root, files)
    found += _series(root, dicom_folders)
    if not found:
        raise FileNotFoundError(
            f"folder:{root} holds no volume; looked for {', '.join(VOLUME_SUFFIXES)} and DICOM files"
        )
    return tuple(sorted(found, key=lambda subject: (subject.id, subject.image.name)))


def stem(path: Path) -> str:
    """File name without its volume suffix."""
    suffix = next((s for s in VOLUME_SUFFIXES if path.name.lower().endswith(s)), path.suffix)
    return path.name[: len(path.name) - len(suffix)]


def _walk(root: Path) -> tuple[list[Path], list[Path]]:
    """Volume files and folders with DICOM files, hidden ones left out."""
    files, dicom_folders = [], []
    for parent, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        shown = [Path(parent) / name for name in sorted(names) if not name.startswith(".")]
        files += [path for path in shown if path.name.lower().endswith(VOLUME_SUFFIXES)]
        if any(_is_dicom(path) for path in shown):
            dicom_folders.append(Path(parent))
    return files, dicom_folders


def _is_dicom(path: Path) -> bool:
    if path.suffix.lower() not in (".dcm", ".ima", "") and not path.suffix[1:].isdigit():
        return False
    with open(path, "rb") as file:
        return file.read(132)[128:] == b"DICM"


def _paired(root: Path, files: list[Path], images: str, labels: str) -> list[Subject]:
    """Files of one folder with the label maps of the other; ``_0000`` counts channels as in nnU-Net."""
    maps = {stem(path): path for path in files if path.is_relative_to(root / labels)}
    channels = _channel_names(root / "dataset.json")
    found = []
    for path in files:
        if not path.is_relative_to(root / images):
            continue
        name = stem(path)
        channel = _CHANNEL.search(name)
        case = name[: channel.start()] if channel and name not in maps else name
        label = maps.get(case)
        modality = channels.get(int(channel.group(1)) if channel else 0, _modality(name))
        match = _SUBJECT.search(case)
        identity = match.group(1) if match else case
        found.append(
            Subject(identity, VolumeRef(path), None if label is None else VolumeRef(label), modality)
        )
    return found


def _channel_names(listing: Path) -> dict[int, str]:
    """Modality of each channel that a dataset.json (nnU-Net, Decathlon) gives by a known word."""
    if not listing.is_file():
        return {}
    description = json.loads(listing.read_text(encoding="utf-8"))
    names = description.get("channel_names") or description.get("modality") or {}
    known = MODALITIES | {"mri": "MR", "mr": "MR", "t1": "T1w", "t2": "T2w"}
    return {
        int(key): known[str(value).lower()] for key, value in names.items() if str(value).lower() in known
    }


def _loose(root: Path, files: list[Path]) -> list[Subject]:
    """BIDS or flat files: those with a label's suffix are paired with images, the others are images."""
    maps: dict[object, list[Path]] = defaultdict(list)
    images = []
    for path in files:
        name, _, last = stem(path).rpartition("_")
        if name and last.lower() in LABEL_SUFFIXES:
            maps[_key(path, root, name)].append(path)
        elif not _derived(path.relative_to(root)):
            images.append(path)
    uses = Counter(stem(path) for path in images)
    found = []
    for path in images:
        name = stem(path)
        candidates = [label for label in maps[_key(path, root, name)] if _fits(stem(label), name)]
        note = ""
        if len(candidates) > 1:
            note = f"labels are {candidates[0].name}; not used: {', '.join(x.name for x in candidates[1:])}"
        label = VolumeRef(candidates[0]) if candidates else None
        found.append(Subject(_identity(path, root, uses), VolumeRef(path), label, _modality(name), note=note))
    return found


def _derived(relative: Path) -> bool:
    return bool({"derivatives", "sourcedata", *NOT_ANATOMY} & set(relative.parts[:-1]))


def _key(path: Path, root: Path, name: str) -> tuple[object, ...]:
    """What an image and its label map share: subject and session; without these, folder and name."""
    relative = path.relative_to(root).as_posix()
    subject, session = _SUBJECT.search(relative), _SESSION.search(relative)
    if subject is None:
        return (path.parent, name)
    return (subject.group(1), session.group(1) if session else None)


def _fits(label: str, image: str) -> bool:
    """Whether each acquisition entity and modality in a label map's name is also in the image's."""
    entities = dict(_ENTITY.findall(image))
    words = {word.lower() for word in label.split("_")} & MODALITIES.keys()
    same = all(entities.get(key) == value for key, value in _ENTITY.findall(label))
    return same and (not words or image.rpartition("_")[2].lower() in words)


def _identity(path: Path, root: Path, uses: Counter[str]) -> str:
    relative = path.relative_to(root)
    match = _SUBJECT.search(relative.as_posix())
    if match:
        return match.group(1)
    name = stem(path)
    if len(relative.parts) > 1 and (uses[name] > 1 or name.startswith(path.parent.name)):
        return path.parent.name if uses[name] == 1 else relative.parent.as_posix()
    return name


def _modality(name: str) -> str:
    return MODALITIES.get(name.rpartition("_")[2].lower(), "unknown")


def _series(root: Path, folders: Iterable[Path]) -> list[Subject]:
    """One entry for every DICOM series."""
    from studykit.data.files.formats import dicom_series

    series = [(folder, *found) for folder in folders for found in dicom_series(folder)]
    places = defaultdict(set)
    for folder, _, patient, _ in series:
        places[patient].add(_top(folder, root))
    found = []
    for folder, names, patient, modality in series:
        match = _SUBJECT.search(folder.relative_to(root).as_posix())
        shared = len(places) == 1 and len(places[patient]) > 1
        identity = match.group(1) if match else _top(folder, root) if shared or not patient else patient
        found.append(Subject(identity, VolumeRef(folder, names), modality=modality))
    return found


def _top(folder: Path, root: Path) -> str:
    relative = folder.relative_to(root)
    return relative.parts[0] if relative.parts else root.name
