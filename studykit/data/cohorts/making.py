"""One subject of a cohort, made: its template under its own deformation, imaged by its scanner, and kept."""

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from studykit.data.cohorts.deformation import Resizing, compose, exponential, smooth_noise
from studykit.data.cohorts.regions import REGIONS
from studykit.data.cohorts.subjects import YIELDING, CohortSettings, SubjectPlan, Variation
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
from studykit.data.volumes.synthetic import SyntheticVolume
from studykit.data.volumes.volumes import (
    PREPARATION_VERSION,
    PreparedArrays,
    Volume,
    VolumeSettings,
    prepare_arrays,
)

COHORT_VERSION = 1
"""Raised when the same settings give other voxels than before."""

FIELD_STEP = 3
"""Template voxels along the side of one voxel of a deformation field."""
MOULDS = 8
"""Templates that a process keeps ready."""


class CohortVolume(SyntheticVolume):
    """A subject of a cohort.

    Args:
        template_key: of the template that the plan names.
    """

    def __init__(self, plan: SubjectPlan, settings: CohortSettings, template_key: str, cache: Path) -> None:
        self.subject, self.modality, self.template = plan.id, plan.scanner.modality, plan.template
        self.cache, self._plan, self._settings = cache, plan, settings
        identity = [
            [COHORT_VERSION, PREPARATION_VERSION, template_key],
            plan.identity(),
            settings.drawn.warp,
            [
                settings.labelled,
                settings.shape,
                preparation(settings).identity(),
                *([settings.centre] if settings.centre else []),
                *([settings.united] if settings.united else []),
            ],
        ]
        self.key = text_sha256(json.dumps(identity, sort_keys=True))[:32]

    def make(self) -> PreparedArrays:
        return synthesize(self._plan, _mould(self.template, self.cache), self._settings)


def preparation(settings: CohortSettings) -> VolumeSettings:
    """How a cohort's images are prepared: on the grid that they are made on."""
    return VolumeSettings(spacing_mm=settings.spacing_mm, crop=False)


class Mould:
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


@lru_cache(maxsize=MOULDS)
def _mould(template: str, cache: Path) -> Mould:
    return Mould(load_template(template, cache))


def synthesize(plan: SubjectPlan, mould: Mould, settings: CohortSettings) -> PreparedArrays:
    """One subject: regions of its template under its own deformation, and the image of its scanner."""
    import nibabel as nib

    template = mould.template
    displacement = mould.displacement(plan, settings.drawn)
    pose = pose_of(plan, mould.centre(settings.centre or settings.labelled), template.voxel_mm, settings)
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
    return prepare_arrays(
        Volume(image, affine, plan.id), labels, plan.scanner.modality, preparation(settings)
    )


def _pooled(mask: NDArray[np.bool_], step: int) -> NDArray[np.float32]:
    padded = np.pad(mask, [(0, -side % step) for side in mask.shape])
    # Slice by slice, which takes a fiftieth of a reduceat's time; eight bits hold sums of step³.
    total = padded.view(np.uint8)
    for axis in range(3):
        slices = np.moveaxis(total, axis, 0)
        total = np.moveaxis(sum((slices[k::step] for k in range(1, step)), slices[::step]), 0, axis)
    return np.ascontiguousarray(total, np.float32) / step**3


def pose_of(
    plan: SubjectPlan, centre: NDArray[np.float64], voxel_mm: float, settings: CohortSettings
) -> Pose:
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
