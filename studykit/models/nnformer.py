"""nnFormer (arXiv 2109.03201): a U-shaped window transformer whose decoder attends to the skip connections.

Sizes and the order of layers follow the released code. Four things of it are errors and are not repeated:
the index of the position bias mixed up offsets, the BraTS decoder had twice the heads of its encoder, ACDC's
windows attended to padding and across the seam of the shift, and sizes were fixed to one crop. Here any crop
is padded to whole cells and windows. One thing differs by design: windows are clipped to the grid axis by
axis, where the released code shrinks them to a cube of the shortest axis; on cubic grids that is the same.

Weights start as torch's layers do. The published results start from Swin weights trained on photographs.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from studykit.layers.skip_attention import SkipBlock
from studykit.layers.token_convolutions import Downsampling, Size, Stem, Upsampling, as_maps, as_tokens
from studykit.layers.window_attention import SwinBlock
from studykit.layers.windows import Windows
from studykit.models.encoder_decoder import EncoderDecoder

STAGES = 4
BLOCKS = 2
"""Blocks a stage: one of plain windows, one of windows shifted by half of their size."""


class NnFormer(EncoderDecoder):
    """Convolutional stem, four stages of window attention, three of skip attention, a transposed convolution.

    The defaults are the sizes published for BraTS, 37,519,552 parameters (the quoted 37.6 million count the
    decoder's heads twice); those for Synapse and ACDC are in its tests.

    Args:
        img_size: voxels an axis of the input, one number or (D, H, W).
        in_channels, num_classes: channels of the input and of the output.
        embed_dim: channels E of the finest map; each coarser one has twice as many.
        num_heads: attention heads of each stage, in the decoder as in the encoder.
        window_size: tokens an axis of each stage's windows.
        stem_stride: voxels a cell of the finest map, 1, 2 or 4 an axis.
        stage_strides: by how much each stage is coarser than the one before, 1 or 2 an axis.
        drop_path: rate of the last block of the encoder, and of the decoder; it grows linearly from 0.
        deep_supervision: in training, also predict from the second and third map of the decoder.

    Raises:
        ValueError: an option that does not fit; the message says which.

    Attributes:
        grids: cells an axis of each map, fine to coarse.
        channels, strides: channels of each map, and voxels a cell of it.
    """

    version = 1

    def __init__(
        self,
        img_size: int | Sequence[int] = 128,
        in_channels: int = 1,
        num_classes: int = 1,
        embed_dim: int = 96,
        num_heads: Sequence[int] = (3, 6, 12, 24),
        window_size: Sequence[int | Sequence[int]] = (4, 4, 8, 4),
        stem_stride: int | Sequence[int] = 4,
        stage_strides: Sequence[int | Sequence[int]] = (2, 2, 2),
        drop_path: float = 0.2,
        deep_supervision: bool = False,
    ) -> None:
        super().__init__()
        for name, option, count in (
            ("num_heads", num_heads, STAGES),
            ("window_size", window_size, STAGES),
            ("stage_strides", stage_strides, STAGES - 1),
        ):
            if len(option) != count:
                raise ValueError(f"{name} needs {count} entries, one a stage, got {tuple(option)}.")
        self.img_size, stem = _per_axis(img_size), _per_axis(stem_stride)
        steps = [_per_axis(step) for step in stage_strides]
        if not set(stem) <= {1, 2, 4} or any(not set(step) <= {1, 2} for step in steps):
            raise ValueError(
                f"stem_stride must be 1, 2 or 4 an axis and stage_strides 1 or 2, got {stem} and {steps}."
            )
        self.grids = _grids(self.img_size, stem, steps)
        self.channels = tuple(embed_dim * 2**i for i in range(STAGES))
        strides = [stem]
        for step in steps:
            strides.append(tuple(a * b for a, b in zip(strides[-1], step, strict=True)))
        self.strides: tuple[Size, ...] = tuple(strides)

        windows = [
            _plain_and_shifted(grid, _per_axis(w)) for grid, w in zip(self.grids, window_size, strict=True)
        ]
        self.encoder = Encoder(
            self.img_size, Stem(in_channels, embed_dim, stem), windows, self.channels, num_heads, steps,
            drop_path,
        )  # fmt: skip
        self.decoder = Decoder(windows, self.channels, num_heads, steps, drop_path)
        outputs = STAGES - 1 if deep_supervision else 1
        self.head = Head(self.img_size, self.channels[:outputs], self.strides[:outputs], num_classes)

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Class scores of every voxel.

        Args:
            x: (B, in_channels, D, H, W) of ``img_size``.

        Returns:
            (B, num_classes, D, H, W); with deep supervision, in training, a list of three, finest first, each
            coarser one on cells of ``strides[i] / strides[0]`` voxels.
        """
        return self.head(self.decoder(self.encoder(x)))


class Encoder(nn.Module):
    """Stem, then four stages, each with its own output norm; between them GELU, norm, strided convolution."""

    def __init__(
        self,
        img_size: Size,
        stem: Stem,
        windows: Sequence[tuple[Windows, Windows]],
        channels: Sequence[int],
        num_heads: Sequence[int],
        steps: Sequence[Size],
        drop_path: float,
    ) -> None:
        super().__init__()
        self.img_size = img_size
        self.stem = stem
        rates = _rates(drop_path, STAGES)
        self.stages = nn.ModuleList(
            nn.Sequential(
                *(
                    SwinBlock(dim, heads, window, drop_path=rate)
                    for window, rate in zip(pair, rate_pair, strict=True)
                )
            )
            for dim, heads, pair, rate_pair in zip(channels, num_heads, windows, rates, strict=True)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for dim in channels)
        self.downs = nn.ModuleList(
            Downsampling(dim, pair[0].grid, step)
            for dim, pair, step in zip(channels, windows, steps, strict=False)
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, C, D, H, W) to maps (B, C_i, d_i, h_i, w_i), fine to coarse.

        Raises:
            ValueError: ``x`` is not of the size that the model was built for.
        """
        if tuple(x.shape[2:]) != self.img_size:
            raise ValueError(
                f"This nnFormer was built for crops of {self.img_size} voxels, got {tuple(x.shape[2:])}: "
                "build it with that img_size, or cut the volume."
            )
        tokens, maps = self.stem(x), []
        for index, (stage, norm) in enumerate(zip(self.stages, self.norms, strict=True)):
            tokens = stage(self.downs[index - 1](tokens) if index else tokens)
            maps.append(as_maps(norm(tokens)))
        return maps


class Decoder(nn.Module):
    """Three stages from coarse to fine: upsample, attend to the skip map, then to itself, shifted."""

    def __init__(
        self,
        windows: Sequence[tuple[Windows, Windows]],
        channels: Sequence[int],
        num_heads: Sequence[int],
        steps: Sequence[Size],
        drop_path: float,
    ) -> None:
        super().__init__()
        rates = _rates(drop_path, STAGES - 1)
        self.ups, self.skips, self.blocks = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for i in reversed(range(STAGES - 1)):
            (plain, shifted), (first, second) = windows[i], rates[STAGES - 2 - i]
            self.ups.append(Upsampling(channels[i + 1], windows[i + 1][0].grid, plain.grid, steps[i]))
            self.skips.append(SkipBlock(channels[i], num_heads[i], plain, drop_path=first))
            self.blocks.append(SwinBlock(channels[i], num_heads[i], shifted, drop_path=second))

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """The encoder's maps, fine to coarse, to as many decoded ones but the coarsest, finest first."""
        *skips, x = [as_tokens(m) for m in maps]
        decoded = []
        for up, skip, block in zip(self.ups, self.skips, self.blocks, strict=True):
            x = block(skip(up(x), skips.pop()))
            decoded.insert(0, as_maps(x))
        return decoded


class Head(nn.Module):
    """Decoded maps to class scores: a transposed convolution of the stem's stride on each map it looks at.

    Args:
        img_size: voxels an axis of the scores of the finest map.
        channels, strides: of the maps looked at, finest first; more than one is deep supervision.
        num_classes: channels of the scores.
    """

    def __init__(
        self, img_size: Size, channels: Sequence[int], strides: Sequence[Size], num_classes: int
    ) -> None:
        super().__init__()
        stem = strides[0]
        self.sizes = [
            tuple(-(-n * s // c) for n, s, c in zip(img_size, stem, stride, strict=True))
            for stride in strides
        ]
        self.full = nn.ConvTranspose3d(channels[0], num_classes, stem, stem)
        self.coarse = nn.ModuleList(nn.ConvTranspose3d(dim, num_classes, stem, stem) for dim in channels[1:])

    def forward(self, maps: Sequence[Tensor]) -> Tensor | list[Tensor]:
        """Maps, finest first, to scores of the finest, or in training with deep supervision of each."""
        layers = [self.full, *self.coarse] if self.training else [self.full]
        scores = []
        for layer, decoded, (d, h, w) in zip(layers, maps, self.sizes, strict=False):
            scores.append(layer(decoded)[:, :, :d, :h, :w])
        return scores if len(scores) > 1 else scores[0]


def _grids(img_size: Size, stem: Size, steps: Sequence[Size]) -> tuple[Size, ...]:
    """Cells an axis of each map: voxels over the stem's stride, rounded up, then halved, rounded down."""
    grids = [tuple(-(-n // s) for n, s in zip(img_size, stem, strict=True))]
    for step in steps:
        grids.append(tuple(g // s for g, s in zip(grids[-1], step, strict=True)))
    if min(grids[-1]) < 1:
        raise ValueError(
            f"Crops of {img_size} voxels give maps of {grids} cells: too few to be halved. Use a larger "
            "crop, or a smaller stem_stride or stage_strides."
        )
    return tuple(grids)


def _plain_and_shifted(grid: Size, window: Size) -> tuple[Windows, Windows]:
    return Windows(grid, window), Windows(grid, window, tuple(w // 2 for w in window))


def _rates(last: float, stages: int) -> list[list[float]]:
    """Drop-path rates of the blocks of each stage, in equal steps from 0 to ``last``."""
    blocks = stages * BLOCKS
    rates = [last * i / (blocks - 1) for i in range(blocks)]
    return [rates[i : i + BLOCKS] for i in range(0, blocks, BLOCKS)]


def _per_axis(size: int | Sequence[int]) -> Size:
    return (size,) * 3 if isinstance(size, int) else tuple(size)
