"""What ``studykit data check`` reports: every image of a source, whether it can be used, and what is not."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from studykit.data.files.errors import BadVolume
from studykit.data.files.formats import doubts
from studykit.data.files.listing import LISTING, read_listing
from studykit.data.files.refs import Subject, Unused
from studykit.data.sources import kind_of, open_source, own_path, prepared_source
from studykit.data.volumes.cache import PreparedVolume
from studykit.data.volumes.grids import spacing
from studykit.data.volumes.labels import distinct, label_values
from studykit.data.volumes.look_alikes import MOST_VALUES, sample, suspicion
from studykit.data.volumes.volumes import look_at_volume, refuse_lost_signs

MADE_SPACING_MM = 3.0


@dataclass(frozen=True)
class CheckRow:
    """One image of a source.

    Attributes:
        path: what messages call the image, or where it is refused the file at fault.
        image: what messages call the image.
        shape: voxels along (X, Y, Z); None where the image is refused before it is known. So are the next
            two.
        spacing_mm: voxel size along (X, Y, Z).
        intensity: smallest and largest value, in the file's units, or standardised where there is no file.
        labels: label values other than 0, the first twelve and how many more; empty where there are none.
        reason: why the image is refused; empty where it is not.
        labels_path: what messages call its label map; empty where there is none.
        note: what else is to be known of it.
    """

    subject: str
    path: str
    modality: str
    shape: tuple[int, int, int] | None
    spacing_mm: tuple[float, float, float] | None
    intensity: tuple[float, float] | None
    labels: str
    reason: str
    labels_path: str = ""
    note: str = ""
    image: str = ""

    @property
    def ok(self) -> bool:
        return not self.reason

    @property
    def verdict(self) -> str:
        """``ok``, or ``refused:`` and the reason."""
        return "ok" if self.ok else f"refused: {self.reason}"


@dataclass(frozen=True)
class Report:
    """A whole source: its images, and for files of one's own everything else that lies there.

    Attributes:
        unused: files that may have been meant as images or label maps and are none, with reasons.
        others: suffix → number of files that are something else.
    """

    rows: tuple[CheckRow, ...]
    unused: tuple[Unused, ...] = ()
    others: Mapping[str, int] | None = None

    @property
    def people(self) -> dict[str, list[str]]:
        """Subject → its images."""
        found: dict[str, list[str]] = {}
        for row in self.rows:
            found.setdefault(row.subject, []).append(row.image)
        return found


def check_source(name: str, *, cache: str | Path | None = None) -> list[CheckRow]:
    """The rows of :func:`check_report`."""
    return list(check_report(name, cache=cache).rows)


def check_report(name: str, *, cache: str | Path | None = None) -> Report:
    """Read every image of a source, labels included, and say of each whether it can be used.

    What is made, such as a cohort, is made at ``MADE_SPACING_MM``. Raises what
    :func:`studykit.data.sources.open_source` raises; bad volumes are rows, not errors.
    """
    if kind_of(name).origin == "made":
        volumes = prepared_source(name, MADE_SPACING_MM, cache=cache).volumes
        return Report(tuple(_made_row(volume) for volume in volumes))
    collection = open_source(name, cache=cache)
    declared, unused = None, collection.unused
    root = own_path(name)
    if root is not None:
        try:
            if any(subject.labels is not None for subject in collection.subjects):
                declared = kind_of(name).classes(name, collection.cache)
            elif os.path.lexists(root / LISTING):
                read_listing(root / LISTING)
        except ValueError as error:  # whoever takes the labels is refused with it
            unused = (*unused, Unused(root / LISTING, f"is not used: {error}"))
    return Report(tuple(check_subjects(collection.subjects, declared)), unused, collection.others)


def check_subjects(
    subjects: Iterable[Subject], declared: Mapping[int, str] | None = None
) -> Iterator[CheckRow]:
    """One row for each image, as soon as it is read; one image is in memory at a time.

    Args:
        declared: label → class of the listing that the source has, for a note on labels that are not in it.
    """
    seen: dict[Any, str] = {}
    for subject in subjects:
        yield _row(subject, seen, declared)


def _row(subject: Subject, seen: dict[Any, str], declared: Mapping[int, str] | None) -> CheckRow:
    """What an image's check says. ``seen`` maps what was read before to its path, and grows."""
    shape = size = intensity = None
    values, reason, path, note = "", "", subject.image.name, subject.note
    try:
        volume, intensity = look_at_volume(subject.image)
        refuse_lost_signs(path, subject.modality, intensity[1])
        shape, size = volume.array.shape, tuple(round(side, 4) for side in volume.spacing_mm)
        content = hashlib.sha256(np.ascontiguousarray(sample(volume.array))).digest()
        same = seen.setdefault((shape, intensity, content), path)
        twin = f"has the same voxels as {same}" if same != path else ""
        notes = [note, twin, suspicion(volume.array), doubts(subject.image)]
        if subject.labels is not None:
            found = label_values(subject.labels, volume, subject.labels_fit)
            values = _summary(found)
            notes.append(_undeclared(found, declared))
        note = "; ".join(filter(None, notes))
    except BadVolume as error:
        reason, path = error.reason, error.path
    return CheckRow(
        subject.id,
        path,
        subject.modality,
        shape,
        size,
        intensity,
        values,
        reason,
        labels_path="" if subject.labels is None else subject.labels.name,
        note=note,
        image=subject.image.name,
    )


def _made_row(volume: PreparedVolume) -> CheckRow:
    size = tuple(round(float(side), 4) for side in spacing(volume.affine))
    intensity = (float(volume.array.min()), float(volume.array.max()))
    values = "" if volume.labels is None else _summary(distinct(volume.labels))
    who = volume.subject
    return CheckRow(who, who, volume.modality, volume.array.shape, size, intensity, values, "", image=who)


def _undeclared(values: NDArray[Any], declared: Mapping[int, str] | None) -> str:
    if declared is None:
        return ""
    strange = [str(value) for value in values if value and value not in declared]
    return f"{LISTING} does not declare the label {', '.join(strange[:MOST_VALUES])}" if strange else ""


def _summary(values: NDArray[Any]) -> str:
    shown = [str(value) for value in values if value != 0]
    more = len(shown) - MOST_VALUES
    return " ".join(shown[:MOST_VALUES]) + (f" and {more} more" if more > 0 else "")
