"""UNETR (Hatamizadeh et al. 2022) on the vision transformer of :mod:`studykit.models.vit`.

Tokens of a few depths become maps, finer the shallower they come from, and a convolutional decoder joins
them with the image. With patches of 16 voxels the decoder is that of MONAI's ``UNETR``; smaller patches
take fewer levels. The encoder is the pre-trained one, class token and all. Its
maps are taken after equal shares of the blocks, 3, 6, 9 and 12 of 12, as in the paper; MONAI takes the first
three one block later.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from studykit.layers.residual_conv import ResidualConvBlock
from studykit.models import vit
from studykit.models.encoder_decoder import EncoderDecoder
from studykit.models.residual_up import Doubled, Head, Up


class UNETR(EncoderDecoder):
    """Vision transformer, convolutional decoder, and a 1x1x1 head.

    Args:
        img_size: voxels along (D, H, W), or one number; multiples of ``patch_size``.
        patch_size: voxels an axis of a patch, a power of two from 2; log2 of it is the number of levels.
        in_channels, num_classes: channels of the input and of the output.
        embed_dim, depth, num_heads, mlp_ratio: see :class:`~studykit.models.vit.VisionTransformer`.
        feature_size: channels of the finest map of the decoder; each coarser one has twice as many.

    Raises:
        ValueError: sizes that do not fit; the message says which.
    """

    version = 2
    """2: the same by the kit's own blocks, up to rounding."""

    def __init__(
        self,
        img_size: int | Sequence[int] = 64,
        patch_size: int = 8,
        in_channels: int = 1,
        num_classes: int = 1,
        embed_dim: int = 384,
        depth: int = 12,
        num_heads: int = 6,
        mlp_ratio: float = 4.0,
        feature_size: int = 16,
    ) -> None:
        super().__init__()
        levels = int(math.log2(max(patch_size, 1)))
        if levels < 1 or 2**levels != patch_size:
            raise ValueError(f"patch_size must be a power of two from 2, got {patch_size}")
        size = (img_size,) * 3 if isinstance(img_size, int) else tuple(img_size)
        if len(size) != 3 or any(side % patch_size for side in size):
            raise ValueError(f"img_size ({img_size}) must be multiples of patch_size ({patch_size})")
        taps = [-(-depth * level // levels) for level in range(1, levels)]
        grid = tuple(side // patch_size for side in size)
        self.channels = (in_channels, *(embed_dim,) * levels)
        self.strides = ((1, 1, 1), *((patch_size,) * 3,) * levels)
        self.encoder = Encoder(grid, patch_size, in_channels, embed_dim, depth, num_heads, mlp_ratio)
        self.encoder.taps = taps
        self.decoder = Decoder(in_channels, embed_dim, [feature_size * 2**level for level in range(levels)])
        self.head = Head(feature_size, num_classes)


class Encoder(vit.Encoder):
    """The encoder of :mod:`studykit.models.vit`, the same weights, that gives maps.

    Attributes:
        taps: after how many blocks tokens are taken, ascending; those behind the norm come last.
    """

    taps: Sequence[int] = ()

    def forward(self, volume: Tensor) -> list[Tensor]:
        """(B, C, D, H, W) to itself and maps (B, embed_dim, d, h, w), shallow to deep."""
        grid = tuple(n // self.patch_size for n in volume.shape[2:])
        tokens = self.tokens_after(volume, self.taps)
        return [volume, *(each.transpose(1, 2).unflatten(2, grid) for each in tokens)]


class Decoder(nn.Module):
    """The image and the encoder's maps to one map (B, widths[0], D, H, W).

    Args:
        in_channels: channels of the image.
        embed_dim: channels of a map.
        widths: channels of each level, fine to coarse; a level is twice as coarse as the one before.
    """

    def __init__(self, in_channels: int, embed_dim: int, widths: Sequence[int]) -> None:
        super().__init__()
        self.image = ResidualConvBlock(in_channels, widths[0])
        self.lifts = nn.ModuleList(
            lift(embed_dim, width, len(widths) - level) for level, width in enumerate(widths[1:], start=1)
        )
        steps = pairwise([embed_dim, *reversed(widths)])
        self.levels = nn.ModuleList(Up(coarse, fine) for coarse, fine in steps)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        image, *taken, x = maps
        skips = [self.image(image), *(lift(m) for lift, m in zip(self.lifts, taken, strict=True))]
        for level, skip in zip(self.levels, reversed(skips), strict=True):
            x = level(x, skip)
        return x


def lift(embed_dim: int, width: int, times: int) -> nn.Sequential:
    """A map of tokens at twice the resolution, and again, each further time with a residual block."""
    further = [
        layer for _ in range(times - 1) for layer in (Doubled(width, width), ResidualConvBlock(width, width))
    ]
    return nn.Sequential(Doubled(embed_dim, width), *further)
