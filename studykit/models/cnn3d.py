"""A plain 3-D CNN: the U-Net of this kit without skip connections, so that all passes the coarsest map."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from studykit.imports import without_url_grammar
from studykit.models.unet import BLOCK, UNet


class Cnn3d(UNet):
    """Encoder as the U-Net's, and a decoder of transposed convolutions that sees the coarsest map alone.

    Args:
        img_size, in_channels, num_classes, channels: see :class:`~studykit.models.unet.UNet`.

    Raises:
        ValueError: fewer than two levels, or a size that does not divide.
    """

    version = 1

    def __init__(
        self,
        img_size: int | Sequence[int],
        in_channels: int = 1,
        num_classes: int = 1,
        channels: Sequence[int] = (16, 32, 64),
    ) -> None:
        super().__init__(img_size, in_channels, num_classes, channels)
        self.decoder = Decoder(self.channels)


class Decoder(nn.Module):
    """The coarsest map to one map (B, channels[0], D, H, W)."""

    def __init__(self, channels: Sequence[int]) -> None:
        with without_url_grammar():
            from monai.networks.nets.basic_unet import TwoConv

        super().__init__()
        steps = list(pairwise(channels))[::-1]
        self.levels = nn.Sequential(
            *(
                nn.Sequential(nn.ConvTranspose3d(coarse, fine, 2, 2), TwoConv(3, fine, fine, **BLOCK))
                for fine, coarse in steps
            )
        )

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        return self.levels(maps[-1])
