"""Hidden patches: what a loss is told of them, their standardised targets, how their prediction is painted.

Targets standardised patch by patch are those of He et al. (2022, section 4, "Reconstruction target"), divided
by the deviation over the patch's n voxels. The released code of MAE, SparK and MiM takes the sample's, over
n - 1: its targets are √((n - 1) / n) times ours, 0.1 % less for a patch of 8³.
"""

import torch
from torch import Tensor

from studykit.layers.patches import cut, join, patchify, take_tokens
from studykit.losses.patch_loss import PatchLoss
from studykit.masking import mask_on

EPSILON = 1e-6
"""Added to a patch's variance, so that a constant patch is no trouble."""


def hidden_terms(
    loss: PatchLoss, prediction: Tensor, volume: Tensor, hidden: Tensor, *, normalise_target: bool
) -> dict[str, Tensor]:
    """Loss terms of the hidden patches alone.

    Args:
        loss: one that ``needs_context`` is also given the volume, as it came, and the hidden places.
        prediction: every patch, (B, T, C, p, p, p).
        volume: (B, C, D, H, W).
        hidden: int64 (B, M), places of the hidden patches in raster order.
        normalise_target: score against each target patch standardised by its own mean and deviation.
    """
    target = take_tokens(patchify(volume, prediction.shape[-1]), hidden)
    if normalise_target:
        target = standardised(target)
    context = (volume, hidden) if loss.needs_context else ()
    return loss(take_tokens(prediction, hidden), target, *context)


def standardised(patches: Tensor) -> Tensor:
    """Each patch of (B, T, ...) to mean 0 and deviation 1 over its own voxels, in float32.

    >>> bool(standardised(torch.full((1, 1, 1, 2, 2, 2), 7.0)).abs().max() == 0)
    True
    """
    mean, deviation = _statistics(patches)
    return (patches - mean) / deviation


def painted(volume: Tensor, prediction: Tensor, mask: Tensor, *, normalise_target: bool = False) -> Tensor:
    """Volume with its hidden patches replaced by their prediction, in the volume's intensities.

    Args:
        volume, prediction: (B, C, D, H, W).
        mask: bool (B, d, h, w).
        normalise_target: whether the prediction is of standardised patches. It is then scaled back by the
            true patch's mean and deviation, as is usual for pictures: it shows texture, not brightness.
    """
    if normalise_target:
        grid = mask.shape[1:]
        mean, deviation = _statistics(cut(volume, grid))
        prediction = join(cut(prediction.float(), grid) * deviation + mean, grid)
    return torch.where(mask_on(mask, volume.shape[2:])[:, None], prediction.to(volume.dtype), volume)


def _statistics(patches: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each patch of (B, T, ...), (B, T, 1, ...)."""
    voxels = tuple(range(2, patches.ndim))
    variance, mean = torch.var_mean(patches.float(), dim=voxels, keepdim=True, correction=0)
    return mean, (variance + EPSILON).sqrt()
