"""An image from regions by the recipe of SynthSeg, and a subject's own deformation of a template.

Billot et al. 2023, Medical Image Analysis 86:102789: a random Gaussian for each label, a smooth bias field,
the point spread and slices of a scanner, noise. Here a region is a structure with a tissue, and the scanner
says what its tissues look like. Labels come from the same deformed template, each interpolated linearly.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from studykit.data.cohorts.deformation import sample, smooth_noise
from studykit.data.cohorts.regions import REGIONS
from studykit.data.cohorts.scanners import Scanner

BIAS_MM = 60.0
"""Between control points of the bias field."""
FWHM = 2.3548
"""Width at half maximum of a Gaussian of standard deviation 1."""


@dataclass(frozen=True)
class Pose:
    """Where the points of a subject's grid lie in a template, before it is deformed.

    Attributes:
        matrix: 3x3, template voxels a grid voxel.
        offset: template voxels of the grid's first voxel, along X, Y, Z.
    """

    matrix: NDArray[np.float64]
    offset: NDArray[np.float64]


def template_points(
    pose: Pose, shape: Sequence[int], displacement: Tensor, field_step: int
) -> NDArray[np.float32]:
    """Template voxel that lies at each voxel of a grid: (3, X, Y, Z) in template voxels.

    Args:
        displacement: (3, …) on a grid of which each voxel is a cube of ``field_step`` of the template's, in
            voxels of its own.
    """
    axes = [torch.arange(side, dtype=torch.float32) for side in shape]
    x, y, z = axes[0][:, None, None], axes[1][:, None], axes[2]
    rows = [[float(value) for value in row] for row in pose.matrix]
    offset = pose.offset.tolist()
    points = torch.stack([r[0] * x + (r[1] * y + (r[2] * z + o)) for r, o in zip(rows, offset, strict=True)])
    on_field = (points - (field_step - 1) / 2) / field_step
    return (points + field_step * sample(displacement, on_field)).numpy()


def largest_share(regions: NDArray[np.uint8], points: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Region that has most of the trilinear weight at each point; outside the template its border's."""
    index, fractions = np.zeros(points.shape[1:], dtype=np.int32), []
    for place, side in zip(points, regions.shape, strict=True):
        place = np.clip(place, 0, side - 1)
        base = np.minimum(place.astype(np.int32), side - 2)
        fractions.append(place - base)
        index = index * side + base
    steps = [regions.shape[1] * regions.shape[2], regions.shape[2], 1]
    corners, flat = list(itertools.product((0, 1), repeat=3)), regions.ravel()
    found = [flat[index + int(np.dot(corner, steps))] for corner in corners]
    result = found[0].copy()
    mixed = np.logical_or.reduce([other != result for other in found[1:]])
    held = np.stack([region[mixed] for region in found])
    share = [np.stack([1 - fraction[mixed], fraction[mixed]]) for fraction in fractions]
    weights = np.stack([share[0][x] * share[1][y] * share[2][z] for x, y, z in corners])
    total = np.stack([np.where(held == own, weights, 0).sum(axis=0) for own in held])
    result[mixed] = np.take_along_axis(held, total.argmax(axis=0)[None], axis=0)[0]
    return result


def mean_intensity(
    regions: NDArray[np.uint8],
    points: NDArray[np.float32],
    means: NDArray[np.float32],
    voxel: NDArray[np.float64],
) -> NDArray[np.float32]:
    """Each voxel's mean over the eight centres of its octants: the partial volume of fine structures.

    Args:
        points: (3, X, Y, Z), voxel centres in template voxels.
        means: intensity of each region.
        voxel: size of a voxel in template voxels along X, Y, Z.
    """
    low, high = (_strides(points, regions.shape, sign * voxel / 4) for sign in (-1, 1))
    flat, total = regions.ravel(), np.zeros(points.shape[1:], dtype=np.float32)
    for choice in itertools.product((0, 1), repeat=3):
        index = sum((low, high)[side][axis] for axis, side in enumerate(choice))
        total += means[flat[index]]
    return total / 8


def region_means(anatomy: str, scanner: Scanner, rng: np.random.Generator) -> NDArray[np.float32]:
    """Intensity of each region for one subject; the tissues vary between subjects, structures in a tissue."""
    regions = REGIONS[anatomy]
    if not scanner.means:
        means = rng.uniform(0, 1, len(regions))
        return np.where([tissue == "air" for _, tissue in regions], 0, means).astype(np.float32)
    tissue = {
        name: mean + (name != "air") * scanner.spread * rng.standard_normal() for name, mean in scanner.means
    }
    own = scanner.spread * rng.standard_normal(len(regions))
    return np.array([tissue[t] + own[k] * (t != "air") for k, (_, t) in enumerate(regions)], dtype=np.float32)


def acquire(
    means: NDArray[np.float32],
    body: NDArray[np.bool_],
    spacing_mm: Sequence[float],
    scanner: Scanner,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """What the scanner makes of the mean intensities (X, Y, Z) of an anatomy: HU for CT, at least 0 for MR.

    Args:
        body: where there is texture: all but air.
        spacing_mm: of the grid along X, Y, Z. Slices coarser than it are interpolated back onto it.
    """
    image = means + scanner.texture * rng.standard_normal(means.shape, dtype=np.float32) * body
    if scanner.bias > 0:
        distance = BIAS_MM / float(np.mean(spacing_mm))
        image *= np.exp(scanner.bias * smooth_noise(image.shape, distance, 1, rng)[0])
    back = []
    for axis, (step, width) in enumerate(zip(spacing_mm, scanner.resolution_mm, strict=True)):
        if width > step:
            down, up = _slices(image.shape[axis], width / step, rng.uniform())
            image = _along(down, image, axis)
            back.append((up, axis))
    noise = rng.standard_normal((1 if scanner.is_ct else 2, *image.shape), dtype=np.float32) * scanner.noise
    image = image + noise[0] if scanner.is_ct else np.hypot(image + noise[0], noise[1])
    for up, axis in back:
        image = _along(up, image, axis)
    return image


def _strides(
    points: NDArray[np.float32], shape: Sequence[int], shift: Sequence[float]
) -> list[NDArray[np.int32]]:
    """For each axis the flat index that its nearest voxel adds."""
    result = []
    for axis, side in enumerate(shape):
        place = np.clip(points[axis] + (shift[axis] + 0.5), 0, side - 0.5).astype(np.int32)
        result.append(place * int(np.prod(shape[axis + 1 :])))
    return result


def _slices(side: int, width: float, start: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Matrices to slices ``width`` voxels apart and linearly back; ``start`` in [0, 1) places the first."""
    count = max(2, round(side / width))
    centre = (np.arange(count) + 0.25 + start / 2) * width - 0.5
    deviation = np.sqrt(width**2 - 1) / FWHM
    down = np.exp(-(((np.arange(side) - centre[:, None]) / max(deviation, 0.1)) ** 2) / 2)
    down /= down.sum(axis=1, keepdims=True)
    place = np.clip((np.arange(side) - centre[0]) / width, 0, count - 1)
    up = np.clip(1 - np.abs(place[:, None] - np.arange(count)), 0, None)
    return down.astype(np.float32), up.astype(np.float32)


def _along(matrix: NDArray[np.float32], array: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    return np.moveaxis(np.tensordot(matrix, array, axes=(1, axis)), 0, axis)
