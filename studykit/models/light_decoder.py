"""SparK's decoder (Tian et al. 2023, in 3-D): mask tokens in the holes of each map, then a light U-Net.

The encoder's maps are empty where patches are hidden. Each is normalised over what is there, its holes are
filled with a learned token, and a 1×1 convolution brings it to the decoder's width; from the coarsest map on,
features are upsampled and the next map is added. It is thrown away after pre-training.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from studykit.layers.narrow_conv import NarrowConv3d
from studykit.layers.packed_patches import PackedPatches, packing
from studykit.layers.sparse_norm import SparseInstanceNorm3d
from studykit.layers.visibility import visible_at

Size = tuple[int, int, int]
NARROWEST = 8


class LightDecoder(nn.Module):
    """Maps of a hierarchical encoder to voxels.

    Args:
        channels: of the maps, fine to coarse.
        strides: voxels a cell of each map, fine to coarse; each a multiple of the one before.
        out_channels: channels of the volume.
        width: channels at the coarsest map; half of it at each finer one, but no fewer than 8.

    Raises:
        ValueError: not as many strides as channels, or strides that do not nest.
    """

    version = 1

    def __init__(
        self, channels: Sequence[int], strides: Sequence[Size], out_channels: int = 1, width: int = 64
    ) -> None:
        super().__init__()
        if len(channels) != len(strides):
            raise ValueError(f"Got {len(channels)} maps' channels, but {len(strides)} strides.")
        self.strides = tuple(tuple(stride) for stride in strides)
        levels = len(channels)
        widths = [max(width >> i, NARROWEST) for i in range(levels + 1)]
        to_width = list(reversed(widths[:levels]))
        self.norms = nn.ModuleList(SparseInstanceNorm3d(n) for n in channels)
        self.mask_tokens = nn.ParameterList(torch.empty(n) for n in channels)
        self.projections = nn.ModuleList(nn.Conv3d(n, m, 1) for n, m in zip(channels, to_width, strict=True))
        self.blocks = nn.ModuleList(
            UpsamplingBlock(before, after, factor)
            for before, after, factor in zip(
                to_width, list(reversed(widths[1:])), _factors(self.strides), strict=True
            )
        )
        self.output = nn.Conv3d(widths[-1], out_channels, 1)
        for token in self.mask_tokens:
            nn.init.trunc_normal_(token, std=0.02)

    def forward(self, maps: Sequence[Tensor], visible: Tensor | PackedPatches | None = None) -> Tensor:
        """Decode.

        Args:
            maps: (B, C_i, d_i, h_i, w_i), fine to coarse.
            visible: bool (B, d, h, w), ``True`` where the maps hold features, or its packing; what stands
                elsewhere is replaced. None: they hold features everywhere.

        Returns:
            (B, out_channels, D, H, W).
        """
        packed = None if visible is None else packing(visible)
        x: Tensor | None = None
        for i in reversed(range(len(self.strides))):
            skip = self.projections[i](self._filled(i, maps[i], packed))
            x = self.blocks[i](skip if x is None else x + skip)
        return self.output(x)

    def _filled(self, level: int, x: Tensor, packed: PackedPatches | None) -> Tensor:
        if packed is None:
            return self.norms[level](x)
        values = packed.pack(x)
        dense = packed.unpack(self.norms[level](values, packed))
        seen = visible_at(packed.visible, dense.shape[2:])
        return torch.where(seen, dense, self.mask_tokens[level].to(dense.dtype)[:, None, None, None])


class UpsamplingBlock(nn.Module):
    """Transposed convolution whose stride is its kernel (none where the factor is 1), then two convolutions.

    Args:
        in_channels, out_channels: before and after.
        factor: by which each axis grows.
    """

    def __init__(self, in_channels: int, out_channels: int, factor: Size) -> None:
        super().__init__()
        same = factor == (1, 1, 1)
        self.upsample = (
            nn.Identity() if same else nn.ConvTranspose3d(in_channels, in_channels, factor, factor)
        )
        self.layers = nn.Sequential(
            NarrowConv3d(in_channels, out_channels, 3, padding=1, bias=False),
            nn.InstanceNorm3d(out_channels, affine=True),
            nn.LeakyReLU(0.01),
            NarrowConv3d(out_channels, out_channels, 3, padding=1, bias=False),
            nn.InstanceNorm3d(out_channels, affine=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, d, h, w) to (B, C', d·fd, h·fh, w·fw)."""
        return self.layers(self.upsample(x))


def _factors(strides: Sequence[Size]) -> list[Size]:
    """By how much each map is finer than the next, fine to coarse; the finest against voxels."""
    factors = []
    for finer, coarser in zip([(1, 1, 1), *strides], strides, strict=False):
        if any(c % f for f, c in zip(finer, coarser, strict=True)):
            raise ValueError(f"Strides must nest, fine to coarse; {coarser} is no multiple of {finer}.")
        factors.append(tuple(c // f for f, c in zip(finer, coarser, strict=True)))
    return factors
