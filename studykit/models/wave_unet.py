"""A small segmentation network of the RSNA 2025 blueprint's wavelet blocks.

The blueprint gives the block and no network. Ours is the plainest hierarchy around it: patches embedded
without overlap, stages of blocks with 2³ convolutions of stride 2 between them, and a light convolutional
decoder with skips. No path runs by the blocks at full resolution, so that what they do with the details shows
in the output.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from studykit.layers.packed_patches import PackedPatches, flags
from studykit.layers.visibility import hide
from studykit.layers.wave_block import ChannelNorm, WaveBlock
from studykit.models.encoder_decoder import EncoderDecoder


class WaveUNet(EncoderDecoder):
    """Encoder of wavelet blocks, convolutional decoder, 1×1×1 head.

    Args:
        img_size: voxels an axis of the input, one number or (D, H, W), multiples of the coarsest map's
            stride, patch_size · 2^(stages - 1).
        in_channels, num_classes: channels of the input and of the output.
        widths: channels of the stages, multiples of ``head_dim``.
        depth: blocks a stage.
        levels: wavelet levels of the blocks of each stage. Masks need at least as many stages below one as it
            has levels; so the last stage's is 0, where attention sees the whole map.
        patch_size: voxels an axis of a place on the finest map.
        wavelet, mlp_ratio: see :class:`~studykit.layers.wave_block.WaveBlock`.
        details: ``identity``, ``gate`` or ``off``, see there; for stages that have details.
        head_dim: channels of an attention head.
        drop_path: rate of the last block; it grows linearly from 0.

    Raises:
        ValueError: sizes that do not fit each other.
    """

    version = 1
    sparse = True

    def __init__(
        self,
        img_size: int | Sequence[int],
        in_channels: int = 1,
        num_classes: int = 1,
        widths: Sequence[int] = (32, 64, 128),
        depth: int = 2,
        levels: Sequence[int] = (1, 1, 0),
        patch_size: int = 2,
        wavelet: str = "haar",
        details: str = "identity",
        mlp_ratio: float = 4.0,
        head_dim: int = 16,
        drop_path: float = 0.1,
    ) -> None:
        super().__init__()
        size = (img_size,) * 3 if isinstance(img_size, int) else tuple(img_size)
        strides = [patch_size * 2**stage for stage in range(len(widths))]
        if len(levels) != len(widths) or any(width % head_dim for width in widths):
            raise ValueError(
                f"widths must be multiples of {head_dim}, with a level each, got {tuple(widths)} and levels "
                f"{tuple(levels)}."
            )
        if len(size) != 3 or any(n % strides[-1] for n in size):
            raise ValueError(
                f"img_size must be multiples of {strides[-1]} for {len(widths)} stages, got {img_size}. Use "
                "another crop or fewer widths."
            )
        self.channels = tuple(widths)
        self.strides = tuple((stride,) * 3 for stride in strides)
        last = max(depth * len(widths) - 1, 1)
        stages = [
            [
                WaveBlock(
                    [n // stride for n in size],
                    width,
                    width // head_dim,
                    level=level,
                    wavelet=wavelet,
                    details=details if level else "identity",
                    mlp_ratio=mlp_ratio,
                    drop_path=drop_path * (depth * stage + block) / last,
                )
                for block in range(depth)
            ]
            for stage, (width, stride, level) in enumerate(zip(widths, strides, levels, strict=True))
        ]
        self.encoder = Encoder(in_channels, patch_size, widths, stages)
        self.decoder = Decoder(widths, patch_size)
        self.head = nn.Conv3d(widths[0], num_classes, 1)


class Encoder(nn.Module):
    """Embedded patches, then stages of blocks; each map is normalised place by place.

    Args:
        in_channels, patch_size, widths: see :class:`WaveUNet`.
        stages: the blocks of each stage.
    """

    def __init__(
        self,
        in_channels: int,
        patch_size: int,
        widths: Sequence[int],
        stages: Sequence[Sequence[WaveBlock]],
    ) -> None:
        super().__init__()
        self.embedding = nn.Conv3d(in_channels, widths[0], patch_size, patch_size)
        self.downsamplings = nn.ModuleList(
            nn.Sequential(ChannelNorm(a), nn.Conv3d(a, b, 2, 2)) for a, b in pairwise(widths)
        )
        self.stages = nn.ModuleList(map(nn.ModuleList, stages))
        self.norms = nn.ModuleList(map(ChannelNorm, widths))

    def forward(self, x: Tensor, visible: Tensor | PackedPatches | None = None) -> list[Tensor]:
        """Maps of a volume, or of its visible patches alone.

        Args:
            x: (B, in_channels, D, H, W).
            visible: bool (B, d, h, w) on the grid of the coarsest map, ``True`` = visible, or its packing;
                None if nothing is hidden. What hidden patches hold is not looked at, and maps are 0 there.

        Returns:
            maps (B, C_i, d_i, h_i, w_i), fine to coarse.
        """
        visible = flags(visible)
        x, maps = self.embedding(hide(x, visible)), []
        for stage, (blocks, norm) in enumerate(zip(self.stages, self.norms, strict=True)):
            if stage:
                x = self.downsamplings[stage - 1](x)
            for block in blocks:
                x = block(x, visible)
            maps.append(hide(norm(x), visible))
        return maps


class Decoder(nn.Module):
    """The encoder's maps to one map (B, widths[0], D, H, W) at full resolution."""

    def __init__(self, widths: Sequence[int], patch_size: int) -> None:
        super().__init__()
        steps = list(pairwise(widths))[::-1]
        self.upsamplings = nn.ModuleList(nn.ConvTranspose3d(coarse, fine, 2, 2) for fine, coarse in steps)
        self.fusions = nn.ModuleList(ConvNorm(2 * fine, fine) for fine, _ in steps)
        self.expansion = nn.ConvTranspose3d(widths[0], widths[0], patch_size, patch_size)
        self.last = ConvNorm(widths[0], widths[0])

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps fine to coarse to (B, widths[0], D, H, W)."""
        *skips, x = maps
        for upsampling, fusion, skip in zip(self.upsamplings, self.fusions, reversed(skips), strict=True):
            x = fusion(torch.cat([upsampling(x), skip], 1))
        return self.last(self.expansion(x))


class ConvNorm(nn.Module):
    """3³ convolution, instance norm, GELU."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(in_channels, channels, 3, padding=1, bias=False)
        self.norm = nn.InstanceNorm3d(channels, affine=True)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, D, H, W) to (B, channels, D, H, W)."""
        return F.gelu(self.norm(self.conv(x)))
