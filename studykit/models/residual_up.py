"""What decoders of residual blocks have in common: a step to twice the resolution, and a head."""

from torch import Tensor, nn

from studykit.layers.product_conv import PatchwiseConvTranspose3d, PointwiseConv3d
from studykit.layers.residual_conv import ResidualConvBlock


class Doubled(PatchwiseConvTranspose3d):
    """A transposed convolution to twice the resolution, without a bias; channels last on CPU."""

    def __init__(self, coarse: int, fine: int) -> None:
        super().__init__(coarse, fine, 2, bias=False, channels_last=True)


class Up(nn.Module):
    """A transposed convolution to twice the resolution, beside a finer map, and a residual block."""

    def __init__(self, coarse: int, fine: int) -> None:
        super().__init__()
        self.conv = Doubled(coarse, fine)
        self.block = ResidualConvBlock(2 * fine, fine)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """(B, coarse, d, h, w) and (B, fine, D, H, W) to the latter's shape, cut off beyond it."""
        d, h, w = skip.shape[2:]
        return self.block(self.conv(x)[:, :, :d, :h, :w], skip)


class Head(PointwiseConv3d):
    """A map to class scores of each voxel, class by class in memory."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, D, H, W) to (B, num_classes, D, H, W)."""
        return super().forward(x).contiguous()
