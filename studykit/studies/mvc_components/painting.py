"""Crops, what is hidden of them, and how a run's network paints them at a step of its training."""

from collections.abc import Sequence

import torch
from torch import Tensor

from studykit.arms.profiles import Profile
from studykit.data.crops.random_crops import fixed_crops
from studykit.data.volumes.cache import PreparedVolume
from studykit.masking import random_patch_mask
from studykit.metrics.interpolation import explained_variance
from studykit.runs.store import Run
from studykit.runs.weights import kept_steps, method_at
from studykit.tasks.reconstruction import paint

MASK_RATIO = 0.75


def crops_and_masks(
    volumes: Sequence[PreparedVolume], sizes: Profile, each: int, seed: int, device: str = "cpu"
) -> tuple[Tensor, Tensor]:
    """Crops (N, 1, D, H, W), so many of each volume, and masks bool (N, d, h, w) that hide three quarters.

    Args:
        sizes: whose ``crop_size`` and patch grid hold.
        each: crops of a volume.
        seed: of places and masks.
    """
    generator = torch.Generator().manual_seed(seed)
    crops = fixed_crops(volumes, sizes.crop_size, each, generator)
    masks = random_patch_mask(sizes.grid, MASK_RATIO, len(crops), generator)
    return crops.to(device), masks.to(device)


def painted_at(run: Run, step: int, crops: Tensor, masks: Tensor, device: str = "cpu") -> Tensor:
    """Crops (N, 1, D, H, W) as the run's network paints what masks hide, as it was at a step.

    Between kept steps it is the last one before; so a run that diverged stays at its last kept weights.
    """
    kept = max(own for own in (0, *kept_steps(run)) if own <= step)
    return paint(method_at(run, kept, device), crops, masks, 16)


def explained(painted: Tensor, crops: Tensor, masks: Tensor) -> float:
    """Share of the variance of hidden voxels that painting explains, the crops of a subject taken together.

    In a row they make one volume, so that one mean holds for all of them.

    Args:
        painted, crops: (N, 1, D, H, W).
        masks: bool (N, d, h, w), True = hidden.
    """
    row = (1, 1, -1, *crops.shape[-2:])
    flags = masks.reshape(1, -1, *masks.shape[-2:])
    return float(explained_variance(painted.reshape(row), crops.reshape(row), flags))
