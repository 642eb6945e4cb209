"""Soft tissue and bone surfaces of a CT from Hounsfield units and morphology alone, on any device.

arXiv 2512.21769 asks how its tissue masks could be had without annotation; this is one answer. The soft
range and the margins are the released code's; ours are bone as all above that range, and cubes as structuring
elements.
"""

import torch.nn.functional as F
from torch import Tensor

SOFT_TISSUE_HU = (-300.0, 300.0)
BONE_HU = 300.0


def tissue_masks(hu: Tensor, *, dilate: int = 4, erode: int = 2) -> tuple[Tensor, Tensor]:
    """Masks of soft tissue and of bone surfaces.

    Soft tissue lies strictly between -300 and 300 HU. The surface is bone (from 300 HU) grown by ``dilate``
    voxels in every direction, without bone shrunk by ``erode`` voxels. The volume's border is no surface.

    >>> import torch
    >>> hu = torch.tensor([-1000.0, 40.0, 40.0, 1200.0]).view(1, 1, 4)  # air, soft tissue, bone
    >>> soft, surface = tissue_masks(hu, dilate=1, erode=1)
    >>> soft.int().flatten().tolist(), surface.int().flatten().tolist()
    ([0, 1, 1, 0], [0, 0, 1, 1])

    Args:
        hu: (..., D, H, W) in Hounsfield units.
        dilate, erode: voxels, at least 0. The defaults belong to voxels of 0.2 mm, so to a band of 0.8 mm
            outside and 0.4 mm inside; on coarser grids take fewer.

    Returns:
        soft and surface, bool, shaped like ``hu``; the two overlap.

    Raises:
        ValueError: fewer than three axes, or a negative margin.
    """
    if hu.ndim < 3:
        raise ValueError(f"A volume must be (..., D, H, W), got shape {tuple(hu.shape)}.")
    if dilate < 0 or erode < 0:
        raise ValueError(f"dilate and erode are numbers of voxels from 0, got {dilate} and {erode}.")
    low, high = SOFT_TISSUE_HU
    bone = hu >= BONE_HU
    core = ~_dilated(~bone, erode)
    return (hu > low) & (hu < high), _dilated(bone, dilate) & ~core


def patch_flags(mask: Tensor, patch_size: int) -> Tensor:
    """Patches of which over half of the voxels are flagged: bool (B, 1, D, H, W) to bool (B, d, h, w).

    >>> import torch
    >>> mask = torch.zeros(1, 1, 4, 4, 8, dtype=torch.bool)
    >>> mask[..., :3] = True
    >>> patch_flags(mask, 4)
    tensor([[[[ True, False]]]])

    Raises:
        ValueError: not of one channel, or a spatial size is no multiple of the patch size.
    """
    if mask.ndim != 5 or mask.shape[1] != 1 or any(n % patch_size for n in mask.shape[2:]):
        raise ValueError(
            f"A mask must be (B, 1, D, H, W) and divide into patches of {patch_size}³, "
            f"got shape {tuple(mask.shape)}."
        )
    return (F.avg_pool3d(mask.float(), patch_size) > 0.5).squeeze(1)


def _dilated(mask: Tensor, radius: int) -> Tensor:
    """Grown by a cube of ``2 · radius + 1`` voxels a side, one axis after the other."""
    for axis in (-3, -2, -1):
        grown = mask.clone()
        for shift in range(1, min(radius, mask.shape[axis] - 1) + 1):
            kept = mask.shape[axis] - shift
            grown.narrow(axis, shift, kept).logical_or_(mask.narrow(axis, 0, kept))
            grown.narrow(axis, 0, kept).logical_or_(mask.narrow(axis, shift, kept))
        mask = grown
    return mask
