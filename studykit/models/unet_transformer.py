"""A 3-D U-Net whose coarsest map passes transformer blocks, so that every place sees every other.

The baseline that arXiv 2503.12853 calls 3-D U-Net + Transformer without a word on it; the way of TransUNet
(Chen et al. 2021), in the depth that the crop allows.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from studykit.layers.transformer import TransformerBlock
from studykit.models.unet import Encoder, UNet


class UNetTransformer(UNet):
    """U-Net with global self-attention at the bottleneck, positions learned.

    Args:
        img_size, in_channels, num_classes, channels: see :class:`~studykit.models.unet.UNet`.
        depth: transformer blocks.
        num_heads: attention heads; the coarsest channels are a multiple of them.
        mlp_ratio: hidden width of their MLPs over the coarsest channels.

    Raises:
        ValueError: fewer than two levels, a size that does not divide, or no such number of heads.
    """

    version = 1

    def __init__(
        self,
        img_size: int | Sequence[int],
        in_channels: int = 1,
        num_classes: int = 1,
        channels: Sequence[int] = (16, 32, 64, 128),
        depth: int = 4,
        num_heads: int = 4,
        mlp_ratio: float = 4.0,
    ) -> None:
        super().__init__(img_size, in_channels, num_classes, channels)
        size = (img_size,) * 3 if isinstance(img_size, int) else tuple(img_size)
        grid = tuple(n // s for n, s in zip(size, self.strides[-1], strict=True))
        self.encoder = TransformerEncoder(in_channels, self.channels, grid, depth, num_heads, mlp_ratio)


class TransformerEncoder(Encoder):
    """The U-Net's encoder, its coarsest map behind transformer blocks."""

    def __init__(
        self,
        in_channels: int,
        channels: Sequence[int],
        grid: tuple[int, ...],
        depth: int,
        num_heads: int,
        mlp_ratio: float,
    ) -> None:
        super().__init__(in_channels, channels)
        dim = channels[-1]
        self.grid = tuple(grid)
        self.positions = nn.Parameter(torch.empty(self.grid[0] * self.grid[1] * self.grid[2], dim))
        nn.init.trunc_normal_(self.positions, std=0.02)
        self.blocks = nn.Sequential(
            *(TransformerBlock(dim, num_heads, int(dim * mlp_ratio)) for _ in range(depth))
        )
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, C, D, H, W) to maps, fine to coarse.

        Raises:
            ValueError: ``x`` is not of the size that the model was built for.
        """
        *maps, coarsest = super().forward(x)
        if tuple(coarsest.shape[2:]) != self.grid:
            raise ValueError(
                f"This network was built for a coarsest map of {self.grid} cells, got "
                f"{tuple(coarsest.shape[2:])}: build it with the crop's img_size, or cut the volume."
            )
        tokens = coarsest.flatten(2).transpose(1, 2) + self.positions
        tokens = self.norm(self.blocks(tokens))
        return [*maps, tokens.transpose(1, 2).unflatten(2, self.grid)]
