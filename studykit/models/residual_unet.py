"""A residual U-Net (He et al. 2016; Isensee et al. 2024) whose encoder also runs on visible patches.

The encoder is what SparK pre-trains: with a mask it computes on visible patches only, without one it is the
plain, dense network, from the same parameters.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from studykit.layers.packed_patches import PackedPatches, flags, packing
from studykit.layers.patch_conv import PatchSparseConv3d
from studykit.layers.sparse_norm import SparseBatchNorm3d, SparseInstanceNorm3d
from studykit.models.encoder_decoder import EncoderDecoder

Size = tuple[int, int, int]
Visible = Tensor | PackedPatches | None

NORMS = {"instance": SparseInstanceNorm3d, "batch": SparseBatchNorm3d}
SLOPE = 0.01


class ConvNorm(nn.Module):
    """Convolution without bias and norm, dense or on visible patches."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, stride: int, norm: str, backend: str
    ) -> None:
        super().__init__()
        self.conv = PatchSparseConv3d(
            in_channels, out_channels, kernel_size, stride, bias=False, backend=backend
        )
        self.norm = NORMS[norm](out_channels)

    def forward(self, x: Tensor, visible: Visible = None) -> Tensor:
        """(B, C, D, H, W), or packed values, to C' channels at the stride."""
        return self.norm(self.conv(x, visible), visible)


class ResidualBlock(nn.Module):
    """Two 3³ convolutions beside a shortcut, which is a 1³ convolution where the shape changes."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, norm: str, backend: str) -> None:
        super().__init__()
        self.first = ConvNorm(in_channels, out_channels, 3, stride, norm, backend)
        self.second = ConvNorm(out_channels, out_channels, 3, 1, norm, backend)
        changes = stride != 1 or in_channels != out_channels
        self.shortcut = ConvNorm(in_channels, out_channels, 1, stride, norm, backend) if changes else None

    def forward(self, x: Tensor, visible: Visible = None) -> Tensor:
        """(B, C, D, H, W), or packed values, to C' channels at the stride."""
        residual = x if self.shortcut is None else self.shortcut(x, visible)
        x = F.leaky_relu(self.first(x, visible), SLOPE)
        return F.leaky_relu(residual + self.second(x, visible), SLOPE)


class ResidualEncoder(nn.Module):
    """Stem and stages of residual blocks, each but the first at half the resolution of the one before.

    Args:
        in_channels: of the volume.
        widths: channels of the stages, fine to coarse.
        depths: residual blocks of each stage.
        stem_stride: voxels a cell of the first map.
        norm: one of :data:`NORMS`.
        backend: of the sparse convolutions, see :mod:`studykit.layers.patch_conv`.
    """

    def __init__(
        self,
        in_channels: int,
        widths: Sequence[int],
        depths: Sequence[int],
        stem_stride: int,
        norm: str,
        backend: str,
    ) -> None:
        super().__init__()
        self.backend = backend
        self.stem = ConvNorm(in_channels, widths[0], 3, stem_stride, norm, backend)
        self.stages = nn.ModuleList()
        for i, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            before = [widths[max(i - 1, 0)]] + [width] * (depth - 1)
            strides = [2 if i else 1] + [1] * (depth - 1)
            self.stages.append(
                nn.ModuleList(
                    ResidualBlock(n, width, s, norm, backend) for n, s in zip(before, strides, strict=True)
                )
            )

    def forward(self, x: Tensor, visible: Visible = None) -> list[Tensor]:
        """Maps of a volume.

        Args:
            x: (B, C, D, H, W); values at hidden voxels do not matter.
            visible: bool (B, d, h, w) on the grid of the coarsest map, ``True`` = visible, or its packing;
                None: all are.

        Returns:
            (B, C_i, d_i, h_i, w_i), fine to coarse, 0 at hidden sites.
        """
        packed = packing(visible) if visible is not None and self.backend == "halo" else None
        where = flags(visible) if packed is None else packed
        x = x if packed is None else packed.pack(x)
        x = F.leaky_relu(self.stem(x, where), SLOPE)
        maps = []
        for stage in self.stages:
            for block in stage:
                x = block(x, where)
            maps.append(x if packed is None else packed.unpack(x))
        return maps


