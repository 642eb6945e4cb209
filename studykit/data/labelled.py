"""Labelled volumes for segmentation, from any source that has one set of classes.

Labels are 0 for the background and 1 + index into the classes, whatever numbers the files have. The classes
of what is made, such as a cohort, are those of its design. Those of files are the ``labels`` of a
``dataset.json`` in the task's or the folder's root, in the way of the Decathlon, ``{"1": "anterior"}``, or of
nnU-Net, ``{"anterior": 1}``. A folder without that file has the classes ``class 1`` to the largest label.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from studykit.data.files.digests import text_sha256
from studykit.data.files.listing import IGNORED, LISTING
from studykit.data.kinds import kinds
from studykit.data.sources import cache_folder, kind_of
from studykit.data.volumes.cache import Prepared, PreparedVolume

UNLABELLED = -1
MOST_UNDECLARED = 64
"""Labels above it are the ids of some scheme rather than counted classes."""


@dataclass(frozen=True)
class Labelled:
    """Volumes that all have labels: 0 is the background and ``1 + classes.index(name)`` a class.

    Voxels of :data:`UNLABELLED` are not labelled: they neither train nor count.
    """

    prepared: Prepared
    classes: tuple[str, ...]


def open_labelled(source: str, spacing_mm: float, *, cache: str | Path | None = None) -> Labelled:
    """The labelled volumes of a source at a spacing, and their classes.

    Of images that share a label map, such as the channels of a Decathlon task, the first is taken. Images
    without one are left out with a warning and listed in ``prepared.refused``.

    Args:
        source: ``cohort:DESIGN/SCANNER:N``, ``real-heads``, ``msd:TaskNN_Name``, ``folder:PATH``, ….
        cache: default :func:`studykit.home.data_dir`.

    Raises:
        ValueError: unknown source, or one without one set of classes; no label map at all; a label that is
            none of the declared classes, with subject, file and value; or classes that cannot be read.
        archives.ArchiveUnavailable, decathlon.TaskUnavailable, FileNotFoundError: see
            :func:`studykit.data.sources.open_source`.
    """
    kind = kind_of(source)
    if not kind.labelled:
        known = ", ".join(line.name for own in kinds() if own.labelled for line in own.lines())
        raise ValueError(f"{source} has no one set of classes; labelled sources: {known}")
    cache = cache_folder(cache)
    prepared = kind.prepare_labelled(source, spacing_mm, cache)
    names = kind.classes(source, cache)
    if kind.origin == "made":
        return Labelled(prepared, tuple(names.values()))
    names = _counted(prepared) if names is None else names
    _check_values(prepared, names)
    classes = {label: name for label, name in names.items() if name != IGNORED}
    ignored = [label for label, name in names.items() if name == IGNORED]
    return Labelled(_numbered(prepared, tuple(classes), ignored), tuple(classes.values()))


def _counted(prepared: Prepared) -> dict[int, str]:
    largest = max(int(volume.labels.max()) for volume in prepared.volumes)
    if not 0 < largest <= MOST_UNDECLARED:
        raise ValueError(
            f"{prepared.name}: the largest label is {largest}; without a {LISTING} that names the classes it "
            f"must lie in 1 to {MOST_UNDECLARED}"
        )
    return {label: f"class {label}" for label in range(1, largest + 1)}


def _check_values(prepared: Prepared, names: Mapping[int, str]) -> None:
    for volume in prepared.volumes:
        strange = [int(value) for value in np.unique(volume.labels) if value and int(value) not in names]
        if strange:
            declared = ", ".join(f"{label} {name or 'not labelled'}" for label, name in names.items())
            raise ValueError(
                f"{volume.subject} ({volume.labels_path}) has the label {strange[0]}; the classes of "
                f"{prepared.name} are 0 background, {declared}"
            )


def _numbered(prepared: Prepared, labels: tuple[int, ...], ignored: Sequence[int]) -> Prepared:
    """Labels as 1, 2, … in the order of ``labels``, -1 where they are ignored.

    The volumes themselves where they are so already.
    """
    if labels == tuple(range(1, len(labels) + 1)) and not ignored:
        return prepared
    known = np.array([0, *labels])

    def numbered(volume: PreparedVolume) -> PreparedVolume:
        new = np.searchsorted(known, volume.labels).astype(np.int16)
        new[np.isin(volume.labels, ignored)] = UNLABELLED
        return replace(volume, labels=np.asfortranarray(new))

    fingerprint = text_sha256(
        json.dumps([prepared.fingerprint, list(labels), *([ignored] if ignored else [])])
    )
    volumes = tuple(numbered(volume) for volume in prepared.volumes)
    return replace(prepared, volumes=volumes, fingerprint=fingerprint)
