"""Voxel-wise reconstruction error of masked patches."""

import torch.nn.functional as F
from torch import Tensor

from studykit.losses.patch_loss import PatchLoss


class L2Loss(PatchLoss):
    """Mean squared error over all voxels of the masked patches, in float32.

    >>> import torch
    >>> L2Loss()(torch.ones(1, 2, 1, 4, 4, 4), torch.zeros(1, 2, 1, 4, 4, 4))
    {'l2': tensor(1.)}
    """

    version = 1
    terms = ("l2",)

    def forward(self, prediction: Tensor, target: Tensor) -> dict[str, Tensor]:
        """prediction, target: (B, M, C, p, p, p)."""
        return {"l2": F.mse_loss(prediction.float(), target.float())}
