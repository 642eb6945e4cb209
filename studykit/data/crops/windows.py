"""Windows on a volume: their size, where they may be centred, and copying what they cover."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from studykit.data.volumes.cache import PreparedVolume

Triple = tuple[int, int, int]

MOST_CENTRES = 200_000


def window_size(size: int | Sequence[int]) -> Triple:
    """Voxels along (D, H, W), given as three numbers or as one for all.

    Raises:
        ValueError: not three positive integers.
    """
    triple = tuple(size) if isinstance(size, tuple | list) else (size, size, size)
    if len(triple) != 3 or any(not isinstance(side, int) or side < 1 for side in triple):
        raise ValueError(f"crop_size must be a positive integer or three of them, got {size}")
    return triple


def foreground_voxels(volume: PreparedVolume) -> NDArray[np.int64]:
    """Foreground voxels, numbered in raster order of (D, H, W), thinned to at most ``MOST_CENTRES``.

    A volume without foreground has all its voxels.
    """
    mask = np.asarray(volume.foreground).T
    flat = np.flatnonzero(mask) if mask.any() else np.arange(mask.size)
    return flat[:: 1 + len(flat) // MOST_CENTRES]


def centre_inside(voxel: Sequence[int], shape: Triple, size: Triple, scale: float) -> tuple[float, ...]:
    """The centre nearest to ``voxel`` of a window inside the volume; where none fits, the volume's middle.

    At scale 1 the window's voxels fall on the volume's.

    Args:
        voxel: (d, h, w).
        shape: voxels of the volume.
        size: voxels of the window.
        scale: volume voxels that one voxel of the window spans.
    """
    centre = []
    for place, side, count in zip(voxel, shape, size, strict=True):
        half = scale * (count - 1) / 2
        if 2 * half > side - 1:
            centre.append((side - count) // 2 + (count - 1) / 2)
        else:
            even = 0.5 if count % 2 == 0 else 0.0
            centre.append(min(max(float(place) + even, half), side - 1 - half))
    return tuple(centre)


def copy_inside(target: Tensor, source: Tensor, starts: Sequence[int]) -> None:
    """Copy the part of ``source`` (D, H, W) that a window of ``target``'s shape at ``starts`` covers."""
    into, outof = [], []
    for start, count, side in zip(starts, target.shape, source.shape, strict=True):
        low, high = max(start, 0), min(start + count, side)
        if high <= low:
            return
        into.append(slice(low - start, high - start))
        outof.append(slice(low, high))
    target[tuple(into)] = source[tuple(outof)]
