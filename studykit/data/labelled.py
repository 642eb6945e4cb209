"""Labelled volumes for segmentation, from any source that has one set of classes.

Labels are 0 for the background and 1 + index into the classes, whatever numbers the files have. The classes
of a cohort and of ``real-heads`` are those of their design. Those of files are the ``labels`` of a
``dataset.json`` in the task's or the folder's root, in the way of the Decathlon, ``{"1": "anterior"}``, or of
nnU-Net, ``{"anterior": 1}``. A folder without that file has the classes ``class 1`` to the largest label.
"""

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from studykit.data.cohorts.designs import COHORT, DESIGNS, REAL_HEADS, read_cohort_name
from studykit.data.cohorts.real_heads import DESIGN
from studykit.data.files.digests import text_sha256
from studykit.data.files.refs import Collection, Subject
from studykit.data.prepared import prepared_source
from studykit.data.sources import check_source_name, open_source
from studykit.data.volumes.cache import Prepared, PreparedVolume, Refused, prepare
from studykit.data.volumes.volumes import VolumeSettings

LISTING = "dataset.json"

MOST_UNDECLARED = 64
"""Labels above it are the ids of some scheme rather than counted classes."""


@dataclass(frozen=True)
class Labelled:
    """Volumes that all have labels: 0 is the background and ``1 + classes.index(name)`` a class."""

    prepared: Prepared
    classes: tuple[str, ...]


def open_labelled(source: str, spacing_mm: float, *, cache: str | Path | None = None) -> Labelled:
    """The labelled volumes of a source at a spacing, and their classes.

    Of images that share a label map, such as the channels of a Decathlon task, the first is taken. Images
    without one are left out with a warning and listed in ``prepared.refused``.

    Args:
        source: ``cohort:DESIGN/SCANNER:N``, ``real-heads``, ``msd:TaskNN_Name`` or ``folder:PATH``.
        cache: default :func:`studykit.home.data_dir`.

    Raises:
        ValueError: unknown source, or one without one set of classes; no label map at all; a label that is
            none of the declared classes, with subject, file and value; or classes that cannot be read.
        archives.ArchiveUnavailable, decathlon.TaskUnavailable, FileNotFoundError: see
            :func:`studykit.data.sources.open_source`.
    """
    check_source_name(source)
    if source == REAL_HEADS or source.startswith(COHORT):
        design = DESIGN if source == REAL_HEADS else read_cohort_name(source).design
        return Labelled(prepared_source(source, spacing_mm, cache=cache), design.structures)
    if not source.startswith(("msd:", "folder:")):
        raise ValueError(
            f"{source} has no one set of classes; labelled sources: "
            f"{', '.join(f'{COHORT}{name}/SCANNER:N' for name in DESIGNS)}, {REAL_HEADS}, msd:TaskNN_Name, "
            "folder:PATH"
        )
    collection = open_source(source, cache=cache)
    chosen, without = _one_image_each(collection)
    prepared = prepare(replace(collection, subjects=chosen), VolumeSettings(spacing_mm=spacing_mm))
    prepared = replace(prepared, refused=(*prepared.refused, *without))
    listing = _root(collection) / LISTING
    if listing.is_file():
        names, where = read_classes(listing), str(listing)
    else:
        names, where = _counted(prepared), source
    _check_values(prepared, chosen, names, where)
    return Labelled(_numbered(prepared, tuple(names)), tuple(names.values()))


def read_classes(listing: Path) -> dict[int, str]:
    """Label → class, in the order of labels and without the background, of a ``dataset.json``.

    Raises:
        ValueError: no ``labels``, regions of several labels, labels that are no whole numbers from 0, or one
            that stands twice.
    """
    labels = json.loads(listing.read_text(encoding="utf-8")).get("labels")
    if not isinstance(labels, Mapping):
        raise ValueError(f'{listing} has no "labels", such as {{"0": "background", "1": "anterior"}}')
    pairs = [_pair(listing, key, value) for key, value in labels.items()]
    names = dict(sorted(pair for pair in pairs if pair[0] > 0))
    if len({label for label, _ in pairs}) < len(pairs) or len(set(names.values())) < len(names) or not names:
        raise ValueError(f"{listing}: labels must be distinct, at least one besides 0; got {dict(labels)}")
    return names


def _pair(listing: Path, key: str, value: Any) -> tuple[int, str]:
    """(label, class) of an entry, whichever of its two sides is the number."""
    if key.isdecimal() and isinstance(value, str):
        return int(key), value
    if type(value) is int and value >= 0:
        return value, key
    raise ValueError(
        f"{listing}: a class has one whole number from 0; got {key!r}: {value!r}. Regions that unite several "
        "labels are not known here: declare the labels themselves"
    )


def _one_image_each(collection: Collection) -> tuple[tuple[Subject, ...], list[Refused]]:
    """The first image of every label map, and the images without one."""
    chosen: dict[Any, Subject] = {}
    without = []
    for subject in collection.subjects:
        if subject.labels is None:
            without.append(Refused(subject.id, subject.image.name, "has no label map"))
        else:
            chosen.setdefault(subject.labels, subject)
    if not chosen:
        raise ValueError(
            f"{collection.name}: not one of {len(without)} images has a label map; looked for labelsTr "
            "beside imagesTr, labels beside images, and names that end in _seg, _mask, _dseg or the like"
        )
    if without:
        names = ", ".join(sorted({entry.subject for entry in without})[:5])
        warnings.warn(f"left out {len(without)} images without a label map: {names}", stacklevel=3)
    return tuple(chosen.values()), without


def _root(collection: Collection) -> Path:
    kind, _, place = collection.name.partition(":")
    return collection.cache / "msd" / place if kind == "msd" else Path(place).expanduser().absolute()


def _counted(prepared: Prepared) -> dict[int, str]:
    largest = max(int(volume.labels.max()) for volume in prepared.volumes)
    if not 0 < largest <= MOST_UNDECLARED:
        raise ValueError(
            f"{prepared.name}: the largest label is {largest}; without a {LISTING} that names the classes it "
            f"must lie in 1 to {MOST_UNDECLARED}"
        )
    return {label: f"class {label}" for label in range(1, largest + 1)}


def _check_values(
    prepared: Prepared, subjects: tuple[Subject, ...], names: Mapping[int, str], where: str
) -> None:
    for volume in prepared.volumes:
        strange = [int(value) for value in np.unique(volume.labels) if value and int(value) not in names]
        if strange:
            files = ", ".join(subject.labels.name for subject in subjects if subject.id == volume.subject)
            declared = ", ".join(f"{label} {name}" for label, name in names.items())
            raise ValueError(
                f"{volume.subject} ({files}) has the label {strange[0]}; the classes of {where} are "
                f"0 background, {declared}"
            )


def _numbered(prepared: Prepared, labels: tuple[int, ...]) -> Prepared:
    """Labels as 1, 2, … in the order of ``labels``; the volumes themselves where they are so already."""
    if labels == tuple(range(1, len(labels) + 1)):
        return prepared
    known = np.array([0, *labels])

    def numbered(volume: PreparedVolume) -> PreparedVolume:
        new = np.searchsorted(known, volume.labels).astype(np.int16)
        return replace(volume, labels=np.asfortranarray(new))

    fingerprint = text_sha256(json.dumps([prepared.fingerprint, list(labels)]))
    volumes = tuple(numbered(volume) for volume in prepared.volumes)
    return replace(prepared, volumes=volumes, fingerprint=fingerprint)
