"""Masked autoencoder (He et al. 2022, in 3-D) around the encoder of :mod:`studykit.models.vit`.

It computes what :mod:`studykit.models.mae_vit` computes, which keeps the layout of MONAI's; here the encoder
is a part of its own, under the names that all methods on this transformer share.
"""

import torch
from torch import Tensor, nn

from studykit.layers.linear import Linear
from studykit.layers.patches import split_mask
from studykit.layers.positions import sincos_positions
from studykit.layers.transformer import TransformerBlock
from studykit.models.vit import VisionTransformer, init_linear


class VitAutoencoder(VisionTransformer):
    """The encoder reads visible patches alone, a light decoder the full grid.

    Args:
        img_size, patch_size, in_channels, embed_dim, depth, num_heads, mlp_ratio: see
            :class:`~studykit.models.vit.VisionTransformer`.
        decoder_dim, decoder_depth, decoder_num_heads: width (a multiple of 6), blocks and heads of the
            decoder; its MLPs have ``mlp_ratio``, too.

    Raises:
        ValueError: sizes that do not fit; the message says which.
    """

    version = 1

    def __init__(
        self,
        img_size: int = 64,
        patch_size: int = 8,
        in_channels: int = 1,
        embed_dim: int = 384,
        depth: int = 12,
        num_heads: int = 6,
        mlp_ratio: float = 4.0,
        decoder_dim: int = 192,
        decoder_depth: int = 2,
        decoder_num_heads: int = 6,
    ) -> None:
        super().__init__(img_size, patch_size, in_channels, embed_dim, depth, num_heads, mlp_ratio)
        hidden = int(mlp_ratio * decoder_dim)
        blocks = [TransformerBlock(decoder_dim, decoder_num_heads, hidden) for _ in range(decoder_depth)]
        self.decoder = Decoder(self.grid, embed_dim, decoder_dim, blocks, in_channels * patch_size**3)

    def forward(self, volume: Tensor, mask: Tensor, num_visible: int | None = None) -> Tensor:
        """Predict every patch from the visible ones.

        Args:
            volume: (B, C, D, H, W) of ``img_size``.
            mask: bool (B, d, h, w), ``True`` = hidden, the same number in each sample.
            num_visible: visible patches a sample, if known (spares a device synchronisation).

        Returns:
            (B, T, C, p, p, p) predicted patches in raster order.
        """
        visible, _ = split_mask(mask, num_visible)
        cls, tokens = self.encoder(volume, visible)
        return self.decoder(cls, tokens, visible).unflatten(2, (volume.shape[1], *(self.patch_size,) * 3))


class Decoder(nn.Module):
    """Mask tokens where nothing was seen, transformer blocks over the full grid, voxels.

    Args:
        grid: patches along D, H, W.
        embed_dim, dim: channels of the encoder's tokens, and of the decoder's.
        blocks: transformer blocks of ``dim`` channels.
        voxels: numbers of a patch.
    """

    def __init__(
        self, grid: tuple[int, int, int], embed_dim: int, dim: int, blocks: list[nn.Module], voxels: int
    ) -> None:
        super().__init__()
        self.embedding = Linear(embed_dim, dim)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.LayerNorm(dim)
        self.head = Linear(dim, voxels)
        self.register_buffer("positions", sincos_positions(grid, dim), persistent=False)
        self.apply(init_linear)
        nn.init.trunc_normal_(self.mask_token, std=0.02)

    def forward(self, cls: Tensor, tokens: Tensor, visible: Tensor) -> Tensor:
        """Class token (B, E) and tokens (B, K, E) of the places ``visible``, (B, K), to (B, T, voxels)."""
        cls, tokens = self.embedding(torch.cat([cls[:, None], tokens], dim=1)).split([1, visible.shape[1]], 1)
        index = visible.unsqueeze(-1).expand_as(tokens)
        full = self.mask_token.to(tokens.dtype).expand(len(tokens), len(self.positions), -1)
        full = full.scatter(1, index, tokens) + self.positions
        return self.head(self.norm(self.blocks(torch.cat([cls, full], dim=1)))[:, 1:])
