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
    """The label with the largest share of each voxel of the grid that :func:`resample` gives.

    A structure keeps its centre. The nearest neighbour would not: in the middle of eight voxels it is one.
    """
    steps = [target / size for size, target in zip(spacing(affine), target_mm, strict=True)]
    steps = [1.0 if abs(step - 1) < SAME_STEP else step for step in steps]
    if steps == [1.0, 1.0, 1.0]:
        return labels
    shape = tuple(
        side if step == 1 else _new_grid(side, step)[0]
        for side, step in zip(labels.shape, steps, strict=True)
    )
    values, index = np.unique(labels, return_inverse=True)
    # The background comes first: it wins where it has as much as another label.
    order = np.argsort(values != 0, kind="stable")
    number = np.argsort(order).astype(np.uint16 if len(values) > 255 else np.uint8)
    found = resample_by_label(number[index.reshape(labels.shape)], tuple(steps), shape)
    return values[order][found]


def resample_by_label(
    labels: NDArray[np.unsignedinteger], step: tuple[float, float, float], shape: tuple[int, int, int]
) -> NDArray[np.unsignedinteger]:
    """A label map on another grid about the same centre: each label interpolated linearly, the largest wins.

    Args:
        step: new voxel size in old voxels. Where it is larger than 1, weights widen with it.
        shape: of the result.
    """
    from scipy import ndimage

    best, result = np.zeros(shape, dtype=np.float32), np.zeros(shape, dtype=labels.dtype)
    place = [
        (old - 1) / 2 + size * (np.arange(new) - (new - 1) / 2)
        for old, new, size in zip(labels.shape, shape, step, strict=True)
    ]
    for label, box in enumerate(ndimage.find_objects(labels + 1)):
        if box is None:
            continue
        part = (labels[box] == label).astype(np.float32)
        target = []
        for axis, (side, size) in enumerate(zip(box, step, strict=True)):
            width = max(1.0, size)
            near = np.flatnonzero((place[axis] > side.start - width) & (place[axis] < side.stop - 1 + width))
            target.append(slice(near[0], near[-1] + 1) if len(near) else slice(0))
            distance = np.abs(place[axis][near, None] - np.arange(side.start, side.stop))
            weights = np.clip(1 - distance / width, 0, None) / width
            part = np.moveaxis(np.tensordot(weights.astype(np.float32), part, axes=(1, axis)), 0, axis)
        where = tuple(target)
        wins = part > best[where]
        best[where][wins] = part[wins]
        result[where][wins] = label
    return result


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
