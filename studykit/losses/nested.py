"""Losses over nested masks (RSNA 2025 blueprint, section 3.3.1): as the blueprint states it, and by level."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from studykit.masking import mask_on


def blueprint_loss(prediction: Tensor, volume: Tensor, coarse: Tensor, fine: Tensor) -> Tensor:
    """Mean squared error over all voxels that either mask hides, which is what the blueprint minimises.

    ``fine`` lies inside ``coarse``, so their union is ``coarse``, and ``fine`` decides nothing.

    >>> import torch
    >>> coarse = torch.ones(1, 2, 2, 2, dtype=torch.bool)
    >>> blueprint_loss(torch.ones(1, 1, 8, 8, 8), torch.zeros(1, 1, 8, 8, 8), coarse, coarse)
    tensor(1.)

    Args:
        prediction, volume: (B, C, D, H, W).
        coarse, fine: bool (B, d, h, w) from :func:`studykit.masking.hierarchical_mask`.
    """
    hidden = mask_on(coarse | fine, volume.shape[2:])[:, None]
    return _mean_where((prediction.float() - volume.float()).square(), hidden)


def block_mean_error(
    prediction: Tensor, volume: Tensor, coarse: Tensor, coarse_block: int | Sequence[int]
) -> Tensor:
    """Squared error of the mean intensity of each coarse block: the target of the coarse level.

    A block's mean is taken over all of its voxels, those that were opened again among them.

    >>> import torch
    >>> coarse = torch.ones(1, 2, 2, 2, dtype=torch.bool)
    >>> checkered = torch.tensor([1.0, -1.0]).repeat(1, 1, 8, 8, 4)  # its block means are 0
    >>> block_mean_error(checkered, torch.zeros(1, 1, 8, 8, 8), coarse, 2)
    tensor(0.)

    Args:
        prediction, volume: (B, C, D, H, W), in the same intensities.
        coarse: bool (B, d, h, w), whole blocks.
        coarse_block: patches of a block along each axis, one number or three.
    """
    block = (coarse_block,) * 3 if isinstance(coarse_block, int) else tuple(coarse_block)
    grid = [n // b for n, b in zip(coarse.shape[1:], block, strict=True)]
    voxels = [n // m for n, m in zip(volume.shape[2:], grid, strict=True)]
    difference = F.avg_pool3d(prediction.float() - volume.float(), voxels)
    return _mean_where(difference.square(), mask_on(coarse, grid)[:, None])


def _mean_where(values: Tensor, chosen: Tensor) -> Tensor:
    """Mean of (B, C, ...) over the places of bool (B, 1, ...), all channels."""
    return (values * chosen).sum() / (chosen.sum() * values.shape[1])
