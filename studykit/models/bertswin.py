"""BertsWin: the full token grid, with mask tokens, through single-scale shifted-window attention.

Source: arXiv 2512.21769 and its released code (sizes, order of layers, initialisation). Sizes are parameters
here; the defaults are the paper's. Two options are ablations: a stem without overlap, and blocks that see
visible tokens only.

Outputs and gradients are the released ones where whole windows fill the grid, as at 224³ with patches of 16.
A grid that is padded (512³: 32 tokens an axis become 35) is another function there: torchvision's blocks let
padding act as keys, ours hide it. Below patches of 16 our stem is wider than the released one, which has 48
channels first whatever the patch.
"""

import math

import torch
from torch import Tensor, nn

from studykit.layers.linear import Linear
from studykit.layers.patches import patchify, split_mask, take_tokens
from studykit.layers.positions import sincos_positions
from studykit.layers.product_conv import PatchwiseConvTranspose3d, SingleVoxelConv3d
from studykit.layers.window_attention import SwinBlock
from studykit.layers.windows import Windows

STEMS = {"overlapping": (3, 1), "strict": (2, 0)}
"""Kernel and padding of the stem's stride-2 convolutions; a kernel of 2 reads each voxel once."""


class PatchStem(nn.Module):
    """Convolutional embedding of isolated patches: stride-2 stages down to one voxel.

    Each stage is conv s2 without bias, GroupNorm(4), GELU; a 1×1 convolution ends it. A patch never sees its
    neighbour, so a hidden patch cannot reach a visible token.

    Args:
        patch_size: a power of two; log2 of it is the number of stages.
        in_channels: channels of the volume.
        embed_dim: width of the token. Channels double from stage to stage: from embed_dim/16 on, as released,
            with patches of 16 and more; up to embed_dim/2 below.
        stem: ``overlapping`` (convolutions k3 p1, as released) or ``strict`` (k2 p0: receptive fields do not
            overlap inside a patch).

    Raises:
        ValueError: unknown stem, or sizes that do not fit.
    """

    def __init__(self, patch_size: int, in_channels: int, embed_dim: int, stem: str = "overlapping") -> None:
        super().__init__()
        if stem not in STEMS:
            raise ValueError(f"Unknown stem {stem!r}. Known: {', '.join(STEMS)}.")
        kernel, padding = STEMS[stem]
        stages = int(math.log2(patch_size))
        if 2**stages != patch_size or stages < 1:
            raise ValueError(f"patch_size must be a power of two, at least 2, got {patch_size}.")
        widths = [(embed_dim << stage) >> min(stages, 4) for stage in range(stages)]
        if any(width % 4 for width in widths):
            raise ValueError(
                f"embed_dim {embed_dim} gives stem widths {widths}; each must be a multiple of 4."
            )
        layers: list[nn.Module] = []
        for before, width in zip([in_channels, *widths], widths, strict=False):
            layers += [
                SingleVoxelConv3d(before, width, kernel, stride=2, padding=padding, bias=False),
                nn.GroupNorm(4, width),
                nn.GELU(),
            ]
        self.layers = nn.Sequential(*layers, SingleVoxelConv3d(widths[-1], embed_dim, 1))

    def forward(self, patches: Tensor) -> Tensor:
        """(B, K, C, p, p, p) to (B, K, embed_dim)."""
        return self.layers(patches.flatten(0, 1)).view(*patches.shape[:2], -1)


def decoder_strides(patch_size: int) -> tuple[int, int, int]:
    """Of the decoder's transposed convolutions: 2 each, doubled from the first on (as released, 8 to 64).

    >>> [decoder_strides(patch_size) for patch_size in (8, 16, 32, 64)]
    [(2, 2, 2), (4, 2, 2), (4, 4, 2), (4, 4, 4)]
    """
    second, third = (4 if patch_size >= least else 2 for least in (32, 64))
    return patch_size // (second * third), second, third


