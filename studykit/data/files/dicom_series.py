"""Which DICOM files of a folder belong together: one volume or several, and what is none."""

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from studykit.data.files.dicom_grid import planes_of_files, stack
from studykit.data.files.dicom_headers import frames, no_image, read_header, text
from studykit.data.files.dicom_volume import damage
from studykit.data.files.errors import NoGrid
from studykit.data.files.text import readable

APART = (
    "AcquisitionNumber",
    "EchoTime",
    "TemporalPositionIdentifier",
    "DiffusionBValue",
    "TriggerTime",
    "ImageType",
)
"""What parts the volumes of a series whose slices lie at the same places several times."""


@dataclass(frozen=True)
class Series:
    """The files of one volume.

    Attributes:
        names: file names in the folder, or paths below it, from first slice to last where these are one grid.
        patient: PatientID.
        note: which part of its series it is; empty for a whole series.
        study: StudyInstanceUID.
        uid: SeriesInstanceUID.
    """

    names: tuple[str, ...]
    patient: str
    modality: str
    note: str = ""
    study: str = ""
    uid: str = ""


@dataclass(frozen=True)
class DicomFolder:
    """What the DICOM files of one folder are: volumes, damaged files and other things, each with a reason."""

    series: tuple[Series, ...]
    damaged: tuple[tuple[Path, str], ...]
    others: tuple[tuple[Path, str], ...]


def sort_dicom(files: Sequence[Path]) -> DicomFolder:
    """Read the headers of the files of one folder, and say which belong together."""
    groups: dict[tuple[str, str], list[tuple[Path, Any]]] = defaultdict(list)
    seen: dict[tuple[str, ...], Path] = {}
    damaged, others = [], []
    for file in files:
        header = read_header(file)
        if header is None:
            damaged.append((file, damage(file)))
        elif what := no_image(header):
            others.append((file, f"is {what}, no image"))
        else:
            first = seen.setdefault(_identity(header), file) if all(_identity(header)) else file
            if first is file:
                groups[text(header, "SeriesInstanceUID"), text(header, "PatientID")].append((file, header))
            else:
                others.append((file, f"is a copy of {first.name}"))
    series = [one for key in sorted(groups) for one in _volumes(groups[key])]
    return DicomFolder(tuple(series), tuple(damaged), tuple(others))


def _identity(header: Any) -> tuple[str, ...]:
    """What two copies of an image share: the UID, which careless tools give to all slices, and the place."""
    names = "PatientID SeriesInstanceUID SOPInstanceUID InstanceNumber ImagePositionPatient".split()
    return tuple(text(header, name) for name in names)


def _volumes(members: list[tuple[Path, Any]]) -> list[Series]:
    """The volumes of one series: each multi-frame file, and the slices, once for each place."""
    many = [[member] for member in members if frames(member[1]) > 1]
    scouts, single = [], []
    for member in members:
        if frames(member[1]) == 1:
            (scouts if "LOCALIZER" in text(member[1], "ImageType") else single).append(member)
    parts = [("", part) for part in many]
    for note, part in (("", single), ("localizer" if single else "", scouts)):
        parts += [(own or note, volume) for own, volume in _parts(part)] if part else []
    tags = "PatientID Modality StudyInstanceUID SeriesInstanceUID".split()
    found = []
    for note, part in parts:
        patient, modality, study, uid = (text(part[0][1], tag) for tag in tags)
        found.append(Series(_in_order(part), patient, modality, note, study, uid))
    return found


def join_folders(found: Sequence[tuple[Path, Series]]) -> list[tuple[Path, Series]]:
    """Series with their folders; one that is spread over folders is one volume where its slices are one grid.

    Else its parts stay, and say so.
    """
    spread: dict[tuple[str, str, str], list[tuple[Path, Series]]] = defaultdict(list)
    for folder, series in found:
        spread[series.uid, series.study, series.patient].append((folder, series))
    joined = []
    for (uid, *_), parts in spread.items():
        if uid and len({folder for folder, _ in parts}) > 1:
            whole = _one_grid(parts)
            joined += whole or [(folder, replace(one, note=_spread(one, parts))) for folder, one in parts]
        else:
            joined += parts
    return joined


def _spread(series: Series, parts: Sequence[tuple[Path, Series]]) -> str:
    folders = ", ".join(readable(name) for name in sorted({folder.name for folder, _ in parts}))
    return "; ".join(filter(None, (series.note, f"its series is spread over the folders {folders}")))


def _one_grid(parts: Sequence[tuple[Path, Series]]) -> list[tuple[Path, Series]]:
    """The one volume of some parts, and its folder; none where they are no one grid."""
    files = [folder / name for folder, series in parts for name in series.names]
    members = [(file, header) for file in files if (header := read_header(file)) is not None]
    if any(frames(header) > 1 or "LOCALIZER" in text(header, "ImageType") for _, header in members):
        return []
    order = _grid(members)
    if order is None:
        return []
    base = Path(os.path.commonpath([folder for folder, _ in parts]))
    names = tuple(str(members[index][0].relative_to(base)) for index in order)
    series = parts[0][1]
    return [(base, replace(series, names=names, note=_spread(replace(series, note=""), parts)))]


def _parts(members: list[tuple[Path, Any]]) -> list[tuple[str, list[tuple[Path, Any]]]]:
    if _grid(members) is None:
        for name in APART:
            values = defaultdict(list)
            for member in members:
                values[text(member[1], name)].append(member)
            counts = {len(part) for part in values.values()}
            if len(values) > 1 and len(counts) == 1 and all(map(_grid, values.values())) and min(counts) > 1:
                return [(f"{name} {value}", part) for value, part in sorted(values.items())]
    return [("", members)]


def _grid(members: list[tuple[Path, Any]]) -> list[int] | None:
    """The order of slices; None where they are no one grid."""
    try:
        return stack(planes_of_files([file.name for file, _ in members], [h for _, h in members]))[0]
    except NoGrid:
        return None


def _in_order(members: list[tuple[Path, Any]]) -> tuple[str, ...]:
    order = _grid(members) if frames(members[0][1]) == 1 else None
    if order is None:
        return tuple(sorted(file.name for file, _ in members))
    return tuple(members[index][0].name for index in order)
