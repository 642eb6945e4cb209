"""A vision transformer for volumes with a class token (Dosovitskiy et al. 2021, in 3-D).

Positions are fixed sines and cosines, and neighbours lie one apart whatever the size of the crop, so that one
set of weights reads large and small crops of one resolution.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from studykit.layers.linear import Linear
from studykit.layers.patches import patchify, take_tokens
from studykit.layers.positions import sincos_positions
from studykit.layers.transformer import TransformerBlock


class VisionTransformer(nn.Module):
    """An encoder of patches and a class token; no decoder, no head.

    Args:
        img_size: voxels an axis of a cubic crop, a multiple of ``patch_size``; other crops may follow.
        patch_size: voxels an axis of a patch.
        in_channels: channels of the volume.
        embed_dim: width, a multiple of 6 and of ``num_heads``.
        depth, num_heads: blocks, and attention heads of each.
        mlp_ratio: hidden width of a block's MLP over ``embed_dim``.

    Raises:
        ValueError: sizes that do not fit; the message says which.

    Attributes:
        grid: patches of a crop along D, H, W.
        embed_dim: channels of a token.
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
    ) -> None:
        super().__init__()
        if img_size % patch_size:
            raise ValueError(f"img_size ({img_size}) must be a multiple of patch_size ({patch_size}).")
        self.patch_size = patch_size
        self.grid = (img_size // patch_size,) * 3
        self.embed_dim = embed_dim
        self.encoder = Encoder(self.grid, patch_size, in_channels, embed_dim, depth, num_heads, mlp_ratio)

    def encode(self, volume: Tensor) -> Tensor:
        """Patch tokens of the whole volume: (B, C, D, H, W) to (B, T, embed_dim)."""
        return self.encoder(volume)[1]

    def forward(self, volume: Tensor) -> tuple[Tensor, Tensor]:
        """Class token and patch tokens of (B, C, D, H, W): (B, embed_dim) and (B, T, embed_dim)."""
        return self.encoder(volume)

    def read(self, patches: Tensor, grid: tuple[int, int, int]) -> tuple[Tensor, Tensor]:
        """The same of a volume that is cut already: patches (B, T, C·p³) in raster order on a grid."""
        return self.encoder.read(patches, grid)


class Encoder(nn.Module):
    """Patches embedded linearly, a class token before them, transformer blocks, a norm.

    Args:
        grid: patches an axis whose positions are kept at hand.
        patch_size, in_channels, embed_dim, depth, num_heads, mlp_ratio: see :class:`VisionTransformer`.
    """

    def __init__(
        self,
        grid: Sequence[int],
        patch_size: int,
        in_channels: int,
        embed_dim: int,
        depth: int,
        num_heads: int,
        mlp_ratio: float,
    ) -> None:
        super().__init__()
        self.patch_size, self.grid = patch_size, tuple(grid)
        self.patch_embedding = Linear(in_channels * patch_size**3, embed_dim)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, embed_dim))
        hidden = int(mlp_ratio * embed_dim)
        self.blocks = nn.Sequential(*(TransformerBlock(embed_dim, num_heads, hidden) for _ in range(depth)))
        self.norm = nn.LayerNorm(embed_dim)
        self.register_buffer("positions", sincos_positions(self.grid, embed_dim), persistent=False)
        self.apply(init_linear)
        nn.init.trunc_normal_(self.cls_token, std=0.02)

    def forward(self, volume: Tensor, visible: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Class token and patch tokens, behind the norm: (B, embed_dim) and (B, T, embed_dim).

        Args:
            volume: (B, C, D, H, W), sides multiples of a patch.
            visible: int64 (B, K), raster index of the patches that are read; the others do not exist then,
                and T is K.
        """
        return self.read(*self._cut(volume), visible)

    def read(
        self, patches: Tensor, grid: tuple[int, int, int], visible: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """As :meth:`forward`, of patches (B, T, C·p³) in raster order on a grid."""
        tokens = self.norm(self.blocks(self._embedded(patches, grid, visible)))
        return tokens[:, 0], tokens[:, 1:]

    def tokens_after(self, volume: Tensor, blocks: Sequence[int]) -> list[Tensor]:
        """Patch tokens as some of the blocks leave them, and last those behind the norm.

        Args:
            volume: (B, C, D, H, W), sides multiples of a patch.
            blocks: how many blocks have been passed, ascending.

        Returns:
            (B, T, embed_dim) each, one more than ``blocks``.
        """
        tokens, found = self._embedded(*self._cut(volume)), []
        for passed, block in enumerate(self.blocks, start=1):
            tokens = block(tokens)
            found += [tokens[:, 1:]] * list(blocks).count(passed)
        return [*found, self.norm(tokens)[:, 1:]]

    def _cut(self, volume: Tensor) -> tuple[Tensor, tuple[int, int, int]]:
        grid = tuple(n // self.patch_size for n in volume.shape[2:])
        return patchify(volume, self.patch_size).flatten(2), grid

    def _embedded(self, patches: Tensor, grid: tuple[int, int, int], visible: Tensor | None = None) -> Tensor:
        """Tokens before the first block, the class token first."""
        positions = self._positions(grid)
        if visible is not None:
            patches, positions = take_tokens(patches, visible), positions[visible]
        tokens = self.patch_embedding(patches) + positions
        cls = self.cls_token.to(tokens.dtype).expand(len(tokens), -1, -1)
        return torch.cat([cls, tokens], dim=1)

    def _positions(self, grid: tuple[int, int, int]) -> Tensor:
        if grid == self.grid:
            return self.positions
        return sincos_positions(grid, self.positions.shape[1]).to(self.positions.device)


def init_linear(module: nn.Module) -> None:
    """A linear layer as vision transformers start: weights of deviation 0.02, no bias."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
