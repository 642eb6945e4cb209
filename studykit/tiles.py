"""A volume as cubic tiles that do not overlap, and the volume back from its tiles."""

import torch.nn.functional as F
from torch import Tensor

from studykit.layers.patches import patchify, unpatchify


def tile(volume: Tensor, size: int, background: float) -> Tensor:
    """(C, D, H, W) to (N, C, size, size, size) in raster order, the volume in the middle of whole tiles.

    What the tiles have beyond the volume is ``background``.
    """
    padding = []
    for side in reversed(volume.shape[1:]):
        missing = -side % size
        padding += [missing // 2, missing - missing // 2]
    return patchify(F.pad(volume, padding, value=background)[None], size)[0]


def untile(tiles: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Inverse of :func:`tile`: (N, C, size, size, size) and the volume's (D, H, W) to (C, D, H, W)."""
    size = tiles.shape[-1]
    grid = tuple(-(-side // size) for side in shape)
    starts = [-side % size // 2 for side in shape]
    inside = tuple(slice(start, start + side) for start, side in zip(starts, shape, strict=True))
    return unpatchify(tiles[None], grid)[0][:, *inside]
