"""Masked autoencoder with a vision transformer that sees visible patches only (He et al. 2022, in 3-D).

Layout and defaults follow MONAI's ``MaskedAutoEncoderViT``, the baseline of the BertsWin paper, so that the
two compute the same function from the same weights; the mask comes in as an argument.
"""

import torch
from torch import Tensor, nn

from studykit.layers.linear import Linear
from studykit.layers.patches import patchify, split_mask, take_tokens
from studykit.layers.positions import sincos_positions
from studykit.layers.transformer import TransformerBlock


class MaskedAutoencoderViT(nn.Module):
    """ViT encoder on visible patches, light transformer decoder on the full grid.

    Args:
        img_size: voxels an axis of the cubic input, a multiple of ``patch_size``.
        patch_size: voxels an axis of a patch.
        in_channels: channels of the volume.
        embed_dim, depth, num_heads, mlp_dim: encoder width (multiple of 6), blocks, heads, MLP width.
        decoder_dim, decoder_depth, decoder_num_heads, decoder_mlp_dim: the same of the decoder.
    """

    version = 1

    def __init__(
        self,
        img_size: int = 224,
        patch_size: int = 16,
        in_channels: int = 1,
        embed_dim: int = 768,
        depth: int = 12,
        num_heads: int = 12,
        mlp_dim: int = 3072,
        decoder_dim: int = 384,
        decoder_depth: int = 4,
        decoder_num_heads: int = 12,
        decoder_mlp_dim: int = 512,
    ) -> None:
        super().__init__()
        if img_size % patch_size:
            raise ValueError(f"img_size ({img_size}) must be a multiple of patch_size ({patch_size}).")
        self.patch_size = patch_size
        self.grid = (img_size // patch_size,) * 3
        self.embed_dim = embed_dim
        voxels = in_channels * patch_size**3
        self.patch_embedding = Linear(voxels, embed_dim)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, embed_dim))
        self.blocks = nn.Sequential(*(TransformerBlock(embed_dim, num_heads, mlp_dim) for _ in range(depth)))
        self.norm = nn.LayerNorm(embed_dim)
        self.decoder_embedding = Linear(embed_dim, decoder_dim)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, decoder_dim))
        self.decoder_blocks = nn.Sequential(
            *(TransformerBlock(decoder_dim, decoder_num_heads, decoder_mlp_dim) for _ in range(decoder_depth))
        )
        self.decoder_norm = nn.LayerNorm(decoder_dim)
        self.head = Linear(decoder_dim, voxels)
        self.register_buffer("positions", sincos_positions(self.grid, embed_dim), persistent=False)
        self.register_buffer("decoder_positions", sincos_positions(self.grid, decoder_dim), persistent=False)
        self.apply(_init)
        for token in (self.cls_token, self.mask_token):
            nn.init.trunc_normal_(token, std=0.02)

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
        tokens = self._encode(take_tokens(patches, visible), self.positions[visible])
        tokens = self.decoder_embedding(tokens)
        batch, total = patches.shape[:2]
        index = visible.unsqueeze(-1).expand(-1, -1, tokens.shape[-1])
        full = self.mask_token.to(tokens.dtype).expand(batch, total, -1).scatter(1, index, tokens[:, 1:])
        full = torch.cat([tokens[:, :1], full + self.decoder_positions], dim=1)
        prediction = self.head(self.decoder_norm(self.decoder_blocks(full))[:, 1:])
        return prediction.view(patches.shape)

    def encode(self, volume: Tensor) -> Tensor:
        """Patch tokens of the whole, unmasked volume: (B, C, D, H, W) to (B, T, embed_dim)."""
        return self._encode(patchify(volume, self.patch_size), self.positions)[:, 1:]

    def _encode(self, patches: Tensor, positions: Tensor) -> Tensor:
        tokens = self.patch_embedding(patches.flatten(2)) + positions
        cls = self.cls_token.to(tokens.dtype).expand(tokens.shape[0], -1, -1)
        return self.norm(self.blocks(torch.cat([cls, tokens], dim=1)))


def _init(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
