"""A semi-synthetic labelled cohort: real label maps, deformed, resized, and imaged by a scanner that we name.

The labels are known by construction, and so are effects of groups and of scanners. What is learnt on it is
evidence about mechanisms, not about patients: all subjects descend from a few label maps.

    settings = CohortSettings(name="train", subjects=40, scanners=("t1",))
    cohort = make_cohort(settings)          # volumes as studykit.data.volumes.cache.prepare gives them
    truth = draw_subjects(settings)         # group, scanner, sizes of each
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from studykit.data.cohorts.deformation import Resizing, compose, exponential, smooth_noise
from studykit.data.cohorts.regions import REGIONS
from studykit.data.cohorts.subjects import YIELDING, CohortSettings, SubjectPlan, Variation, draw_subjects
from studykit.data.cohorts.synthesis import (
    Pose,
    acquire,
    largest_share,
    mean_intensity,
    region_means,
    template_points,
)
from studykit.data.cohorts.templates import Template, load_template
from studykit.data.files.digests import text_sha256
from studykit.data.volumes.cache import Prepared, PreparedVolume, cached_arrays
from studykit.data.volumes.grids import spacing
from studykit.data.volumes.volumes import (
    PREPARATION_VERSION,
    PreparedArrays,
    Volume,
    VolumeSettings,
    prepare_arrays,
)
from studykit.home import data_dir

COHORT_VERSION = 1
"""Raised when the same settings give other voxels than before."""

FIELD_STEP = 3
"""Template voxels along the side of one voxel of a deformation field."""


def make_cohort(settings: CohortSettings, *, cache: str | Path | None = None) -> Prepared:
    """The volumes of a cohort, made the first time and mapped from the cache afterwards.

    Images are prepared as a source's are (window, standardisation, foreground), but neither resampled nor
    cut: all have ``settings.shape``. Labels are 1 + index into ``settings.classes``.

    Args:
        cache: folder for archives, templates and volumes; default :func:`studykit.home.data_dir`.

    Raises:
        ValueError: a template has none of the structures, or not one that a group's effect is on.
        archives.ArchiveUnavailable: no network and no copy of a template's archive.
    """
    from tqdm import tqdm

    cache = data_dir() if cache is None else Path(cache)
    plans = draw_subjects(settings)
    used = dict.fromkeys(plan.template for plan in plans)
    moulds = {name: _Mould(load_template(name, cache)) for name in used}
    for mould in moulds.values():
        _check_fits(settings, mould.template)
    prepared = VolumeSettings(spacing_mm=settings.spacing_mm, crop=False)
    volumes = [
        _make_one(plan, moulds[plan.template], settings, prepared, cache)
        for plan in tqdm(plans, desc=f"cohort {settings.name}", unit="volume", disable=None)
    ]
    fingerprint = text_sha256(json.dumps([[volume.subject, volume.key] for volume in volumes]))
    return Prepared(settings.name, tuple(volumes), (), prepared, fingerprint)


class _Mould:
    """A template with what all of its subjects need, worked out once."""

    def __init__(self, template: Template) -> None:
        self.template = template
        self._shares: dict[tuple[str, ...], NDArray[np.float32]] = {}
        self._resizing: dict[tuple[str, ...], Resizing] = {}

    def displacement(self, plan: SubjectPlan, variation: Variation) -> torch.Tensor:
        """From the subject to the template, (3, X, Y, Z) in voxels of the field.

        A point goes back through the random deformation first and through the resizing of structures then,
        so that structures are resized where the template has them.
        """
        own = {name: factor for name, factor in plan.factors if name in self.template.structures}
        yielding = self._share(*YIELDING[self.template.anatomy])
        names = tuple(own)
        if names not in self._resizing:
            self._resizing[names] = Resizing([self._share(name) for name in names], yielding)
        resizing = self._resizing[names].velocity(tuple(own.values()))
        rng = np.random.default_rng(plan.warp_seed)
        voxel = FIELD_STEP * self.template.voxel_mm
        warp = np.zeros((3, *yielding.shape), dtype=np.float32)
        for distance, deviation in variation.warp:
            noise = smooth_noise(yielding.shape, distance / voxel, 3, rng)
            warp += np.float32(deviation / voxel) * noise
        return compose(exponential(-torch.from_numpy(warp)), exponential(-resizing))

    def centre(self, structures: Sequence[str]) -> NDArray[np.float64]:
        """Middle of the structures' box, in template voxels."""
        inside = self._share(*structures) > 0
        box = [np.flatnonzero(inside.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
        return np.array([(side[0] + side[-1] + 1) / 2 * FIELD_STEP - 0.5 for side in box])

    def _share(self, *structures: str) -> NDArray[np.float32]:
        """Share of each voxel of the field that some structures fill."""
        if structures not in self._shares:
            mask = self.template.mask(*structures)
            if "" in structures:
                mask &= self.template.regions > 0
            self._shares[structures] = _pooled(mask, FIELD_STEP)
        return self._shares[structures]


def _check_fits(settings: CohortSettings, template: Template) -> None:
    if not set(settings.labelled) & set(template.structures):
        raise ValueError(
            f"template {template.name} has none of {', '.join(settings.labelled)}; it has "
            f"{', '.join(template.structures)}"
        )
    for group in settings.groups:
        for structure, _ in group.structures:
            if structure not in template.structures:
                raise ValueError(
                    f"group {group.name!r} changes {structure!r}, which template {template.name} does not "
                    f"have; it has {', '.join(template.structures)}"
                )


def _synthesize(
    plan: SubjectPlan, mould: _Mould, settings: CohortSettings, prepared: VolumeSettings
) -> PreparedArrays:
    """One subject: regions of its template under its own deformation, and the image of its scanner."""
    import nibabel as nib

    template = mould.template
    displacement = mould.displacement(plan, settings.drawn)
    pose = _pose(plan, mould.centre(settings.centre or settings.labelled), template.voxel_mm, settings)
    points = template_points(pose, settings.shape, displacement, FIELD_STEP)
    regions = largest_share(template.regions, points)
    rng = np.random.default_rng(plan.scan_seed)
    means = region_means(template.anatomy, plan.scanner, rng)
    voxel = np.linalg.norm(pose.matrix, axis=1)
    image = mean_intensity(template.regions, points, means, voxel)
    image = acquire(image, regions > 0, [settings.spacing_mm] * 3, plan.scanner, rng)
    number = {name: label for label, own in enumerate(settings.classes.values(), start=1) for name in own}
    labels = np.array([number.get(name, 0) for name, _ in REGIONS[template.anatomy]], dtype=np.int32)[regions]
    middle = (np.array(settings.shape) - 1) / 2
    affine = nib.affines.from_matvec(np.eye(3) * settings.spacing_mm, -settings.spacing_mm * middle)
    return prepare_arrays(Volume(image, affine, plan.id), labels, plan.scanner.modality, prepared)


def _pooled(mask: NDArray[np.bool_], step: int) -> NDArray[np.float32]:
    padded = np.pad(mask, [(0, -side % step) for side in mask.shape])
    total = padded.astype(np.uint8)
    for axis in range(3):
        total = np.add.reduceat(total, np.arange(0, padded.shape[axis], step), axis=axis)
    return total.astype(np.float32) / step**3


def _pose(plan: SubjectPlan, centre: NDArray[np.float64], voxel_mm: float, settings: CohortSettings) -> Pose:
    """From grid voxels of the subject to voxels of the template."""
    rotation = np.eye(3)
    for axis, degrees in enumerate(plan.rotation_degrees):
        one, two = (other for other in range(3) if other != axis)
        turn, angle = np.eye(3), np.deg2rad(degrees)
        turn[one, one] = turn[two, two] = np.cos(angle)
        turn[one, two], turn[two, one] = -np.sin(angle), np.sin(angle)
        rotation = rotation @ turn
    stretch = plan.size ** (1 / 3) * np.array(plan.aspect) * voxel_mm
    mirror = np.array([-1 if plan.mirrored else 1, 1, 1])
    to_template = (mirror / stretch)[:, None] * rotation.T
    first = -settings.spacing_mm * (np.array(settings.shape) - 1) / 2 - plan.shift_mm
    return Pose(to_template * settings.spacing_mm, to_template @ first + centre)


def _make_one(
    plan: SubjectPlan, mould: _Mould, settings: CohortSettings, prepared: VolumeSettings, cache: Path
) -> PreparedVolume:
    identity = [
        [COHORT_VERSION, PREPARATION_VERSION, mould.template.key],
        plan.identity(),
        settings.drawn.warp,
        [
            settings.labelled,
            settings.shape,
            prepared.identity(),
            *([settings.centre] if settings.centre else []),
            *([settings.united] if settings.united else []),
        ],
    ]
    key = text_sha256(json.dumps(identity, sort_keys=True))[:32]
    found = cached_arrays(cache, key, lambda: _synthesize(plan, mould, settings, prepared))
    return PreparedVolume(
        plan.id, found.image, found.foreground, found.labels, found.affine, plan.scanner.modality, key
    )


@dataclass(frozen=True)
class VolumeRow:
    """How large a structure is in a cohort's subjects of one template, and in the template itself.

    Attributes:
        source_ml: in the template.
        subjects: number of subjects that have it in their field of view.
        mean_ml, deviation_ml, smallest_ml, largest_ml: over those subjects, within the field of view; the
            deviation of one is NaN.
    """

    template: str
    structure: str
    source_ml: float
    subjects: int
    mean_ml: float
    deviation_ml: float
    smallest_ml: float
    largest_ml: float


def structure_volumes_ml(volume: PreparedVolume, structures: Iterable[str]) -> dict[str, float]:
    """Structure → its volume in the field of view; ``structures`` as in ``settings.classes``.

    Raises:
        ValueError: the volume has no labels.
    """
    if volume.labels is None:
        raise ValueError(f"{volume.subject} has no labels")
    structures = tuple(structures)
    count = np.bincount(np.asarray(volume.labels).ravel(order="K"), minlength=len(structures) + 1)
    voxel_ml = float(np.prod(spacing(volume.affine))) / 1000
    return {name: float(count[1 + place]) * voxel_ml for place, name in enumerate(structures)}


def volume_table(cohort: Prepared, settings: CohortSettings, *, cache: Path | None = None) -> list[VolumeRow]:
    """Volumes of classes beside the source's: one row for each template and class of it."""
    rows, template = [], {plan.id: plan.template for plan in draw_subjects(settings)}
    for name in dict.fromkeys(template.values()):
        source = load_template(name, cache).volumes_ml()
        own = [volume for volume in cohort.volumes if template[volume.subject] == name]
        measured = [structure_volumes_ml(volume, settings.classes) for volume in own]
        for structure, members in settings.classes.items():
            values = np.array([volumes[structure] for volumes in measured if volumes[structure] > 0])
            held = [source[member] for member in members if member in source]
            if held and len(values):
                deviation = values.std(ddof=1) if len(values) > 1 else np.nan
                numbers = map(float, (values.mean(), deviation, values.min(), values.max()))
                rows.append(VolumeRow(name, structure, sum(held), len(values), *numbers))
    return rows
