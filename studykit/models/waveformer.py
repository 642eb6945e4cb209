"""WaveFormer, the published encoder-decoder (Al Hasan et al. 2025, arXiv 2503.23764, and its released code).

Four stages on maps of stride 2 to 16, their smooth bands 3, 2, 1 and 0 Haar levels further down, so that the
deepest one is the same size everywhere. The decoder turns the deepest map into three branches: each takes it
as the smooth band of an inverse transform with the details of one finer stage; the branches are brought to
one size, joined, and upsampled to the voxels.

Four errors of the released code are not repeated: windows that were never put back in their places, patch
merging that took two octants twice and two never, a relative-position index that mixed up offsets, and a
squeeze over the map that instance norm had just given the mean 0. Two things differ by design: smooth bands
are divided by their gain before attention, and the decoder takes the details from each stage's map, so that
it depends on the maps alone, where the released one takes them from the normalised input of the stage's last
block. None of these changes the number of parameters.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from studykit.layers.linear import Linear
from studykit.layers.multiscale_wave import NORM_EPSILON, MultiScaleWaveBlock, cut_windows
from studykit.layers.packed_patches import PackedPatches, flags
from studykit.layers.visibility import hide, instance_norm
from studykit.layers.wavelets import Coefficients, dwt3d, idwt3d
from studykit.models.encoder_decoder import EncoderDecoder


class WaveFormer(EncoderDecoder):
    """Wavelet transformer encoder, inverse-wavelet decoder, 1×1×1 head.

    Its maps, fine to coarse, are that of a residual block at full resolution and those of the stages. Masked
    patches lie on the grid of the coarsest.

    Args:
        img_size: voxels an axis of the input, one number or (D, H, W), multiples of 2^stages.
        in_channels, num_classes: channels of the input and of the output; four each on BraTS 2023.
        widths: channels of the stages, multiples of ``head_dim``; two stages or more.
        depth: blocks a stage.
        head_dim: channels of an attention head.
        mlp_ratio: hidden width of the feed-forward over the stage's.
        drop_path: rate of the last block; it grows linearly from 0.

    Raises:
        ValueError: fewer than two stages, or sizes that do not fit.
    """

    version = 2  # 1 added 1e-5 to the variance in every norm
    sparse = True

    def __init__(
        self,
        img_size: int | Sequence[int] = 128,
        in_channels: int = 1,
        num_classes: int = 1,
        widths: Sequence[int] = (48, 96, 192, 384),
        depth: int = 2,
        head_dim: int = 16,
        mlp_ratio: float = 4.0,
        drop_path: float = 0.1,
    ) -> None:
        super().__init__()
        size = (img_size,) * 3 if isinstance(img_size, int) else tuple(img_size)
        stride = 2 ** len(widths)
        if len(widths) < 2 or any(width % head_dim for width in widths):
            raise ValueError(f"widths must be two or more multiples of {head_dim}, got {tuple(widths)}.")
        if len(size) != 3 or any(n % stride for n in size) or max(size) <= stride:
            raise ValueError(
                f"img_size must be multiples of {stride} for {len(widths)} stages, and one of them larger "
                f"than that, got {img_size}. Use another crop or fewer widths."
            )
        self.channels = (widths[0], *widths)
        self.strides = tuple((2**level,) * 3 for level in range(len(widths) + 1))
        window = tuple(n // stride for n in size)
        self.encoder = Encoder(window, in_channels, widths, depth, head_dim, mlp_ratio, drop_path)
        self.decoder = Decoder(widths)
        self.head = nn.Conv3d(widths[0], num_classes, 1)


class Encoder(nn.Module):
    """A residual block at full resolution, and stages of wavelet attention from stride 2 on.

    Args:
        window: (d, h, w) of the coarsest map, and of the deepest smooth band of every stage.
        in_channels, widths, depth, head_dim, mlp_ratio, drop_path: see :class:`WaveFormer`.
    """

    def __init__(
        self,
        window: Sequence[int],
        in_channels: int,
        widths: Sequence[int],
        depth: int,
        head_dim: int,
        mlp_ratio: float,
        drop_path: float,
    ) -> None:
        super().__init__()
        self.full = ResidualBlock(in_channels, widths[0])
        self.embedding = nn.Conv3d(in_channels, widths[0], kernel_size=2, stride=2)
        self.mergings = nn.ModuleList(PatchMerging(a, b) for a, b in pairwise(widths))
        last = depth * len(widths) - 1
        self.stages = nn.ModuleList(
            nn.ModuleList(
                MultiScaleWaveBlock(
                    width,
                    width // head_dim,
                    window,
                    level=len(widths) - 1 - stage,
                    mlp_ratio=mlp_ratio,
                    drop_path=drop_path * (depth * stage + block) / last,
                )
                for block in range(depth)
            )
            for stage, width in enumerate(widths)
        )
        for part in (self.embedding, self.mergings, self.stages):
            part.apply(_init)

    def forward(self, x: Tensor, visible: Tensor | PackedPatches | None = None) -> list[Tensor]:
        """Maps of a volume, or of its visible patches alone.

        Args:
            x: (B, in_channels, D, H, W).
            visible: bool (B, d, h, w) on the grid of the coarsest map, ``True`` = visible, or its packing;
                None if nothing is hidden. What hidden patches hold is not looked at, and maps are 0 there.

        Returns:
            maps (B, C_i, d_i, h_i, w_i), fine to coarse; those of the stages are normalised place by place.
        """
        visible = flags(visible)
        x = hide(x, visible)
        maps = [self.full(x, visible)]
        x = self.embedding(x)
        for stage, blocks in enumerate(self.stages):
            if stage:
                x = self.mergings[stage - 1](x)
            for block in blocks:
                x = block(x, visible)
            places = x.movedim(1, -1)
            maps.append(hide(F.layer_norm(places, places.shape[-1:]).movedim(-1, 1), visible))
        return maps


class PatchMerging(nn.Module):
    """Each 2³ places to one: their channels side by side, layer norm, linear layer without bias."""

    def __init__(self, dim: int, out_dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(8 * dim, eps=NORM_EPSILON)
        self.reduction = Linear(8 * dim, out_dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, D, H, W) to (B, out_dim, D / 2, H / 2, W / 2)."""
        half = [n // 2 for n in x.shape[2:]]
        places = self.reduction(self.norm(cut_windows(x, (2, 2, 2)).flatten(2)))
        return places.transpose(1, 2).unflatten(2, half)


class ResidualBlock(nn.Module):
    """Two 3³ convolutions, instance norm, leaky ReLU, and a residual, projected where widths differ."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(in_channels, channels, 3, padding=1, bias=False)
        self.conv2 = nn.Conv3d(channels, channels, 3, padding=1, bias=False)
        differ = in_channels != channels
        self.shortcut = nn.Conv3d(in_channels, channels, 1, bias=False) if differ else None

    def forward(self, x: Tensor, visible: Tensor | None = None) -> Tensor:
        """(B, in_channels, D, H, W), 0 at hidden places, to (B, channels, D, H, W), likewise."""
        out = F.leaky_relu(instance_norm(self.conv1(x), visible))
        out = instance_norm(self.conv2(out), visible)
        if self.shortcut is not None:
            x = instance_norm(self.shortcut(x), visible)
        return F.leaky_relu(out + x)


class Decoder(nn.Module):
    """The encoder's maps to one map (B, widths[0], D, H, W) at full resolution."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        *finer, deepest = widths
        self.bottleneck = Calibration(deepest)
        self.skips = nn.ModuleList(ResidualBlock(width, width) for width in finer)
        self.branches = nn.ModuleList(InverseBranch(deepest, width) for width in finer)
        self.upsamplings = nn.ModuleList(
            Upsampling(width, widths[0], 2**stage) for stage, width in enumerate(finer) if stage
        )
        self.expansion = nn.ConvTranspose3d(len(finer) * widths[0], widths[0], 2, 2, bias=False)
        self.fusion = ResidualBlock(2 * widths[0], widths[0])

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps as :class:`Encoder` gives them, fine to coarse, to (B, widths[0], D, H, W)."""
        full, *finer, deepest = maps
        deepest = self.bottleneck(deepest)
        branches = []
        for stage, (skip, branch, x) in enumerate(zip(self.skips, self.branches, finer, strict=True)):
            details = dwt3d(x, level=len(finer) - stage).high
            branches.append(branch(deepest, details, skip(x)))
        first, *others = branches
        joined = [first, *(up(x) for up, x in zip(self.upsamplings, others, strict=True))]
        return self.fusion(torch.cat([self.expansion(torch.cat(joined, 1)), full], 1))


class Calibration(nn.Module):
    """Bottleneck of convolutions whose channels are weighed by squeeze and excitation, with a residual."""

    def __init__(self, dim: int, reduction: int = 4) -> None:
        super().__init__()
        hidden = dim // reduction
        self.reduce = nn.Conv3d(dim, hidden, 1)
        self.conv = nn.Conv3d(hidden, hidden, 3, padding=1)
        self.expand = nn.Conv3d(hidden, dim, 1)
        self.squeeze, self.excite = Linear(dim, hidden), Linear(hidden, dim)
        self.residual = nn.Conv3d(dim, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, d, h, w) to the same."""
        out = F.relu(instance_norm(self.reduce(x)))
        out = F.relu(instance_norm(self.conv(out)))
        out = self.expand(out)
        weights = self.excite(F.relu(self.squeeze(out.mean((2, 3, 4))))).sigmoid()
        return F.relu(instance_norm(out) * weights[:, :, None, None, None] + self.residual(x))


class InverseBranch(nn.Module):
    """The deepest map as smooth band below a finer stage's details, transformed back; then the skip."""

    def __init__(self, deepest: int, width: int) -> None:
        super().__init__()
        self.smooth = nn.Conv3d(deepest, width, 3, padding=1, bias=False)
        self.fusion = ResidualBlock(2 * width, width)

    def forward(self, deepest: Tensor, details: tuple[Tensor, ...], skip: Tensor) -> Tensor:
        """(B, deepest, d, h, w), details of each level and skip (B, C, D, H, W) to (B, C, D, H, W)."""
        inverse = idwt3d(Coefficients(self.smooth(deepest), details), skip.shape[2:])
        return self.fusion(torch.cat([inverse, skip], 1))


class Upsampling(nn.Module):
    """Trilinear upsampling, refined by a depthwise convolution and 1×1×1 ones, plus a linear shortcut.

    Beyond a factor of 2 the last 1×1×1 convolution becomes two.
    """

    def __init__(self, dim: int, out_dim: int, factor: int) -> None:
        super().__init__()
        self.factor = factor
        self.depthwise = nn.Conv3d(dim, dim, 3, padding=1, groups=dim)
        self.norm = nn.GroupNorm(dim, dim)
        last = [nn.Conv3d(2 * dim, out_dim, 1)]
        if factor > 2:
            last = [nn.Conv3d(2 * dim, dim, 1), nn.GELU(), nn.Conv3d(dim, out_dim, 1)]
        self.refine = nn.Sequential(nn.Conv3d(dim, 2 * dim, 1), nn.GELU(), *last)
        self.shortcut = nn.Conv3d(dim, out_dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, dim, d, h, w) to (B, out_dim, d·factor, h·factor, w·factor)."""
        x = F.interpolate(x, scale_factor=self.factor, mode="trilinear", align_corners=True)
        return self.refine(self.norm(self.depthwise(x))) + self.shortcut(x)


def _init(module: nn.Module) -> None:
    """Of the released encoder: linear layers narrow, convolutions by their outputs, biases 0."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
    elif isinstance(module, nn.Conv3d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    else:
        return
    if module.bias is not None:
        nn.init.zeros_(module.bias)
