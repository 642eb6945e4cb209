"""Forward and training operations of BertsWin and of the MAE-ViT in closed form, part by part.

Derived by hand from the layers: a linear layer a→b costs 2·a·b a token, attention of N tokens over N keys
4·N²·C. Element-wise work does not count, as in :mod:`studykit.metrics.compute`, whose counts these equal to
the last operation. Volumes are cubes of one channel.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from studykit.masking import num_masked

PARTS = ("embedding", "projections", "attention", "MLP", "decoder attention", "decoder")
"""``projections`` are qkv and output of the encoder's attention, ``attention`` its two products; ``decoder``
is all of the decoder but the products of its attention."""

PADDING = ("none", "attention", "block")


@dataclass(frozen=True)
class Operations:
    """Operations (2·MAC) of one volume.

    Attributes:
        parts: forward operations by part, keyed by :data:`PARTS`.
        first_layer: forward operations of the layer that reads the volume.
    """

    parts: dict[str, int]
    first_layer: int

    @property
    def forward(self) -> int:
        return sum(self.parts.values())

    @property
    def training(self) -> int:
        """Forward and backward. Each product has two gradients, but none is wanted for the volume."""
        return 3 * self.forward - self.first_layer


def mae_operations(
    grid: int,
    patch_size: int,
    *,
    monai: bool = False,
    embed_dim: int = 768,
    depth: int = 12,
    mlp_dim: int = 3072,
    decoder_dim: int = 384,
    decoder_depth: int = 4,
    decoder_mlp_dim: int = 512,
) -> Operations:
    """A masked autoencoder with global attention on visible patches, and on all patches in its decoder.

    Args:
        grid: patches an axis.
        patch_size: voxels an axis of a patch.
        monai: count MONAI's release, which embeds hidden patches before it drops them, predicts voxels for
            the class token too, and rounds the visible quarter down; otherwise ours, which does neither and
            rounds as :mod:`studykit.masking` does.
        embed_dim, depth, mlp_dim: of the encoder.
        decoder_dim, decoder_depth, decoder_mlp_dim: of the decoder.
    """
    tokens, voxels = grid**3, patch_size**3
    seen = tokens // 4 if monai else _visible(grid)
    embedding = 2 * (tokens if monai else seen) * voxels * embed_dim
    projections, attention, mlp = _block(seen + 1, embed_dim, mlp_dim)
    inner_projections, inner_attention, inner_mlp = _block(tokens + 1, decoder_dim, decoder_mlp_dim)
    bridge = 2 * (seen + 1) * embed_dim * decoder_dim
    head = 2 * (tokens + monai) * decoder_dim * voxels
    parts = {
        "embedding": embedding,
        "projections": depth * projections,
        "attention": depth * attention,
        "MLP": depth * mlp,
        "decoder attention": decoder_depth * inner_attention,
        "decoder": bridge + decoder_depth * (inner_projections + inner_mlp) + head,
    }
    return Operations(parts, embedding)


def bertswin_operations(
    grid: int,
    patch_size: int,
    *,
    padding: str = "attention",
    window_size: int = 7,
    embed_dim: int = 768,
    depth: int = 12,
    decoder_widths: tuple[int, int, int] | None = None,
) -> Operations:
    """BertsWin: a convolutional stem on visible patches, windowed blocks on the whole grid, a light decoder.

    Args:
        grid: patches an axis; a grid smaller than the window is one window.
        patch_size: voxels an axis of a patch, a power of two.
        padding: what is computed for the slots that pad the grid to whole windows: ``none`` (as if the cost
            followed the tokens), ``attention`` (qkv and the products: our model), or ``block`` (the output
            projection too: torchvision's blocks, which the released code uses).
        window_size: tokens an axis of a window.
        embed_dim, depth: of the encoder, whose MLP is four times as wide.
        decoder_widths: channels between the decoder's layers, by default (2/3·embed_dim, 64, 16).

    Raises:
        ValueError: unknown padding; the message lists the known ones.
    """
    if padding not in PADDING:
        raise ValueError(f"Unknown padding {padding!r}. Known: {', '.join(PADDING)}.")
    tokens, seen = grid**3, _visible(grid)
    size = min(grid, window_size)
    slots = tokens if padding == "none" else (-(-grid // size) * size) ** 3
    projected = slots if padding == "block" else tokens
    stages = patch_size.bit_length() - 1
    first = embed_dim // 2 ** min(stages, 4)
    widths = [first * 2**stage for stage in range(stages)]
    stem = [
        2 * 27 * before * width * (patch_size >> stage + 1) ** 3
        for stage, (before, width) in enumerate(zip((1, *widths), widths, strict=False))
    ]
    parts = {
        "embedding": seen * (sum(stem) + 2 * widths[-1] * embed_dim),
        "projections": depth * 2 * (3 * slots + projected) * embed_dim**2,
        "attention": depth * 4 * slots * size**3 * embed_dim,
        "MLP": depth * 2 * tokens * 8 * embed_dim**2,
        "decoder attention": 0,
        "decoder": tokens * _upsampling(embed_dim, patch_size, decoder_widths),
    }
    return Operations(parts, seen * stem[0])


def counted_parts(by_module: Mapping[str, int]) -> dict[str, int]:
    """Forward operations by part, from a count by module of either model or of MONAI's autoencoder.

    Args:
        by_module: from :func:`studykit.metrics.compute.count_flops`.
    """

    def total(pattern: str) -> int:
        return sum(n for name, n in by_module.items() if re.fullmatch(pattern, name))

    linear = r"\.\d+\.attn\.(qkv|proj|out_proj)"
    parts = {
        "embedding": total("stem|patch_embedding"),
        "projections": total("blocks" + linear),
        "attention": total(r"blocks\.\d+\.attn") - total("blocks" + linear),
        "MLP": total(r"blocks\.\d+\.mlp"),
        "decoder attention": total(r"decoder_blocks\.\d+\.attn") - total("decoder_blocks" + linear),
    }
    return parts | {"decoder": total(r"[^.]+") - sum(parts.values())}


def _visible(grid: int) -> int:
    return grid**3 - num_masked((grid,) * 3, 0.75)


def _block(tokens: int, dim: int, mlp_dim: int) -> tuple[int, int, int]:
    """Projections, attention products and MLP of one transformer block with global attention."""
    return 8 * tokens * dim**2, 4 * tokens**2 * dim, 4 * tokens * dim * mlp_dim


def _upsampling(embed_dim: int, patch_size: int, widths: tuple[int, int, int] | None) -> int:
    """A linear layer, then transposed convolutions whose kernel is their stride, for one token."""
    widths = widths or (embed_dim * 2 // 3, 64, 16)
    last = 4 if patch_size >= 32 else 2, 4 if patch_size >= 64 else 2
    strides = (patch_size // (last[0] * last[1]), *last)
    total, voxels = embed_dim * widths[0], 1
    for before, after, stride in zip(widths, (*widths[1:], 1), strides, strict=True):
        voxels *= stride**3
        total += before * after * voxels
    return 2 * total
