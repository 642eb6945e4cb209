"""SwinUNETR (Hatamizadeh et al. 2022), with the fusion and attention of arXiv 2503.12853 as switches.

With its switches off it is MONAI's ``SwinUNETR``, block by block, in its first version and its second:
:mod:`studykit.models.monai_swin` takes weights in and out. Each switch starts at the same function, but for
cosine attention, which starts near it.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from studykit.layers.adaptive_attention import ATTENTIONS
from studykit.layers.multiscale_fusion import WEIGHINGS, MultiscaleFusion
from studykit.layers.patch_merging import PatchMerging
from studykit.layers.product_conv import PointwiseConv3d
from studykit.layers.residual_conv import ResidualConvBlock
from studykit.layers.token_convolutions import as_maps, as_tokens
from studykit.layers.window_attention import SwinBlock
from studykit.layers.windows import Size, Windows
from studykit.models.encoder_decoder import EncoderDecoder
from studykit.models.residual_up import Head, Up
from studykit.registry import check_known

PATCH = 2
"""Voxels an axis of a token of the first stage."""


class SwinUnetr(EncoderDecoder):
    """Swin transformer over patches of 2³ voxels, and a convolutional decoder that also looks at the voxels.

    Any crop is taken: MONAI's multiples of 32 as MONAI takes them; what else a grid lacks to be halved is
    padded with zeros on the way down and cut off on the way up.

    Args:
        img_size: voxels an axis of the input, one number or (D, H, W).
        in_channels, num_classes: channels of the input and of the output.
        feature_size: channels of the finest maps; each stage doubles them.
        depths: Swin blocks of each stage, every second one shifted by half a window; MONAI has four stages.
        num_heads: attention heads of each stage; those of stages beyond ``depths`` are not used.
        window_size: tokens an axis of the windows of all stages, one number or three.
        drop_path: rate of the last block; it grows linearly from 0.
        use_v2: whether a residual convolution block stands before each stage.
        normalize: whether the decoder gets maps with a LayerNorm over their channels.
        fusion: ``none``, or how convolutions of several kernels on the input volume are weighed: ``scalars``
            or ``selective``, see :class:`~studykit.layers.multiscale_fusion.MultiscaleFusion`. Their sum
            enters where the volume does, patches and the map of voxels, by projections that start at 0.
        kernels: voxels an axis of those convolutions.
        fusion_channels: their channels.
        attention: one of :data:`~studykit.layers.adaptive_attention.ATTENTIONS`.

    Raises:
        ValueError: an option that does not fit; the message says which.

    Attributes:
        grids: cells an axis of each map, fine to coarse.
        channels, strides: channels of each map, and voxels a cell of it.
    """

    version = 1

    def __init__(
        self,
        img_size: int | Sequence[int] = 96,
        in_channels: int = 1,
        num_classes: int = 1,
        feature_size: int = 24,
        depths: Sequence[int] = (2, 2, 2, 2),
        num_heads: Sequence[int] = (3, 6, 12, 24),
        window_size: int | Sequence[int] = 7,
        drop_path: float = 0.0,
        use_v2: bool = False,
        normalize: bool = True,
        fusion: str = "none",
        kernels: Sequence[int] = (1, 3, 5),
        fusion_channels: int = 8,
        attention: str = "dot",
    ) -> None:
        super().__init__()
        check_known("fusion", fusion, ("none", *WEIGHINGS))
        check_known("attention", attention, ATTENTIONS)
        if not 1 <= len(depths) <= len(num_heads):
            raise ValueError(
                f"num_heads needs an entry for each of {len(depths)} stages, got {tuple(num_heads)}."
            )
        self.img_size = (img_size,) * 3 if isinstance(img_size, int) else tuple(img_size)
        self.window_size = (window_size,) * 3 if isinstance(window_size, int) else tuple(window_size)
        self.depths, self.num_heads = tuple(depths), tuple(num_heads)[: len(depths)]
        self.grids = _grids(self.img_size, len(depths))
        self.channels = (feature_size, *(feature_size * 2**i for i in range(len(depths) + 1)))
        self.strides = tuple((2**i,) * 3 for i in range(len(depths) + 2))

        fused = None
        if fusion != "none":
            fused = Fused(MultiscaleFusion(in_channels, fusion_channels, kernels, fusion), feature_size)
        rates = [drop_path * i / max(sum(depths) - 1, 1) for i in range(sum(depths))]
        stages = []
        for i, (depth, heads) in enumerate(zip(self.depths, self.num_heads, strict=True)):
            whole = Windows(self.grids[i + 1], self.window_size, monai=True)
            half = Windows(
                self.grids[i + 1], self.window_size, tuple(w // 2 for w in self.window_size), monai=True
            )
            dim = self.channels[i + 1]
            blocks = [
                SwinBlock(
                    dim, heads, half if j % 2 else whole,
                    drop_path=rates[sum(depths[:i]) + j], attention=ATTENTIONS[attention],
                )
                for j in range(depth)
            ]  # fmt: skip
            stages.append(Stage(dim, blocks, use_v2))
        self.encoder = Encoder(self.img_size, in_channels, feature_size, stages, normalize, fused)
        self.decoder = Decoder(self.channels)
        self.head = Head(feature_size, num_classes)

    def fusion_weights(self, image: Tensor) -> Tensor:
        """Weights of the branches for images (B, C, D, H, W): (B, branches, channels), 1 in sum.

        Raises:
            ValueError: the model has no fusion.
        """
        if self.encoder.fused is None:
            raise ValueError('This SwinUNETR has no fusion: build it with fusion="scalars" or "selective".')
        return self.encoder.fused.fusion.weights(image)


class Fused(nn.Module):
    """What the fusion of a volume adds to its patches and to the map of its voxels: at first nothing."""

    def __init__(self, fusion: MultiscaleFusion, feature_size: int) -> None:
        super().__init__()
        self.fusion = fusion
        self.to_patches = nn.Conv3d(fusion.shape[1], feature_size, PATCH, PATCH, bias=False)
        self.to_voxels = PointwiseConv3d(fusion.shape[1], feature_size, bias=False)
        nn.init.zeros_(self.to_patches.weight)
        nn.init.zeros_(self.to_voxels.weight)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, D, H, W) to what is added to patches and to voxels."""
        fused = self.fusion(x)
        return self.to_patches(_whole_patches(fused)), self.to_voxels(fused)


