"""Real label maps made ready to draw subjects from, see :mod:`studykit.data.cohorts.cohort`.

Heads: FreeSurfer's labels of an ABIDE subject, and three atlases in MNI space on the average head of that
space, and the cortex and deep grey matter of six donors of the Allen Human Brain Atlas, with a head built
around each (:mod:`.ribbons`). Bodies: two CTs with TotalSegmentator's labels.
"""

import json
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from studykit import atomic
from studykit.data.cohorts.regions import REGIONS, STRUCTURES, body_regions, head_regions
from studykit.data.cohorts.ribbons import RIBBON_VERSION, ribbon_head
from studykit.data.cohorts.ribbons import SCHEME as RIBBON
from studykit.data.cohorts.structures import SCHEMES, structure_index
from studykit.data.files.archives import fetch
from studykit.data.files.digests import text_sha256
from studykit.data.files.refs import VolumeRef
from studykit.data.files.samples import ATLASES, BODIES, DONORS, HEADS, Sample
from studykit.data.volumes.foreground import bounding_box, find_foreground
from studykit.data.volumes.grids import resample, resample_by_label
from studykit.data.volumes.labels import read_labels
from studykit.data.volumes.volumes import CT_AIR_HU, read_volume
from studykit.home import data_dir

TEMPLATE_VERSION = 1
"""Raised when a template gets other voxels than before."""

VOXEL_MM = {"head": 1.0, "body": 1.5}
MARGIN_MM = 4.0
MNI_SHRINK = 0.93
"""MNI space is larger than the heads it stands for: this brings its 1.85 litres inside the skull to 1.5."""
DONOR_SHRINK = (0.954, 1.0, 0.868, 0.868, 0.868, 0.868)
"""Two donors' maps are in a space of their own and four on the grid of MNI space: this brings each one's
cerebrum, gaps included, to 1.05 litres, so that a head's size says nothing of its template."""


@dataclass(frozen=True)
class TemplateSource:
    """Where a template comes from.

    Attributes:
        anatomy: ``"head"`` or ``"body"``.
        scheme: of the labels' ids, see :mod:`studykit.data.cohorts.structures`.
        contours: whether the labels were drawn on this very image; an atlas's were not.
        shrink: what lengths are multiplied by.
    """

    sample: Sample
    anatomy: str
    scheme: str
    contours: bool = True
    shrink: float = 1.0


_SOURCES = {
    "pitt-50038": TemplateSource(next(s for s in HEADS if s.subject == "Pitt_50038"), "head", "freesurfer"),
    **{
        sample.subject: TemplateSource(sample, "head", scheme, contours=False, shrink=MNI_SHRINK)
        for sample, scheme in zip(ATLASES, ("freesurfer", "neuromorphometrics", "hammers"), strict=True)
    },
    **{
        sample.subject: TemplateSource(sample, "head", RIBBON, shrink=shrink)
        for sample, shrink in zip(DONORS, DONOR_SHRINK, strict=True)
    },
    **{
        sample.subject: TemplateSource(sample, "body", "totalsegmentator")
        for sample in BODIES
        if sample.labels is not None
    },
}
TEMPLATES = tuple(_SOURCES)


@dataclass(frozen=True)
class Template:
    """A label map to draw subjects from.

    Attributes:
        anatomy: ``"head"`` or ``"body"``.
        regions: (X, Y, Z) uint8, RAS+, index into ``REGIONS[anatomy]``; 0 is air.
        voxel_mm: side of its cubic voxels.
        key: hash of what it was made from.
    """

    name: str
    anatomy: str
    regions: NDArray[np.uint8]
    voxel_mm: float
    key: str

    @cached_property
    def structures(self) -> tuple[str, ...]:
        """Those that it has voxels of."""
        present = {
            name for (name, _), voxels in zip(REGIONS[self.anatomy], self._count, strict=True) if voxels
        }
        return tuple(name for name in STRUCTURES[self.anatomy] if name in present)

    @cached_property
    def _count(self) -> list[int]:
        """Voxels of each region."""
        return np.bincount(self.regions.ravel(), minlength=len(REGIONS[self.anatomy])).tolist()

    def mask(self, *structures: str) -> NDArray[np.bool_]:
        """Where any of some structures is: (X, Y, Z)."""
        return np.array([name in structures for name, _ in REGIONS[self.anatomy]])[self.regions]

    def volumes_ml(self) -> dict[str, float]:
        """Structure → its volume."""
        total = dict.fromkeys(self.structures, 0.0)
        for (name, _), voxels in zip(REGIONS[self.anatomy], self._count, strict=True):
            if name in total:
                total[name] += voxels * self.voxel_mm**3 / 1000
        return total