class UpsamplingDecoder(nn.Module):
    """Token grid to voxels: linear, then transposed convolutions whose stride is their kernel.

    Args:
        embed_dim: width of the tokens.
        patch_size: voxels a token and axis: the product of the strides, see :func:`decoder_strides`.
        out_channels: channels of the volume.
        widths: channels after the linear layer and after each transposed convolution but the last.
    """

    def __init__(
        self, embed_dim: int, patch_size: int, out_channels: int, widths: tuple[int, int, int]
    ) -> None:
        super().__init__()
        if patch_size < 4 or patch_size % 4:
            raise ValueError(f"The decoder needs a patch_size that is a multiple of 4, got {patch_size}.")
        first, second, third = widths
        self.embedding = Linear(embed_dim, first)
        strides = decoder_strides(patch_size)
        self.layers = nn.Sequential(
            PatchwiseConvTranspose3d(first, second, strides[0]),
            nn.GroupNorm(8, second),
            nn.GELU(),
            PatchwiseConvTranspose3d(second, third, strides[1]),
            nn.GroupNorm(4, third),
            nn.GELU(),
            PatchwiseConvTranspose3d(third, out_channels, strides[2]),
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, d, h, w, embed_dim) to (B, C, D, H, W)."""
        return self.layers(self.embedding(tokens).permute(0, 4, 1, 2, 3))


class SwinEncoder(nn.Sequential):
    """Swin blocks one after the other, of which the first few may work on visible tokens only.

    Args:
        blocks: on one token grid.
        sparse: how many of them see visible tokens only, where some are hidden.
    """

    def __init__(self, *blocks: SwinBlock, sparse: int = 0) -> None:
        super().__init__(*blocks)
        self.sparse = sparse

    def forward(self, x: Tensor, visible: Tensor | None = None) -> Tensor:
        """Mix tokens; hidden ones pass by the sparse blocks as they are, and join in at the first full one.

        Args:
            x: (B, d, h, w, C).
            visible: int64 (B, K), raster index of the visible tokens, or None if nothing is hidden.

        Returns:
            the shape of ``x``.
        """
        blocks = list(self)
        if visible is not None and self.sparse:
            tokens = x.flatten(1, 3)
            seen = take_tokens(tokens, visible)
            for block in blocks[: self.sparse]:
                seen = block(seen, visible)
            index = visible.unsqueeze(-1).expand_as(seen)
            x = tokens.scatter(1, index, seen).view(x.shape)
            blocks = blocks[self.sparse :]
        for block in blocks:
            x = block(x)
        return x


class BertsWinNet(nn.Module):
    """Stem on visible patches, mask tokens elsewhere, Swin blocks on the full grid, convolutional decoder.

    Args:
        img_size: voxels an axis of the cubic input, a multiple of ``patch_size``.
        patch_size: voxels an axis of a patch, a power of two from 4.
        in_channels: channels of the volume.
        embed_dim, depth, num_heads, mlp_ratio: width (a multiple of 6 and of ``num_heads``), number of
            blocks, heads, hidden width of the MLP over ``embed_dim``.
        window_size: tokens an axis of a window; every second block is shifted by half of it.
        decoder_widths: see :class:`UpsamplingDecoder`; by default (2/3·embed_dim, 64, 16).
        stem: see :class:`PatchStem`.
        sparse_blocks: how many of the first blocks work on visible tokens only, so that mask tokens come in
            after them; below ``depth``, as hidden patches are predicted by the blocks that see them. The
            parameters do not depend on it, nor does :meth:`encode`, where nothing is hidden.

    Raises:
        ValueError: a size or an option that does not fit; the message says which.
    """

    version = 1  # stays: stem and decoder of patches of 32 and more became the released ones before any run

    def __init__(
        self,
        img_size: int = 224,
        patch_size: int = 16,
        in_channels: int = 1,
        embed_dim: int = 768,
        depth: int = 12,
        num_heads: int = 12,
        mlp_ratio: float = 4.0,
        window_size: int = 7,
        decoder_widths: tuple[int, int, int] | None = None,
        stem: str = "overlapping",
        sparse_blocks: int = 0,
    ) -> None:
        super().__init__()
        if img_size % patch_size:
            raise ValueError(f"img_size ({img_size}) must be a multiple of patch_size ({patch_size}).")
        if sparse_blocks and not 0 < sparse_blocks < depth:
            raise ValueError(
                f"sparse_blocks must be at least 0 and below depth ({depth}), got {sparse_blocks}: a hidden "
                "patch is predicted by blocks on the full grid."
            )
        self.patch_size = patch_size
        self.grid = (img_size // patch_size,) * 3
        self.embed_dim = embed_dim
        self.stem = PatchStem(patch_size, in_channels, embed_dim, stem)
        self.mask_token = nn.Parameter(torch.empty(1, 1, embed_dim))
        window = (window_size,) * 3
        plain, shifted = Windows(self.grid, window), Windows(self.grid, window, (window_size // 2,) * 3)
        self.blocks = SwinEncoder(
            *(SwinBlock(embed_dim, num_heads, shifted if i % 2 else plain, mlp_ratio) for i in range(depth)),
            sparse=sparse_blocks,
        )
        widths = tuple(decoder_widths or (embed_dim * 2 // 3, 64, 16))
        self.decoder = UpsamplingDecoder(embed_dim, patch_size, in_channels, widths)
        self.register_buffer("positions", sincos_positions(self.grid, embed_dim), persistent=False)
        self.apply(_init)
        nn.init.normal_(self.mask_token, std=0.02)

    def forward(self, volume: Tensor, mask: Tensor, num_visible: int | None = None) -> Tensor:
        """Predict every patch from the visible ones.

        Args:
            volume: (B, C, D, H, W).
            mask: bool (B, d, h, w), ``True`` = hidden, the same number in each sample.
            num_visible: visible patches a sample, if known (spares a device synchronisation).

        Returns:
            (B, T, C, p, p, p) predicted patches in raster order.
        """
        patches = patchify(volume, self.patch_size)
        visible, _ = split_mask(mask, num_visible)
        tokens = self.stem(take_tokens(patches, visible))
        index = visible.unsqueeze(-1).expand(-1, -1, self.embed_dim)
        full = self.mask_token.to(tokens.dtype).expand(*patches.shape[:2], -1).scatter(1, index, tokens)
        return patchify(self.decoder(self._mix(full, visible)), self.patch_size)

    def encode(self, volume: Tensor) -> Tensor:
        """Tokens of the whole, unmasked volume: (B, C, D, H, W) to (B, T, embed_dim)."""
        return self._mix(self.stem(patchify(volume, self.patch_size))).flatten(1, 3)

    def _mix(self, tokens: Tensor, visible: Tensor | None = None) -> Tensor:
        """(B, T, C) without positions, of which (B, K) are visible or all, to (B, d, h, w, C)."""
        return self.blocks((tokens + self.positions).view(-1, *self.grid, self.embed_dim), visible)


def _init(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
    elif isinstance(module, nn.Conv3d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    else:
        return
    if module.bias is not None:
        nn.init.zeros_(module.bias)
