"""Masks over the patch grid: explicit generators in, explicit boolean tensors out, ``True`` = masked."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

CONSTANT = 1e-3
"""Standardised intensities closer to the smallest than this are the constant background."""


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
    return hide_first(patch_noise(grid, batch, generator), mask_ratio)


def patch_noise(grid: Sequence[int], batch: int, generator: torch.Generator) -> Tensor:
    """Uniform numbers in [0, 1), float (B, d, h, w), that decide in which order patches are hidden."""
    patches = grid[0] * grid[1] * grid[2]
    return torch.rand(batch, patches, generator=generator, device=generator.device).view(batch, *grid)


def hide_first(order: Tensor, mask_ratio: float) -> Tensor:
    """Hide the patches that come first: float (B, d, h, w) to bool (B, d, h, w), the same number a sample."""
    masked = num_masked(order.shape[1:], mask_ratio)
    ranks = order.flatten(1).argsort(dim=1).argsort(dim=1)
    return (ranks < masked).view(order.shape)


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