def template_source(name: str) -> TemplateSource:
    """What a template is made from.

    Raises:
        ValueError: unknown template; the message lists the known ones.
    """
    if name not in _SOURCES:
        raise ValueError(f"unknown template {name!r}; known: {', '.join(TEMPLATES)}")
    return _SOURCES[name]


def load_template(name: str, cache: Path | None = None) -> Template:
    """A template by name. The first time its archive is fetched and the template made.

    Args:
        cache: folder for archives and templates; default :func:`studykit.home.data_dir`.

    Raises:
        ValueError: unknown template; the message lists the known ones.
        archives.ArchiveUnavailable: no network and no copy; the message says where to put one.
    """
    source, cache = template_source(name), data_dir() if cache is None else cache
    path = fetch(source.sample.archive, cache / "archives")
    members = (source.sample.member, source.sample.labels)
    refs = tuple(VolumeRef(path, (member,), source.sample.archive.sha256) for member in members)
    identity = [TEMPLATE_VERSION, *(ref.content_key() for ref in refs), source.scheme, source.contours]
    identity += [RIBBON_VERSION] if source.scheme == RIBBON else []
    key = text_sha256(json.dumps([*identity, VOXEL_MM[source.anatomy], source.shrink]))[:32]
    file = cache / "templates" / f"{key}.npz"
    if not file.exists():
        regions = _build(source, *refs)
        with atomic.replace_into(file) as temporary, open(temporary, "wb") as out:
            np.savez_compressed(out, regions=regions)
    return _read(name, file, key)


@lru_cache(maxsize=4)
def _read(name: str, file: Path, key: str) -> Template:
    """A template that is made. Trainings open their cohort one by one, and each counts its voxels."""
    source = template_source(name)
    with np.load(file, allow_pickle=False) as held:
        regions = held["regions"]
    regions.setflags(write=False)
    return Template(name, source.anatomy, regions, VOXEL_MM[source.anatomy] * source.shrink, key)


def _build(source: TemplateSource, image_ref: VolumeRef, labels_ref: VolumeRef) -> NDArray[np.uint8]:
    volume = read_volume(image_ref)
    labels = read_labels(labels_ref, volume, source.sample.labels_fit)
    if source.scheme == RIBBON:
        return ribbon_head(labels, VOXEL_MM[source.anatomy] * source.shrink)
    known = STRUCTURES[source.anatomy]
    held = [name for name in known if name in SCHEMES[source.scheme]]
    number = np.array([0, *(1 + known.index(name) for name in held)], dtype=np.uint8)
    structure = number[structure_index(labels, source.scheme, held)]
    voxel = VOXEL_MM[source.anatomy]
    image, _ = resample(volume.array, volume.affine, (voxel,) * 3)
    if image.shape != structure.shape:
        step = tuple(voxel / size for size in volume.spacing_mm)
        structure = resample_by_label(structure, step, image.shape)
    inside = find_foreground(image, None if source.anatomy == "head" else CT_AIR_HU) | (structure > 0)
    box = bounding_box(inside, [round(MARGIN_MM / voxel)] * 3)
    image, structure, inside = image[box], structure[box], inside[box]
    if source.anatomy == "head":
        regions = head_regions(image, structure, inside, voxel, contours=source.contours)
    else:
        regions = body_regions(image, structure, inside)
    # What lies beyond a template is its border: the neck and the trunk go on, everything else ends in air.
    regions[[0, -1]] = regions[:, [0, -1]] = 0
    return np.ascontiguousarray(regions)
