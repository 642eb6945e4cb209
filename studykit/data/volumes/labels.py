"""Label maps: whole numbers on the grid of their image, refused where they are not."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from studykit.data.files.errors import BadVolume
from studykit.data.files.refs import VolumeRef
from studykit.data.volumes.grids import spacing
from studykit.data.volumes.volumes import Volume, as_text, checked, oriented

GRID_TOLERANCE = 0.1
"""Of a voxel's smallest side, how far a corner of a label map may lie from its image's."""
WHOLE_TOLERANCE = 1e-3
SLAB_VOXELS = 2**18
FITS = ("grid", "affine")


def read_labels(ref: VolumeRef, like: Volume, fit: str = "grid") -> NDArray[np.int32]:
    """Read a label map (X, Y, Z) on the grid of ``like``.

    With ``fit="affine"`` it is first resampled onto that grid, nearest neighbour, 0 outside. Of two masks of
    one structure's sides it is 1 where either is not 0.

    Raises:
        BadVolume: on another grid, values that are no whole numbers, or a file that cannot be read.
    """
    from scipy import ndimage

    if ref.other_side is not None:
        sides = (replace(ref, other_side=None), VolumeRef(ref.other_side))
        return np.logical_or(*(read_labels(side, like, fit) > 0 for side in sides)).astype(np.int32)
    if fit not in FITS:
        raise ValueError(f"unknown fit {fit!r}; known: {', '.join(FITS)}")
    array, affine = checked(ref)
    _whole_values(array, ref.name)
    labels = (np.rint(array) if array.dtype.kind == "f" else array).astype(np.int32)
    if fit == "affine":
        labels, affine = oriented(labels, affine, affine)
        step = np.linalg.inv(affine) @ like.affine
        return ndimage.affine_transform(labels, step, output_shape=like.array.shape, order=0, cval=0)
    return _on_grid(labels, affine, ref, like)


def label_values(ref: VolumeRef, like: Volume, fit: str = "grid") -> NDArray[np.int64]:
    """The distinct values of :func:`read_labels`, ascending, without a copy of the map where it has the grid.

    Raises what :func:`read_labels` raises.
    """
    if ref.other_side is not None or fit != "grid":
        return distinct(read_labels(ref, like, fit)).astype(np.int64)
    array, affine = checked(ref)
    _on_grid(array, affine, ref, like)
    return _whole_values(array, ref.name)


def distinct(array: NDArray[Any]) -> NDArray[Any]:
    """The values of an array (i, j, k), ascending; quick where neighbours are mostly alike.

    >>> distinct(np.array([[[2, 1], [1, 2]], [[1, 1], [1, 7]]]))
    array([1, 2, 7])
    """
    return np.unique(np.concatenate([_values(slab) for slab in _slabs(array)]))


def _slabs(array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """An array's voxels in the order of memory, (n,) at a time."""
    planes = np.moveaxis(array, int(np.argmax(np.abs(array.strides))), 0)
    count = max(1, SLAB_VOXELS // planes[0].size)
    return (planes[start : start + count].ravel(order="K") for start in range(0, len(planes), count))


def _values(voxels: NDArray[Any]) -> NDArray[Any]:
    """Sorts only the first voxel of each run of equal ones."""
    firsts = voxels[1:][voxels[1:] != voxels[:-1]]
    return np.unique(np.append(firsts, voxels[0]))


def _whole_values(array: NDArray[Any], path: str) -> NDArray[np.int64]:
    """The distinct labels of a map as stored; NaN, fractions and values beyond 32 bits are refused."""
    values, limits = np.empty(0, dtype=np.int64), np.iinfo(np.int32)
    for slab in _slabs(array):
        found = _values(slab)
        if found.dtype.kind == "f":
            # A slope in the header leaves 0.9999998 of a 1.
            whole = np.rint(found)
            if not np.isfinite(found).all() or np.abs(found - whole).max() > WHOLE_TOLERANCE:
                raise BadVolume(path, "labels are not whole numbers")
            found = whole
        low, high = int(found[0]), int(found[-1])
        if not limits.min <= low <= high <= limits.max:
            raise BadVolume(path, f"labels from {low} to {high} do not fit 32 bits")
        values = np.union1d(values, found.astype(np.int64))
    return values


def _on_grid(array: NDArray[Any], affine: NDArray[np.float64], ref: VolumeRef, like: Volume) -> NDArray[Any]:
    """A map along the axes of its image.

    Raises:
        BadVolume: it lies on another grid.
    """
    # The image's axes decide: near 45 degrees rounding would turn the one and not the other.
    array, affine = oriented(array, affine, np.linalg.inv(like.affine) @ affine)
    if array.shape != like.array.shape or not _same_grid(affine, like.affine, array.shape):
        raise BadVolume(
            ref.name,
            f"labels lie on another grid than {like.path}: shape {array.shape}, voxel size "
            f"{as_text(spacing(affine))} mm, origin {as_text(affine[:3, 3])} mm, against {like.array.shape}, "
            f"{as_text(like.spacing_mm)}, {as_text(like.affine[:3, 3])}",
        )
    return array


def _same_grid(first: NDArray[np.float64], second: NDArray[np.float64], shape: tuple[int, ...]) -> bool:
    """Whether no corner of the grid moves by more than a tenth of a voxel between two affines."""
    corners = np.array(np.meshgrid(*[(0, side - 1) for side in shape], (1,))).reshape(4, -1)
    moved = np.linalg.norm(((first - second) @ corners)[:3], axis=0).max()
    return bool(moved <= GRID_TOLERANCE * min(spacing(second)))
