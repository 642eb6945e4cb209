"""Real people cut and labelled as a cohort's subjects are: a model trained on it is tested on them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from studykit.data.cohorts.designs import Design
from studykit.data.cohorts.structures import classes_of, structure_index
from studykit.data.cohorts.synthesis import largest_share
from studykit.data.files.archives import fetch
from studykit.data.files.digests import text_sha256
from studykit.data.files.refs import VolumeRef
from studykit.data.files.samples import Sample
from studykit.data.volumes.cache import Prepared, PreparedVolume, cached_arrays
from studykit.data.volumes.grids import resample
from studykit.data.volumes.labels import read_labels
from studykit.data.volumes.volumes import (
    PREPARATION_VERSION,
    PreparedArrays,
    Volume,
    VolumeSettings,
    prepare_arrays,
    read_volume,
)
from studykit.home import data_dir

VERSION = 1
"""Raised when the same people give other voxels than before."""


@dataclass(frozen=True)
class RealSubject:
    """A labelled sample.

    Attributes:
        scheme: of its labels' ids, see :mod:`studykit.data.cohorts.structures`.
        shrink: what lengths are multiplied by.
    """

    sample: Sample
    scheme: str
    shrink: float = 1.0


def prepare_real(
    name: str,
    subjects: Sequence[RealSubject],
    design: Design,
    spacing_mm: float,
    *,
    cache: str | Path | None = None,
) -> Prepared:
    """Some people with the classes and the field of view of a design.

    Images are resampled and prepared as a source's are. Labels are 1 + index into ``design.classes``, by the
    largest share at each voxel's centre as a cohort's are.

    Args:
        name: of the source.
        cache: folder for archives and volumes; default :func:`studykit.home.data_dir`.

    Raises:
        archives.ArchiveUnavailable: no network and no copy of an archive.
    """
    cache = data_dir() if cache is None else Path(cache)
    settings = VolumeSettings(spacing_mm=spacing_mm, crop=False)
    volumes = tuple(_prepare_one(subject, design, settings, cache) for subject in subjects)
    fingerprint = text_sha256(json.dumps([[volume.subject, volume.key] for volume in volumes]))
    return Prepared(name, volumes, (), settings, fingerprint)


def _prepare_one(
    subject: RealSubject, design: Design, settings: VolumeSettings, cache: Path
) -> PreparedVolume:
    sample = subject.sample
    path = fetch(sample.archive, cache / "archives")
    image, labels = (
        VolumeRef(path, (member,), sample.archive.sha256) for member in (sample.member, sample.labels)
    )
    identity = [
        [VERSION, PREPARATION_VERSION, image.content_key(), labels.content_key(), sample.labels_fit],
        [subject.scheme, subject.shrink, design.structures, design.field_mm, settings.identity()],
        *([design.united] if design.united else []),
        *([design.centre] if design.centre else []),
    ]
    key = text_sha256(json.dumps(identity, sort_keys=True))[:32]
    found = cached_arrays(cache, key, lambda: _cut(subject, image, labels, design, settings))
    return PreparedVolume(
        sample.subject, found.image, found.foreground, found.labels, found.affine, sample.modality, key
    )


def _cut(
    subject: RealSubject,
    image_ref: VolumeRef,
    labels_ref: VolumeRef,
    design: Design,
    settings: VolumeSettings,
) -> PreparedArrays:
    import nibabel as nib

    shrink, sample = subject.shrink, subject.sample
    volume = read_volume(image_ref)
    labels = read_labels(labels_ref, volume, sample.labels_fit)
    structure = structure_index(labels, subject.scheme, design.structures)
    own = np.diag([shrink, shrink, shrink, 1]) @ volume.affine
    image, affine = resample(volume.array, own, settings.target_mm)
    # From voxels of the resampled grid to those of the file.
    back = np.linalg.inv(own) @ affine
    shape = design.shape(settings.target_mm[0])
    centre = np.linalg.inv(back) @ [*_box_centre(_central(structure, design)), 1]
    first = [round(middle - (side - 1) / 2) for middle, side in zip(centre[:3], shape, strict=True)]
    shift = nib.affines.from_matvec(np.eye(3), first)
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"))
    points = nib.affines.apply_affine(back @ shift, np.moveaxis(grid, 0, -1))
    found = largest_share(_labels(structure, design), np.moveaxis(points, -1, 0).astype(np.float32))
    cut = Volume(_window(image, first, shape), affine @ shift, volume.path)
    return prepare_arrays(cut, found.astype(np.int32), sample.modality, settings)


def _labels(structure: NDArray[np.uint8], design: Design) -> NDArray[np.uint8]:
    """From 1 + index into the design's structures to 1 + index into its classes."""
    classes = classes_of(design.structures, design.united)
    label = {name: place for place, (_, own) in enumerate(classes, start=1) for name in own}
    return np.array([0, *(label[name] for name in design.structures)], np.uint8)[structure]


def _central(structure: NDArray[np.uint8], design: Design) -> NDArray[np.bool_]:
    """The structures that a design's field of view is centred on."""
    own = [1 + design.structures.index(name) for name in design.centre or design.structures]
    return np.isin(structure, own)


def _box_centre(inside: NDArray[np.bool_]) -> list[float]:
    """Middle of the box around what is inside, in voxels."""
    sides = [np.flatnonzero(inside.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    return [float(side[0] + side[-1]) / 2 for side in sides]


def _window(image: NDArray[np.float32], first: list[int], shape: tuple[int, int, int]) -> NDArray[np.float32]:
    """The box of ``shape`` at ``first``; the image's minimum (air) where it reaches beyond the image."""
    result = np.full(shape, image.min(), dtype=np.float32)
    into, outof = [], []
    for start, side, count in zip(first, shape, image.shape, strict=True):
        low, high = max(start, 0), min(start + side, count)
        into.append(slice(low - start, high - start))
        outof.append(slice(low, high))
    result[tuple(into)] = image[tuple(outof)]
    return result
