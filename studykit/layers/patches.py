"""Volumes as sequences of non-overlapping patches or tiles, and the choice of some of them."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor


def patchify(volume: Tensor, patch_size: int) -> Tensor:
    """Cut (B, C, D, H, W) into (B, T, C, p, p, p), patches in (d, h, w) raster order, T = D·H·W / p³.

    >>> import torch
    >>> patchify(torch.rand(2, 1, 8, 8, 16), 4).shape
    torch.Size([2, 16, 1, 4, 4, 4])

    Raises:
        ValueError: a spatial size is no multiple of the patch size.
    """
    batch, channels, *size = volume.shape
    p = patch_size
    if any(n % p for n in size):
        raise ValueError(f"Volume of {tuple(size)} voxels does not divide into patches of {p}³.")
    d, h, w = (n // p for n in size)
    blocks = volume.view(batch, channels, d, p, h, p, w, p)
    return blocks.permute(0, 2, 4, 6, 1, 3, 5, 7).reshape(batch, d * h * w, channels, p, p, p)


def unpatchify(patches: Tensor, grid: tuple[int, int, int]) -> Tensor:
    """Inverse of :func:`patchify`: (B, T, C, p, p, p) on a (d, h, w) grid to (B, C, D, H, W).

    >>> import torch
    >>> volume = torch.rand(2, 1, 8, 8, 16)
    >>> torch.equal(unpatchify(patchify(volume, 4), (2, 2, 4)), volume)
    True
    """
    batch, _, channels, p, _, _ = patches.shape
    d, h, w = grid
    blocks = patches.view(batch, d, h, w, channels, p, p, p).permute(0, 4, 1, 5, 2, 6, 3, 7)
    return blocks.reshape(batch, channels, d * p, h * p, w * p)


def take_tokens(tokens: Tensor, index: Tensor) -> Tensor:
    """Gather tokens of each sample: (B, T, ...) and int64 (B, K) to (B, K, ...).

    >>> import torch
    >>> take_tokens(torch.arange(6).view(1, 6, 1), torch.tensor([[4, 0]])).flatten()
    tensor([4, 0])
    """
    shape = tokens.shape[2:]
    flat = tokens.flatten(2)
    return flat.gather(1, index.unsqueeze(-1).expand(-1, -1, flat.shape[-1])).view(*index.shape, *shape)


def split_mask(mask: Tensor, num_visible: int | None = None) -> tuple[Tensor, Tensor]:
    """Token indices of visible and of masked patches, each in raster order.

    >>> import torch
    >>> split_mask(torch.tensor([True, False, False, True]).view(1, 1, 2, 2))
    (tensor([[1, 2]]), tensor([[0, 3]]))

    Args:
        mask: bool (B, d, h, w), ``True`` = masked, the same number in each sample.
        num_visible: that number, if the caller knows it. Reading it from the mask costs a device
            synchronisation, so training passes it; without it the mask is checked.

    Returns:
        int64 (B, K) visible and int64 (B, T - K) masked indices.

    Raises:
        ValueError: ``num_visible`` is not given and samples differ in their number of visible patches.
    """
    flat = mask.flatten(1)
    if num_visible is None:
        counts = (~flat).sum(dim=1)
        num_visible = int(counts[0])
        if not bool((counts == num_visible).all()):
            raise ValueError(
                f"Each sample must have the same number of visible patches, got {counts.tolist()}."
            )
    order = flat.byte().argsort(dim=1, stable=True)
    return order[:, :num_visible], order[:, num_visible:]


def tile(volume: Tensor, size: int, background: float) -> Tensor:
    """(C, D, H, W) to (N, C, size, size, size) in raster order, the volume in the middle of whole tiles.

    What the tiles have beyond the volume is ``background``.

    >>> import torch
    >>> tile(torch.rand(1, 10, 8, 8), 8, background=0.0).shape
    torch.Size([2, 1, 8, 8, 8])
    """
    padding = []
    for side in reversed(volume.shape[1:]):
        missing = -side % size
        padding += [missing // 2, missing - missing // 2]
    return patchify(F.pad(volume, padding, value=background)[None], size)[0]


def untile(tiles: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Inverse of :func:`tile`: (N, C, size, size, size) and the volume's (D, H, W) to (C, D, H, W).

    >>> import torch
    >>> volume = torch.rand(1, 10, 8, 8)
    >>> torch.equal(untile(tile(volume, 8, background=0.0), (10, 8, 8)), volume)
    True
    """
    size = tiles.shape[-1]
    grid = tuple(-(-side // size) for side in shape)
    starts = [-side % size // 2 for side in shape]
    inside = tuple(slice(start, start + side) for start, side in zip(starts, shape, strict=True))
    return unpatchify(tiles[None], grid)[0][:, *inside]


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
