"""What ``studykit data check`` reports: every image of a source, whether it can be used, and what is not."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from studykit.data.files.errors import BadVolume
from studykit.data.files.formats import doubts
from studykit.data.files.refs import Subject, Unused
from studykit.data.sources import kind_of, open_source, prepared_source
from studykit.data.volumes.cache import PreparedVolume
from studykit.data.volumes.grids import spacing
from studykit.data.volumes.labels import distinct, label_values
from studykit.data.volumes.volumes import look_at_volume, refuse_lost_signs

MOST_VALUES = 12
MADE_SPACING_MM = 3.0
SAMPLED_VOXELS = 20_000
GLANCE_STEP = 4


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
    return Report(tuple(check_subjects(collection.subjects)), collection.unused, collection.others)


def check_subjects(subjects: Iterable[Subject]) -> Iterator[CheckRow]:
    """One row for each image, as soon as it is read; one image is in memory at a time."""
    seen: dict[Any, str] = {}
    for subject in subjects:
        yield _row(subject, seen)


def _row(subject: Subject, seen: dict[Any, str]) -> CheckRow:
    """What an image's check says. ``seen`` maps what was read before to its path, and grows."""
    shape = size = intensity = None
    values, reason, path, note = "", "", subject.image.name, subject.note
    try:
        volume, intensity = look_at_volume(subject.image)
        refuse_lost_signs(path, subject.modality, intensity[1])
        shape, size = volume.array.shape, tuple(round(side, 4) for side in volume.spacing_mm)
        sample = _sample(volume.array)
        content = hashlib.sha256(np.ascontiguousarray(sample)).digest()
        same = seen.setdefault((shape, intensity, content), path)
        twin = f"has the same voxels as {same}" if same != path else ""
        note = "; ".join(filter(None, (note, twin, _suspicion(volume.array, sample), doubts(subject.image))))
        if subject.labels is not None:
            values = _summary(label_values(subject.labels, volume, subject.labels_fit))
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


def _sample(array: NDArray[Any]) -> NDArray[Any]:
    """Some voxels, evenly apart."""
    step = max(1, round((array.size / SAMPLED_VOXELS) ** (1 / 3)))
    return _every(step, array)


def _every(step: int, array: NDArray[Any]) -> NDArray[Any]:
    return array[::step, ::step, ::step]


def _suspicion(array: NDArray[Any], sample: NDArray[Any]) -> str:
    """Whether an image has so few values, all whole, that it may be a label map under another name."""
    # A few voxels tell most images: to sort many takes longer than to read them.
    for some in (_every(GLANCE_STEP, sample), sample):
        values = np.unique(some)
        if len(values) > MOST_VALUES or (values % 1).any():
            return ""
    values = distinct(array)
    few = len(values) <= MOST_VALUES and not (values % 1).any()
    return f"has {len(values)} whole values: a label map?" if few else ""


def _made_row(volume: PreparedVolume) -> CheckRow:
    size = tuple(round(float(side), 4) for side in spacing(volume.affine))
    intensity = (float(volume.array.min()), float(volume.array.max()))
    values = "" if volume.labels is None else _summary(distinct(volume.labels))
    who = volume.subject
    return CheckRow(who, who, volume.modality, volume.array.shape, size, intensity, values, "", image=who)


def _summary(values: NDArray[Any]) -> str:
    shown = [str(value) for value in values if value != 0]
    more = len(shown) - MOST_VALUES
    return " ".join(shown[:MOST_VALUES]) + (f" and {more} more" if more > 0 else "")