class Stage(nn.Module):
    """Swin blocks at one resolution, then patch merging; in the second version a convolution block first."""

    def __init__(self, dim: int, blocks: Sequence[SwinBlock], use_v2: bool) -> None:
        super().__init__()
        self.conv = ResidualConvBlock(dim, dim) if use_v2 else None
        self.blocks = nn.Sequential(*blocks)
        self.merging = PatchMerging(dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, d, h, w, C) to tokens of half the resolution and twice the channels."""
        if self.conv is not None:
            x = as_tokens(self.conv(as_maps(x)))
        return self.merging(self.blocks(x))


class Encoder(nn.Module):
    """An image to a map of its voxels, one of its patches, and one behind each stage, fine to coarse."""

    def __init__(
        self,
        img_size: Size,
        in_channels: int,
        feature_size: int,
        stages: Sequence[Stage],
        normalize: bool,
        fused: Fused | None,
    ) -> None:
        super().__init__()
        self.img_size = img_size
        self.normalize = normalize
        self.fused = fused
        self.voxels = ResidualConvBlock(in_channels, feature_size)
        self.patches = nn.Conv3d(in_channels, feature_size, PATCH, PATCH)
        self.stages = nn.ModuleList(stages)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, C, D, H, W) to maps (B, C_i, d_i, h_i, w_i), fine to coarse.

        Raises:
            ValueError: ``x`` is not of the size that the model was built for.
        """
        if tuple(x.shape[2:]) != self.img_size:
            raise ValueError(
                f"This SwinUNETR was built for crops of {self.img_size} voxels, got {tuple(x.shape[2:])}: "
                "build it with that img_size, or cut the volume."
            )
        voxels, patches = self.voxels(x), self.patches(_whole_patches(x))
        if self.fused is not None:
            to_patches, to_voxels = self.fused(x)
            voxels, patches = voxels + to_voxels, patches + to_patches
        tokens = as_tokens(patches).contiguous()
        maps = [voxels, self._shown(tokens)]
        for stage in self.stages:
            tokens = stage(tokens)
            maps.append(self._shown(tokens))
        return maps

    def _shown(self, tokens: Tensor) -> Tensor:
        return as_maps(F.layer_norm(tokens, tokens.shape[-1:]) if self.normalize else tokens)


class Decoder(nn.Module):
    """The encoder's maps to one map (B, C, D, H, W), by transposed and residual convolutions.

    The coarsest map and all but the finest and the second coarsest first pass a residual block of their own.

    Args:
        channels: of the maps, fine to coarse.
    """

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.own = nn.ModuleList(
            nn.Identity() if i in (0, len(channels) - 2) else ResidualConvBlock(c, c)
            for i, c in enumerate(channels)
        )
        self.ups = nn.ModuleList(Up(coarse, fine) for fine, coarse in pairwise(channels))

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps, fine to coarse, to (B, channels[0], D, H, W)."""
        x = self.own[-1](maps[-1])
        for i in reversed(range(len(self.ups))):
            x = self.ups[i](x, self.own[i](maps[i]))
        return x


def _whole_patches(x: Tensor) -> Tensor:
    """Zero-padded at the ends to whole patches."""
    odd = [n % PATCH for n in x.shape[2:]]
    return F.pad(x, (0, odd[2], 0, odd[1], 0, odd[0])) if any(odd) else x


def _grids(img_size: Size, stages: int) -> tuple[Size, ...]:
    """Cells an axis of each map: each axis halved, rounded up, once for patches and once for each stage."""
    grids = [img_size]
    for _ in range(stages + 1):
        grids.append(tuple(-(-n // 2) for n in grids[-1]))
    if len(img_size) != 3 or min(img_size) < 1 or max(grids[-1]) < 2:
        raise ValueError(
            f"Crops of {img_size} voxels give a coarsest map of {grids[-1]} cells after {stages} stages, and "
            "an instance norm needs more than one. Use a larger crop or fewer depths."
        )
    return tuple(grids)
