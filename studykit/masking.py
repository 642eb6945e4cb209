"""Masks over the patch grid: explicit generators in, explicit boolean tensors out, ``True`` = masked."""

from collections.abc import Sequence

import torch
from torch import Tensor


def num_masked(grid: Sequence[int], mask_ratio: float) -> int:
    """Number of masked patches of a (d, h, w) grid: ``mask_ratio`` of them, rounded, not none and not all.

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

    Args:
        grid: patches an axis, (d, h, w).
        mask_ratio: share of patches to hide, in (0, 1).
        batch: number of samples B.
        generator: source of all randomness; the mask lives on its device.

    Returns:
        bool (B, d, h, w), ``True`` where the patch is hidden.
    """
    masked = num_masked(grid, mask_ratio)
    patches = grid[0] * grid[1] * grid[2]
    noise = torch.rand(batch, patches, generator=generator, device=generator.device)
    ranks = noise.argsort(dim=1).argsort(dim=1)
    return (ranks < masked).view(batch, *grid)


def upsample_mask(mask: Tensor, patch_size: int | Sequence[int]) -> Tensor:
    """Repeat each patch's flag over its voxels.

    Args:
        mask: bool (B, d, h, w).
        patch_size: voxels a patch and axis, one number or (pd, ph, pw).

    Returns:
        bool (B, 1, d·pd, h·ph, w·pw).
    """
    pd, ph, pw = (patch_size,) * 3 if isinstance(patch_size, int) else tuple(patch_size)
    batch, d, h, w = mask.shape
    blocks = mask.view(batch, d, 1, h, 1, w, 1).expand(batch, d, pd, h, ph, w, pw)
    return blocks.reshape(batch, 1, d * pd, h * ph, w * pw)
