"""A small 3-D U-Net of MONAI's blocks: with five levels it is MONAI's ``BasicUNet`` (Falk et al. 2019).

Two convolutions a level, instance normalisation and leaky ReLU, maximum pooling on the way down, transposed
convolution on the way up.
"""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from studykit.imports import without_url_grammar
from studykit.models.encoder_decoder import EncoderDecoder

BLOCK = {
    "act": ("LeakyReLU", {"negative_slope": 0.1, "inplace": True}),
    "norm": ("instance", {"affine": True}),
    "bias": True,
}


class UNet(EncoderDecoder):
    """Encoder, decoder with concatenated skips, and a 1x1x1 head.

    Args:
        img_size: voxels along (D, H, W), or one number; multiples of 2^(levels - 1), larger than that along
            one axis at least. The weights do not depend on it.
        in_channels: channels of the image.
        num_classes: channels of the output.
        channels: of each level, fine to coarse; two levels or more.

    Raises:
        ValueError: fewer than two levels, or a size that does not divide.
    """

    version = 1

    def __init__(
        self,
        img_size: int | Sequence[int],
        in_channels: int = 1,
        num_classes: int = 1,
        channels: Sequence[int] = (16, 32, 64, 128),
    ) -> None:
        super().__init__()
        if len(channels) < 2:
            raise ValueError(f"a U-Net has two levels or more, got channels {tuple(channels)}")
        size = (img_size,) * 3 if isinstance(img_size, int) else tuple(img_size)
        coarsest = 2 ** (len(channels) - 1)
        if len(size) != 3 or any(side % coarsest for side in size) or max(size) <= coarsest:
            raise ValueError(
                f"img_size must be multiples of {coarsest} for {len(channels)} levels, and larger than that "
                f"along one axis, got {img_size}. Use fewer levels or another crop."
            )
        self.channels = tuple(channels)
        self.strides = tuple((2**level,) * 3 for level in range(len(channels)))
        self.encoder = Encoder(in_channels, self.channels)
        self.decoder = Decoder(self.channels)
        self.head = nn.Conv3d(self.channels[0], num_classes, kernel_size=1)


class Encoder(nn.Module):
    """An image to a map of each level, fine to coarse."""

    def __init__(self, in_channels: int, channels: Sequence[int]) -> None:
        with without_url_grammar():
            from monai.networks.nets.basic_unet import Down, TwoConv

        super().__init__()
        steps = pairwise(channels)
        self.levels = nn.ModuleList(
            [TwoConv(3, in_channels, channels[0], **BLOCK), *(Down(3, a, b, **BLOCK) for a, b in steps)]
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = []
        for level in self.levels:
            x = level(x)
            maps.append(x)
        return maps


class Decoder(nn.Module):
    """The encoder's maps to one map (B, channels[0], D, H, W)."""

    def __init__(self, channels: Sequence[int]) -> None:
        with without_url_grammar():
            from monai.networks.nets.basic_unet import UpCat

        super().__init__()
        steps = list(enumerate(pairwise(channels)))
        self.levels = nn.ModuleList(
            UpCat(3, coarse, fine, fine, **BLOCK, halves=level > 0) for level, (fine, coarse) in steps[::-1]
        )

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        *skips, x = maps
        for level, skip in zip(self.levels, reversed(skips), strict=True):
            x = level(x, skip)
        return x
