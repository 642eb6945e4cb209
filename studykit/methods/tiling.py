"""Volumes as equal tiles of any sides, and back."""

from collections.abc import Sequence

from torch import Tensor


def cut(volume: Tensor, tiles: Sequence[int]) -> Tensor:
    """(B, C, D, H, W) into (B, T, C, D/t, H/u, W/v): (t, u, v) tiles along the axes, in raster order.

    >>> import torch
    >>> cut(torch.zeros(2, 1, 4, 6, 8), (2, 3, 4)).shape
    torch.Size([2, 24, 1, 2, 2, 2])
    """
    batch, channels, *size = volume.shape
    t, u, v = tiles
    d, h, w = (n // m for n, m in zip(size, tiles, strict=True))
    blocks = volume.reshape(batch, channels, t, d, u, h, v, w).permute(0, 2, 4, 6, 1, 3, 5, 7)
    return blocks.reshape(batch, t * u * v, channels, d, h, w)


def join(tiles: Tensor, counts: Sequence[int]) -> Tensor:
    """Inverse of :func:`cut`.

    >>> import torch
    >>> volume = torch.rand(2, 1, 4, 6, 8)
    >>> torch.equal(join(cut(volume, (2, 3, 4)), (2, 3, 4)), volume)
    True
    """
    batch, _, channels, d, h, w = tiles.shape
    t, u, v = counts
    blocks = tiles.reshape(batch, t, u, v, channels, d, h, w).permute(0, 4, 1, 5, 2, 6, 3, 7)
    return blocks.reshape(batch, channels, t * d, u * h, v * w)
