"""The residual convolution block of nnU-Net and UNETR (Isensee et al. 2021; Hatamizadeh et al. 2022).

On CPU its maps have the channels last in memory. oneDNN's 3³ convolutions of 24 and 48 channels then take two
thirds of the time, 1³ convolutions are plain products, and tokens of a transformer are maps without a copy.
"""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from studykit.layers.halved_conv import conv3
from studykit.layers.instance_norm import channels_last, instance_norm
from studykit.layers.product_conv import pointwise

SLOPE = 0.01
"""Of the leaky ReLUs."""


class ResidualConvBlock(nn.Module):
    """Two 3³ convolutions with instance norms beside a shortcut, a 1³ convolution where channels change.

    Neither convolutions nor norms have a bias, and norms have no weights: MONAI's ``UnetResBlock``. Several
    maps stand for one with the channels of all: the sum of what each contributes takes less time and memory
    than their concatenation.

    >>> import torch
    >>> ResidualConvBlock(2, 4)(torch.rand(1, 2, 4, 4, 4)).shape
    torch.Size([1, 4, 4, 4, 4])
    >>> ResidualConvBlock(4, 2)(torch.rand(1, 1, 4, 4, 4), torch.rand(1, 3, 4, 4, 4)).shape
    torch.Size([1, 2, 4, 4, 4])

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

    def forward(self, *maps: Tensor) -> Tensor:
        """(B, C_i, D, H, W), C in sum, to (B, C', D, H, W) of more than one voxel; channels last on CPU."""
        maps = tuple(channels_last(m) for m in maps)
        out = F.leaky_relu(instance_norm(_sum(conv3, maps, self.conv1.weight)), SLOPE, inplace=True)
        out = instance_norm(conv3(out, self.conv2.weight))
        if self.conv3 is None:
            (shortcut,) = maps
        else:
            shortcut = instance_norm(_sum(pointwise, maps, self.conv3.weight))
        out += shortcut
        return F.leaky_relu(out, SLOPE, inplace=True)


def _sum(conv: Callable[[Tensor, Tensor], Tensor], maps: tuple[Tensor, ...], weight: Tensor) -> Tensor:
    """A convolution of the concatenation of maps, from each its part of the weights."""
    first, *others = weight.split([m.shape[1] for m in maps], dim=1)
    out = conv(maps[0], first)
    for m, part in zip(maps[1:], others, strict=True):
        out += conv(m, part)
    return out