class UNetDecoder(nn.Module):
    """Transposed convolutions up to voxels; each map of the encoder is concatenated at its resolution.

    Args:
        channels: of the maps, fine to coarse; the decoder has the same at each resolution.
        stem_stride: voxels a cell of the finest map; beyond 1, a last step without a map leads to voxels.
        norm: one of :data:`NORMS`.
    """

    def __init__(self, channels: Sequence[int], stem_stride: int, norm: str) -> None:
        super().__init__()
        pairs = list(pairwise(reversed(channels)))
        self.upsamplings = nn.ModuleList(nn.ConvTranspose3d(n, m, 2, 2) for n, m in pairs)
        self.mixes = nn.ModuleList(ConvNorm(2 * m, m, 3, 1, norm, "halo") for _, m in pairs)
        finest = channels[0]
        self.to_voxels = nn.Identity()
        if stem_stride > 1:
            self.to_voxels = nn.Sequential(
                nn.ConvTranspose3d(finest, finest, stem_stride, stem_stride),
                ConvNorm(finest, finest, 3, 1, norm, "halo"),
                nn.LeakyReLU(SLOPE),
            )

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps, fine to coarse, to (B, channels[0], D, H, W)."""
        x = maps[-1]
        for skip, upsampling, mix in zip(reversed(maps[:-1]), self.upsamplings, self.mixes, strict=True):
            x = F.leaky_relu(mix(torch.cat([upsampling(x), skip], dim=1)), SLOPE)
        return self.to_voxels(x)


class ResidualUNet(EncoderDecoder):
    """Residual encoder, U-Net decoder, one class score a voxel and class.

    Args:
        img_size: voxels of the input, one number or (D, H, W), multiples of the coarsest map's stride.
        in_channels: channels of the volume.
        num_classes: channels of the result.
        widths: channels of the encoder's maps, fine to coarse; each is half as fine as the one before.
        depths: residual blocks of each map, one number or one a map.
        stem_stride: voxels a cell of the finest map.
        norm: ``instance`` or ``batch``; over visible sites where patches are hidden.
        backend: of the sparse convolutions: ``halo``, ``masked_dense`` or ``minkowski``.

    Raises:
        ValueError: a size or an option that does not fit; the message says which.
    """

    version = 1
    sparse = True

    def __init__(
        self,
        img_size: int | Sequence[int],
        in_channels: int = 1,
        num_classes: int = 1,
        widths: Sequence[int] = (32, 64, 128, 256),
        depths: int | Sequence[int] = 2,
        stem_stride: int = 2,
        norm: str = "instance",
        backend: str = "halo",
    ) -> None:
        super().__init__()
        if norm not in NORMS:
            raise ValueError(f"Unknown norm {norm!r}. Known: {', '.join(NORMS)}.")
        self.img_size: Size = (img_size,) * 3 if isinstance(img_size, int) else tuple(img_size)
        self.channels = tuple(widths)
        steps = (depths,) * len(self.channels) if isinstance(depths, int) else tuple(depths)
        if len(steps) != len(self.channels) or min(steps, default=0) < 1:
            raise ValueError(
                f"depths must be at least 1, one for each of {len(widths)} widths, got {depths}."
            )
        self.strides = tuple((stem_stride * 2**i,) * 3 for i in range(len(self.channels)))
        if any(n % s for n, s in zip(self.img_size, self.strides[-1], strict=True)):
            raise ValueError(
                f"img_size {self.img_size} must be a multiple of the coarsest map's stride, "
                f"{self.strides[-1][0]}; use fewer widths or another crop."
            )
        self.encoder = ResidualEncoder(in_channels, self.channels, steps, stem_stride, norm, backend)
        self.decoder = UNetDecoder(self.channels, stem_stride, norm)
        self.head = nn.Conv3d(self.channels[0], num_classes, 1)
        self.apply(_init)


def _init(module: nn.Module) -> None:
    if isinstance(module, nn.Conv3d | nn.ConvTranspose3d):
        nn.init.kaiming_normal_(module.weight, a=SLOPE)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
