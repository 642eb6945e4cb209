"""Which DICOM files of a folder belong together: one volume or several, and what is none."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studykit.data.files.dicom_grid import planes_of_files, stack
from studykit.data.files.dicom_headers import frames, no_image, read_header, text
from studykit.data.files.dicom_volume import damage
from studykit.data.files.errors import NoGrid

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
        names: file names in the folder, from first slice to last where these are one grid.
        patient: PatientID.
        note: which part of its series it is; empty for a whole series.
    """

    names: tuple[str, ...]
    patient: str
    modality: str
    note: str = ""


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
    return [
        Series(_in_order(part), text(part[0][1], "PatientID"), text(part[0][1], "Modality"), note)
        for note, part in parts
    ]


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
