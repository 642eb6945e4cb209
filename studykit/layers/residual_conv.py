"""The residual convolution block of nnU-Net and UNETR (Isensee et al. 2021; Hatamizadeh et al. 2022)."""

import torch.nn.functional as F
from torch import Tensor, nn

SLOPE = 0.01
"""Of the leaky ReLUs."""


class ResidualConvBlock(nn.Module):
    """Two 3³ convolutions with instance norms beside a shortcut, a 1³ convolution where channels change.

    Neither convolutions nor norms have a bias, and norms have no weights: MONAI's ``UnetResBlock``.

    >>> import torch
    >>> ResidualConvBlock(2, 4)(torch.rand(1, 2, 4, 4, 4)).shape
    torch.Size([1, 4, 4, 4, 4])

    Args:
        in_channels, out_channels: before and after.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(in_channels, out_channels, 3, padding=1, bias=False)
        self.conv2 = nn.Conv3d(out_channels, out_channels, 3, padding=1, bias=False)
        self.conv3 = None
        if in_channels != out_channels:
            self.conv3 = nn.Conv3d(in_channels, out_channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, D, H, W) to (B, C', D, H, W), more than one voxel."""
        shortcut = x if self.conv3 is None else F.instance_norm(self.conv3(x))
        out = F.leaky_relu(F.instance_norm(self.conv1(x)), SLOPE)
        return F.leaky_relu(F.instance_norm(self.conv2(out)) + shortcut, SLOPE)
