"""Masks over the patch grid: explicit generators in, explicit boolean tensors out, ``True`` = masked."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

CONSTANT = 1e-3
"""Standardised intensities closer to the smallest than this are the constant background."""


def num_masked(grid: Sequence[int], mask_ratio: float) -> int:
    """Number of masked patches of a (d, h, w) grid: ``mask_ratio`` of them, rounded, not none and not all.

    >>> num_masked((4, 4, 4), 0.6)
    38

    Raises:
        ValueError: the ratio is outside (0, 1), or the grid has fewer than two patches.
    """
    patches = 1
    for size in grid:
        patches *= size
    if not 0.0 < mask_ratio < 1.0:
        raise ValueError(f"mask_ratio must lie strictly between 0 and 1, got {mask_ratio}.")
    if patches < 2:
        raise ValueError(
            f"A grid of {tuple(grid)} patches is too small to mask; use a larger crop or smaller patches."
        )
    return min(max(round(mask_ratio * patches), 1), patches - 1)


def random_patch_mask(
    grid: Sequence[int], mask_ratio: float, batch: int, generator: torch.Generator
) -> Tensor:
    """Mask the same number of patches, drawn uniformly without replacement, in each sample (He et al. 2022).

    >>> mask = random_patch_mask((4, 4, 4), 0.75, 2, torch.Generator().manual_seed(0))
    >>> mask.shape, mask.flatten(1).sum(dim=1).tolist()
    (torch.Size([2, 4, 4, 4]), [48, 48])

    Args:
        grid: patches an axis, (d, h, w).
        mask_ratio: share of patches to hide, in (0, 1).
        batch: number of samples B.
        generator: source of all randomness; the mask lives on its device.

    Returns:
        bool (B, d, h, w), ``True`` where the patch is hidden.
    """
    return hide_first(patch_noise(grid, batch, generator), mask_ratio)


def draw_patch_masks(
    grid: Sequence[int],
    mask_ratio: float,
    batch: int,
    generator: torch.Generator,
    volumes: Tensor | None,
    rows: slice = slice(None),
) -> Tensor:
    """:func:`random_patch_mask` for ``rows`` of a batch, where its volumes are.

    The generator moves on alike whatever the rows are, so that workers which share a batch draw the same.

    Args:
        grid, mask_ratio, batch, generator: see :func:`random_patch_mask`.
        volumes: those rows of the batch; None leaves the masks on the generator's device.

    Returns:
        bool (b, d, h, w).
    """
    return hide_first(move_to(patch_noise(grid, batch, generator)[rows], volumes), mask_ratio)


def move_to(drawn: Tensor, volumes: Tensor | None) -> Tensor:
    """What a generator drew, on the device of ``volumes`` (None: where it is), without waiting for a GPU."""
    if volumes is None:
        return drawn
    pinned = drawn.pin_memory() if volumes.device.type == "cuda" else drawn
    return pinned.to(volumes.device, non_blocking=True)


def patch_noise(grid: Sequence[int], batch: int, generator: torch.Generator) -> Tensor:
    """Uniform numbers in [0, 1), float (B, d, h, w), that decide in which order patches are hidden."""
    patches = grid[0] * grid[1] * grid[2]
    return torch.rand(batch, patches, generator=generator, device=generator.device).view(batch, *grid)


def hide_first(order: Tensor, mask_ratio: float) -> Tensor:
    """Hide the patches that come first: float (B, d, h, w) to bool (B, d, h, w), the same number a sample."""
    return hide_count(order, num_masked(order.shape[1:], mask_ratio))


def hide_count(order: Tensor, count: int) -> Tensor:
    """Hide the ``count`` patches that come first: float (B, d, h, w) to bool (B, d, h, w)."""
    ranks = order.flatten(1).argsort(dim=1).argsort(dim=1)
    return (ranks < count).view(order.shape)


class HierarchicalMask(NamedTuple):
    """Two nested masks on one patch grid, bool (B, d, h, w): ``fine`` hides a part of what ``coarse`` hides.

    ``coarse`` covers whole blocks of patches, the large missing regions; ``fine`` says which patches of these
    regions stay hidden where the others are opened again as clues.
    """

    coarse: Tensor
    fine: Tensor


def hierarchical_counts(
    grid: Sequence[int], coarse_block: int | Sequence[int], coarse_ratio: float, fine_ratio: float
) -> tuple[int, int]:
    """Patches a sample that :func:`hierarchical_mask` has in its coarse and in its fine mask.

    Raises:
        ValueError: the grid does not divide into blocks, or a ratio is outside (0, 1).
    """
    block = _triple(coarse_block)
    if any(n % b for n, b in zip(grid, block, strict=True)):
        raise ValueError(
            f"A grid of {tuple(grid)} patches does not divide into blocks of {block}; choose a coarse_block "
            "that divides it."
        )
    blocks = num_masked([n // b for n, b in zip(grid, block, strict=True)], coarse_ratio)
    coarse = blocks * math.prod(block)
    return coarse, num_masked([coarse], fine_ratio)


def hierarchical_mask(
    grid: Sequence[int],
    coarse_block: int | Sequence[int],
    coarse_ratio: float,
    fine_ratio: float,
    batch: int,
    generator: torch.Generator,
) -> HierarchicalMask:
    """Blocks drawn uniformly, then patches drawn uniformly inside them (RSNA 2025 blueprint, section 3.1).

    With blocks of one patch both levels have the same grain, as in the blueprint's own code.

    >>> mask = hierarchical_mask((4, 4, 4), 2, 0.75, 0.8, 1, torch.Generator().manual_seed(0))
    >>> int(mask.coarse.sum()), int(mask.fine.sum()), bool((mask.fine & ~mask.coarse).any())
    (48, 38, False)

    Args:
        grid: patches an axis, (d, h, w).
        coarse_block: patches of a coarse block along each axis, one number or three.
        coarse_ratio: share of the blocks in ``coarse``, in (0, 1).
        fine_ratio: share of their patches in ``fine``, in (0, 1).
        batch: number of samples B.
        generator: source of all randomness; the masks live on its device.

    Raises:
        ValueError: the grid does not divide into blocks, or a ratio is outside (0, 1).
    """
    block = _triple(coarse_block)
    _, count = hierarchical_counts(grid, block, coarse_ratio, fine_ratio)
    coarse_grid = [n // b for n, b in zip(grid, block, strict=True)]
    coarse = upsample_mask(random_patch_mask(coarse_grid, coarse_ratio, batch, generator), block).squeeze(1)
    order = patch_noise(grid, batch, generator) + ~coarse
    return HierarchicalMask(coarse, hide_count(order, count))


def weighted_order(noise: Tensor, weights: Tensor, strength: float) -> Tensor:
    """Order in which patches are hidden, float (B, d, h, w): of uniform ``noise``, biased by ``weights``.

    It is that of draws one after the other without replacement, each patch with a probability proportional to
    its weight to the power ``strength`` (Gumbel top-k, Kool et al. 2019). The blocks of VasoMIM (arXiv
    2508.10794) are drawn by vesselness; here any weight serves. Strength 0 draws uniformly.

    A weight counts as at least a thousandth of the sample's largest, so that no patch is always visible and
    a sample without any weight is drawn uniformly.
    """
    largest = weights.flatten(1).amax(dim=1).clamp(min=torch.finfo(weights.dtype).tiny)
    relative = (weights / largest[:, None, None, None]).clamp(min=1e-3)
    gumbel = -torch.log(-torch.log(noise))
    return -(strength * relative.log() + gumbel)


def mask_on(mask: Tensor, grid: Sequence[int]) -> Tensor:
    """A mask on the grid of a feature map: repeated over a finer one; over a coarser one, a cell is hidden
    where any of its patches is.

    >>> mask_on(torch.tensor([True, False, False, False]).view(1, 1, 1, 4), (1, 1, 2)).flatten().tolist()
    [True, False]

    Args:
        mask: bool (B, d, h, w), ``True`` = hidden.
        grid: cells an axis; a multiple of the mask's grid or a divisor of it.

    Returns:
        bool (B, *grid).

    Raises:
        ValueError: neither grid divides into the other.
    """
    old = mask.shape[1:]
    if all(n % m == 0 for n, m in zip(grid, old, strict=True)):
        return upsample_mask(mask, [n // m for n, m in zip(grid, old, strict=True)]).squeeze(1)
    if all(m % n == 0 for n, m in zip(grid, old, strict=True)):
        cell = [m // n for n, m in zip(grid, old, strict=True)]
        return F.max_pool3d(mask[:, None].float(), cell).squeeze(1).bool()
    raise ValueError(f"A mask of {tuple(old)} patches does not fit a feature map of {tuple(grid)} cells.")


def inside_field_of_view(volume: Tensor, patch_size: int, share: float = 0.95) -> Tensor:
    """Patches that lie inside the field of view, where all voxels outside it have one value, the smallest.

    Args:
        volume: (B, C, D, H, W) with a constant background.
        share: a patch is inside where more than this share of its voxels is.

    Returns:
        bool (B, d, h, w).
    """
    inside = volume > volume.amin(dim=(1, 2, 3, 4), keepdim=True) + CONSTANT
    return F.avg_pool3d(inside.any(dim=1, keepdim=True).float(), patch_size).squeeze(1) > share


def upsample_mask(mask: Tensor, patch_size: int | Sequence[int]) -> Tensor:
    """Repeat each patch's flag over its voxels.

    >>> upsample_mask(torch.tensor([True, False]).view(1, 1, 1, 2), (1, 1, 2)).flatten().tolist()
    [True, True, False, False]

    Args:
        mask: bool (B, d, h, w).
        patch_size: voxels a patch and axis, one number or (pd, ph, pw).

    Returns:
        bool (B, 1, d·pd, h·ph, w·pw).
    """
    pd, ph, pw = _triple(patch_size)
    batch, d, h, w = mask.shape
    blocks = mask.view(batch, d, 1, h, 1, w, 1).expand(batch, d, pd, h, ph, w, pw)
    return blocks.reshape(batch, 1, d * pd, h * ph, w * pw)


def _triple(size: int | Sequence[int]) -> tuple[int, int, int]:
    return (size, size, size) if isinstance(size, int) else tuple(size)
