"""Voxel grids: spacing, and resampling along the array axes in millimetres."""

import numpy as np
from numpy.typing import NDArray

SAME_STEP = 1e-4


def spacing(affine: NDArray[np.float64]) -> tuple[float, float, float]:
    """Voxel size in mm along the three array axes."""
    return tuple(float(value) for value in np.linalg.norm(affine[:3, :3], axis=0))


def resample(
    array: NDArray[np.float32], affine: NDArray[np.float64], target_mm: tuple[float, float, float]
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Linear interpolation onto voxels of ``target_mm`` along the same axes, about the same centre.

    Where voxels grow, a Gaussian first removes what the coarser grid cannot hold, with the width of Cardoso
    et al. 2015 (MICCAI, "Scale factor point spread function matching"). A linear ramp stays itself away
    from the borders.
    """
    for axis, (size, target) in enumerate(zip(spacing(affine), target_mm, strict=True)):
        step = target / size
        count, start = _new_grid(array.shape[axis], step)
        if abs(step - 1) < SAME_STEP:
            continue
        weights = _resampling_weights(array.shape[axis], count, start, step)
        array = np.moveaxis(np.tensordot(weights, array, axes=(1, axis)), 0, axis)
        affine = affine @ _shift_scale(axis, start, step)
    return np.ascontiguousarray(array), affine


def resample_labels(
    labels: NDArray[np.int32], affine: NDArray[np.float64], target_mm: tuple[float, float, float]
) -> NDArray[np.int32]:
    """Nearest neighbour onto the grid that :func:`resample` gives."""
    for axis, (size, target) in enumerate(zip(spacing(affine), target_mm, strict=True)):
        step = target / size
        count, start = _new_grid(labels.shape[axis], step)
        if abs(step - 1) < SAME_STEP:
            continue
        index = np.floor(start + step * np.arange(count) + 0.5).astype(int)
        labels = np.take(labels, index.clip(0, labels.shape[axis] - 1), axis=axis)
    return labels


def _new_grid(count: int, step: float) -> tuple[int, float]:
    """Number of voxels of ``step`` old voxels that fill ``count`` old ones, and the first one's old index."""
    new = max(1, round(count / step))
    return new, (count - 1) / 2 - step * (new - 1) / 2


def _resampling_weights(old: int, new: int, start: float, step: float) -> NDArray[np.float32]:
    """(new, old) matrix: linear interpolation, after a Gaussian where ``step`` > 1; borders go on outside."""
    from scipy import ndimage

    place = np.clip(start + step * np.arange(new), 0, old - 1)
    left = np.minimum(place.astype(int), old - 2)
    linear = np.zeros((new, old))
    linear[np.arange(new), left] = 1 - (place - left)
    linear[np.arange(new), left + 1] += place - left
    if step > 1:
        sigma = np.sqrt((step**2 - 1) / (8 * np.log(2)))
        linear = linear @ ndimage.gaussian_filter1d(np.eye(old), sigma, axis=0, mode="nearest")
    return linear.astype(np.float32)


def _shift_scale(axis: int, start: float, step: float) -> NDArray[np.float64]:
    matrix = np.eye(4)
    matrix[axis, axis], matrix[axis, 3] = step, start
    return matrix
