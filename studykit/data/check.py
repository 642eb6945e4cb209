"""What ``studykit data check`` reports: every image of a source, and whether it can be used."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from studykit.data.files.errors import BadVolume
from studykit.data.files.refs import Subject
from studykit.data.sources import kind_of, open_source, prepared_source
from studykit.data.volumes.cache import PreparedVolume
from studykit.data.volumes.grids import spacing
from studykit.data.volumes.volumes import read_labels, read_volume

MOST_VALUES = 12
MADE_SPACING_MM = 3.0


@dataclass(frozen=True)
class CheckRow:
    """One image of a source.

    Attributes:
        shape: voxels along (X, Y, Z); None where the image is refused before it is known. So are the next
            two.
        spacing_mm: voxel size along (X, Y, Z).
        intensity: smallest and largest value, in the file's units, or standardised where there is no file.
        labels: label values other than 0, the first twelve and how many more; empty where there are none.
        reason: why the image is refused; empty where it is not.
    """

    subject: str
    path: str
    modality: str
    shape: tuple[int, int, int] | None
    spacing_mm: tuple[float, float, float] | None
    intensity: tuple[float, float] | None
    labels: str
    reason: str

    @property
    def ok(self) -> bool:
        return not self.reason

    @property
    def verdict(self) -> str:
        """``ok``, or ``refused:`` and the reason."""
        return "ok" if self.ok else f"refused: {self.reason}"


def check_source(name: str, *, cache: str | Path | None = None) -> list[CheckRow]:
    """Read every image of a source, labels included, and say of each whether it can be used.

    What is made, such as a cohort, is made at ``MADE_SPACING_MM``. Raises what
    :func:`studykit.data.sources.open_source` raises; bad volumes are rows, not errors.
    """
    if kind_of(name).origin == "made":
        return [_made_row(volume) for volume in prepared_source(name, MADE_SPACING_MM, cache=cache).volumes]
    return list(check_subjects(open_source(name, cache=cache).subjects))


def check_subjects(subjects: tuple[Subject, ...]) -> Iterator[CheckRow]:
    """One row for each image, as soon as it is read."""
    for subject in subjects:
        shape = spacing = intensity = None
        values, reason, path = "", "", subject.image.name
        try:
            volume = read_volume(subject.image)
            shape, spacing = volume.array.shape, tuple(round(size, 4) for size in volume.spacing_mm)
            intensity = (float(volume.array.min()), float(volume.array.max()))
            if subject.labels is not None:
                values = _summary(np.unique(read_labels(subject.labels, volume, subject.labels_fit)))
        except BadVolume as error:
            reason, path = error.reason, error.path
        yield CheckRow(subject.id, path, subject.modality, shape, spacing, intensity, values, reason)


def _made_row(volume: PreparedVolume) -> CheckRow:
    size = tuple(round(float(side), 4) for side in spacing(volume.affine))
    intensity = (float(volume.array.min()), float(volume.array.max()))
    values = "" if volume.labels is None else _summary(np.unique(volume.labels))
    return CheckRow(
        volume.subject, volume.key, volume.modality, volume.array.shape, size, intensity, values, ""
    )


def _summary(values: np.ndarray) -> str:
    shown = [str(value) for value in values if value != 0]
    more = len(shown) - MOST_VALUES
    return " ".join(shown[:MOST_VALUES]) + (f" and {more} more" if more > 0 else "")
