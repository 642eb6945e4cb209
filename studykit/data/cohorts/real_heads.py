"""The two labelled heads of real people, cut and labelled as a cohort of heads is: ``real-heads``.

A model trained on the cohort is tested on them. They are not alike. Pitt_50038 has labels of his own, by
FreeSurfer, and none of the cohort's subjects descend from him. The labels of Colin27 are an atlas in MNI
space, the very one that the template ``mni-neuromorphometrics`` is made from: they fit him to some
millimetres, and subjects of that template have his labels, deformed.
"""

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from studykit.data.cohorts.designs import DESIGNS, REAL_HEADS
from studykit.data.cohorts.structures import structure_index
from studykit.data.cohorts.synthesis import largest_share
from studykit.data.cohorts.templates import MNI_SHRINK
from studykit.data.files.archives import fetch
from studykit.data.files.digests import text_sha256
from studykit.data.files.refs import VolumeRef
from studykit.data.files.samples import HEADS, Sample
from studykit.data.volumes.cache import Prepared, PreparedVolume, cached_arrays
from studykit.data.volumes.grids import resample
from studykit.data.volumes.volumes import (
    PREPARATION_VERSION,
    PreparedArrays,
    Volume,
    VolumeSettings,
    prepare_arrays,
    read_labels,
    read_volume,
)
from studykit.home import data_dir

DESIGN = DESIGNS["heads"]

VERSION = 1
"""Raised when the same heads give other voxels than before."""

_HEADS = {"Pitt_50038": ("freesurfer", 1.0), "Colin27": ("neuromorphometrics", MNI_SHRINK)}
"""Subject → scheme of its labels, and what lengths are multiplied by: Colin27 lies in MNI space, which is
larger than heads are, and is made smaller as the templates of that space are."""


def prepare_real_heads(spacing_mm: float, *, cache: str | Path | None = None) -> Prepared:
    """Both heads with the structures and the field of view of the design ``heads``.

    Images are resampled and prepared as a source's are. Labels are 1 + index into ``DESIGN.structures``, by
    the largest share at each voxel's centre as a cohort's are.

    Args:
        cache: folder for archives and volumes; default :func:`studykit.home.data_dir`.

    Raises:
        archives.ArchiveUnavailable: no network and no copy of an archive.
    """
    cache = data_dir() if cache is None else Path(cache)
    settings = VolumeSettings(spacing_mm=spacing_mm, crop=False)
    samples = [sample for sample in HEADS if sample.subject in _HEADS]
    volumes = tuple(_prepare_one(sample, settings, cache) for sample in samples)
    fingerprint = text_sha256(json.dumps([[volume.subject, volume.key] for volume in volumes]))
    return Prepared(REAL_HEADS, volumes, (), settings, fingerprint)


def _prepare_one(sample: Sample, settings: VolumeSettings, cache: Path) -> PreparedVolume:
    path = fetch(sample.archive, cache / "archives")
    refs = [VolumeRef(path, (member,), sample.archive.sha256) for member in (sample.member, sample.labels)]
    identity = [
        [VERSION, PREPARATION_VERSION, *(ref.content_key() for ref in refs), sample.labels_fit],
        [*_HEADS[sample.subject], DESIGN.structures, DESIGN.field_mm, settings.identity()],
    ]
    key = text_sha256(json.dumps(identity, sort_keys=True))[:32]
    found = cached_arrays(cache, key, lambda: _cut(sample, *refs, settings))
    return PreparedVolume(
        sample.subject, found.image, found.foreground, found.labels, found.affine, sample.modality, key
    )


def _cut(
    sample: Sample, image_ref: VolumeRef, labels_ref: VolumeRef, settings: VolumeSettings
) -> PreparedArrays:
    import nibabel as nib

    scheme, shrink = _HEADS[sample.subject]
    volume = read_volume(image_ref)
    labels = read_labels(labels_ref, volume, sample.labels_fit)
    structure = structure_index(labels, scheme, DESIGN.structures)
    own = np.diag([shrink, shrink, shrink, 1]) @ volume.affine
    image, affine = resample(volume.array, own, settings.target_mm)
    # From voxels of the resampled grid to those of the file.
    back = np.linalg.inv(own) @ affine
    shape = DESIGN.shape(settings.target_mm[0])
    centre = np.linalg.inv(back) @ [*_box_centre(structure), 1]
    first = [round(middle - (side - 1) / 2) for middle, side in zip(centre[:3], shape, strict=True)]
    shift = nib.affines.from_matvec(np.eye(3), first)
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"))
    points = nib.affines.apply_affine(back @ shift, np.moveaxis(grid, 0, -1))
    found = largest_share(structure, np.moveaxis(points, -1, 0).astype(np.float32))
    cut = Volume(_window(image, first, shape), affine @ shift, volume.path)
    return prepare_arrays(cut, found.astype(np.int32), sample.modality, settings)


def _box_centre(structure: NDArray[np.uint8]) -> list[float]:
    """Middle of the box around all that is labelled, in voxels."""
    inside = structure > 0
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
