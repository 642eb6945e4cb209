"""Where in a volume the subject is."""

import numpy as np
from numpy.typing import NDArray

LEAST_SHARE = 0.01


def find_foreground(array: NDArray[np.float32], threshold: float | None = None) -> NDArray[np.bool_]:
    """The subject: the largest connected part above ``threshold`` after an opening, holes filled.

    The default is :func:`air_threshold`. All voxels where no such part has at least 1 % of the volume.
    """
    from scipy import ndimage

    above = array > (air_threshold(array) if threshold is None else threshold)
    parts, count = ndimage.label(ndimage.binary_opening(above))
    if count == 0:
        return np.ones(array.shape, dtype=bool)
    largest = parts == 1 + int(np.argmax(np.bincount(parts.ravel())[1:]))
    if largest.mean() < LEAST_SHARE:
        return np.ones(array.shape, dtype=bool)
    return ndimage.binary_fill_holes(largest)


def air_threshold(array: NDArray[np.float32]) -> float:
    """A tenth of the way from the 2nd to the 98th percentile: air lies below, tissue of an MR image above.

    Source: the first step of BET, Smith 2002, Human Brain Mapping 17:143.
    """
    low, high = np.percentile(array, (2, 98))
    return float(low + 0.1 * (high - low))


def bounding_box(mask: NDArray[np.bool_], margin: list[int]) -> tuple[slice, slice, slice]:
    """Smallest box around the True voxels of ``mask`` (X, Y, Z), grown by ``margin`` voxels."""
    box = []
    for axis, extra in enumerate(margin):
        inside = np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis)))
        low, high = int(inside[0]) - extra, int(inside[-1]) + 1 + extra
        box.append(slice(max(0, low), min(mask.shape[axis], high)))
    return tuple(box)
