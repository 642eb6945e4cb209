"""The three levels of MiM as published (Zhuang et al., arXiv 2404.15580): views of one crop, and their masks.

    up     the crop, shrunk to half; whole octants of it are hidden
    mid    each hidden octant, at the crop's own resolution; patches of it are hidden
    down   some hidden patches of each mid view, enlarged to its size; patches of it are hidden

Each level opens what its parent hid. All views have half the crop's size along each axis, and every crop
gives the same number of them. The published sizes: crops of 192³, views of 96³ with 6³ patches, half of the
octants, 0.6 of mid's patches and half of down's hidden, 4 patches enlarged.

The released code hides runs of 27 patches in raster order for up, and cuts octants as mid views; here what is
hidden and what is cut are the same octants, as the paper has it.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from studykit.layers.patches import cut, split_mask, take_tokens
from studykit.masking import hide_count, hide_first, num_masked, patch_noise, upsample_mask

OCTANTS = (2, 2, 2)


class ThreeLevelMasks(NamedTuple):
    """Masks of all views of B crops with M mid views each, of which each has Z children; all bool.

    Attributes:
        up: (B, d, h, w), whole octants.
        mid: (B, M, d, h, w); mid view m is the m-th hidden octant in raster order.
        enlarged: (B, M, d, h, w), the Z hidden patches of each mid view that become down views, in raster
            order.
        down: (B, M·Z, d, h, w).
    """

    up: Tensor
    mid: Tensor
    enlarged: Tensor
    down: Tensor

    def pack(self) -> Tensor:
        """All in one tensor, (B, 1 + 2·M + M·Z, d, h, w)."""
        return torch.cat([self.up[:, None], self.mid, self.enlarged, self.down], dim=1)

    @classmethod
    def unpack(cls, packed: Tensor, mids: int) -> "ThreeLevelMasks":
        """Inverse of :meth:`pack` for ``mids`` mid views a crop."""
        up, mid, enlarged, down = packed.split([1, mids, mids, packed.shape[1] - 1 - 2 * mids], dim=1)
        return cls(up[:, 0], mid, enlarged, down)


class Views(NamedTuple):
    """What the network sees of B crops (B, C, 2·D, 2·H, 2·W), each view (C, D, H, W) and not yet masked.

    Attributes:
        up: (B, C, D, H, W).
        mid: (B·M, C, D, H, W), a crop's views next to each other.
        down: (B·M·Z, C, D, H, W), a mid view's children next to each other.
    """

    up: Tensor
    mid: Tensor
    down: Tensor


def three_level_masks(
    grid: Sequence[int],
    ratios: tuple[float, float, float],
    children: int,
    batch: int,
    generator: torch.Generator,
) -> ThreeLevelMasks:
    """Draw the masks of all views.

    Args:
        grid: patches of a view along each axis, (d, h, w), even.
        ratios: share of up's octants, of mid's patches and of down's patches to hide, each in (0, 1).
        children: down views of each mid view, Z.
        batch: number of crops B.
        generator: source of all randomness; the masks live on its device.

    Raises:
        ValueError: an odd grid, a ratio out of range, or fewer hidden patches in a mid view than children.
    """
    if any(n % 2 for n in grid):
        raise ValueError(
            f"A grid of {tuple(grid)} patches has no octants; choose sizes that give an even one."
        )
    mids = num_masked(OCTANTS, ratios[0])
    hidden = num_masked(grid, ratios[1])
    if not 1 <= children <= hidden:
        raise ValueError(
            f"children must lie in 1 to {hidden}, the hidden patches of a mid view, got {children}."
        )
    octants = hide_first(patch_noise(OCTANTS, batch, generator), ratios[0])
    up = upsample_mask(octants, [n // 2 for n in grid]).squeeze(1)
    mid = hide_first(patch_noise(grid, batch * mids, generator), ratios[1])
    enlarged = hide_count(patch_noise(grid, batch * mids, generator) + ~mid, children)
    down = hide_first(patch_noise(grid, batch * mids * children, generator), ratios[2])
    return ThreeLevelMasks(up, *(masks.unflatten(0, (batch, -1)) for masks in (mid, enlarged, down)))


def three_level_views(crop: Tensor, masks: ThreeLevelMasks) -> Views:
    """Cut the views of (B, C, 2·D, 2·H, 2·W) crops; (D, H, W) divides by the masks' grid.

    Halving takes the mean of 2³ voxels, which is trilinear interpolation there; enlarging is trilinear.
    """
    up = F.avg_pool3d(crop, 2)
    mid = take_tokens(cut(crop, OCTANTS), hidden_octants(masks)).flatten(0, 1)
    patches = take_tokens(cut(mid, masks.mid.shape[2:]), enlarged_patches(masks)).flatten(0, 1)
    down = F.interpolate(patches, size=up.shape[2:], mode="trilinear", align_corners=False)
    return Views(up, mid, down)


def hidden_octants(masks: ThreeLevelMasks) -> Tensor:
    """Octants that the mid views are of, int64 (B, M): numbers 0 to 7 in raster order."""
    octants = masks.up[:, :: masks.up.shape[1] // 2, :: masks.up.shape[2] // 2, :: masks.up.shape[3] // 2]
    return split_mask(octants, 8 - masks.mid.shape[1])[1]


def enlarged_patches(masks: ThreeLevelMasks) -> Tensor:
    """Patches of the mid views that the down views are of, int64 (B·M, Z): places in raster order."""
    mids = masks.enlarged.flatten(0, 1)
    children = masks.down.shape[1] // masks.mid.shape[1]
    return split_mask(mids, mids[0].numel() - children)[1]


def features_at_children(up: Tensor, mid: Tensor, masks: ThreeLevelMasks) -> tuple[Tensor, Tensor]:
    """Parents' features at the places of their children.

    Args:
        up, mid: the coarsest maps of the up views (B, C, d, h, w) and mid views (B·M, C, d, h, w), on the
            masks' grid.

    Returns:
        (B·M, C) means of up's map over each hidden octant, and (B·M·Z, C) cells of mid's maps.
    """
    octants = F.avg_pool3d(up, [n // 2 for n in up.shape[2:]])
    of_octants, of_patches = (
        take_tokens(maps.flatten(2).transpose(1, 2), places).flatten(0, 1)
        for maps, places in ((octants, hidden_octants(masks)), (mid, enlarged_patches(masks)))
    )
    return of_octants, of_patches
