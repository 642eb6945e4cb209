"""A small Swin transformer in 3-D (Liu et al. 2021) with a linear classifier on the mean of its tokens.

The rival of a vision transformer that starts from nothing: windows, and tokens merged between the stages.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from studykit.layers.linear import Linear
from studykit.layers.patch_merging import PatchMerging
from studykit.layers.patches import patchify
from studykit.layers.window_attention import SwinBlock
from studykit.layers.windows import Windows
from studykit.models.vit import init_linear


class SwinClassifier(nn.Module):
    """Class scores of a whole crop.

    Args:
        num_classes: channels of the output, two or more.
        img_size: voxels an axis of the cubic input, a multiple of ``patch_size``.
        patch_size: voxels an axis of a patch.
        in_channels: channels of the volume.
        embed_dim: channels of the first stage; each later one has twice as many.
        depths, num_heads: blocks and attention heads of each stage; every second block is shifted by half a
            window.
        window_size: largest tokens an axis of a window.
        mlp_ratio: hidden width of a block's MLP over its channels.

    Raises:
        ValueError: fewer than two classes, or sizes that do not fit; the message says which.

    Attributes:
        embed_dim: channels of the tokens that the classifier reads.
    """

    version = 1

    def __init__(
        self,
        num_classes: int = 2,
        img_size: int = 64,
        patch_size: int = 4,
        in_channels: int = 1,
        embed_dim: int = 48,
        depths: Sequence[int] = (2, 2, 2),
        num_heads: Sequence[int] = (3, 6, 12),
        window_size: int = 4,
        mlp_ratio: float = 4.0,
    ) -> None:
        super().__init__()
        if num_classes < 2:
            raise ValueError(f"num_classes must be two or more, got {num_classes}")
        if img_size % patch_size:
            raise ValueError(f"img_size ({img_size}) must be a multiple of patch_size ({patch_size}).")
        if len(depths) != len(num_heads) or not depths:
            raise ValueError(
                f"depths and num_heads need an entry each a stage, got {tuple(depths)} and {tuple(num_heads)}"
            )
        self.embed_dim = embed_dim * 2 ** (len(depths) - 1)
        self.encoder = Encoder(
            img_size // patch_size,
            patch_size,
            in_channels,
            embed_dim,
            depths,
            num_heads,
            window_size,
            mlp_ratio,
        )
        self.head = Linear(self.embed_dim, num_classes)
        init_linear(self.head)

    def encode(self, volume: Tensor) -> Tensor:
        """Tokens of the last stage: (B, C, D, H, W) to (B, T, embed_dim)."""
        return self.encoder(volume)

    def forward(self, volume: Tensor) -> Tensor:
        """(B, C, D, H, W) to logits (B, num_classes)."""
        return self.head(self.encode(volume).mean(dim=1))


class Encoder(nn.Module):
    """Patches embedded linearly and normed, stages of window attention with mergings between, a norm.

    Args:
        side: patches an axis of the crop.
        patch_size, in_channels, embed_dim, depths, num_heads, window_size, mlp_ratio: see
            :class:`SwinClassifier`.
    """

    def __init__(
        self,
        side: int,
        patch_size: int,
        in_channels: int,
        embed_dim: int,
        depths: Sequence[int],
        num_heads: Sequence[int],
        window_size: int,
        mlp_ratio: float,
    ) -> None:
        super().__init__()
        self.patch_size, self.grid = patch_size, (side,) * 3
        self.patch_embedding = Linear(in_channels * patch_size**3, embed_dim)
        self.embedding_norm = nn.LayerNorm(embed_dim)
        self.stages, self.mergings = nn.ModuleList(), nn.ModuleList()
        for stage, (depth, heads) in enumerate(zip(depths, num_heads, strict=True)):
            width = embed_dim * 2**stage
            if stage:
                self.mergings.append(PatchMerging(width // 2))
                side = -(-side // 2)
            grid, window = (side,) * 3, (window_size,) * 3
            pair = Windows(grid, window), Windows(grid, window, shift=(window_size // 2,) * 3)
            blocks = (SwinBlock(width, heads, pair[block % 2], mlp_ratio) for block in range(depth))
            self.stages.append(nn.Sequential(*blocks))
        self.norm = nn.LayerNorm(width)
        self.apply(init_linear)

    def forward(self, volume: Tensor) -> Tensor:
        """(B, C, D, H, W) of the size that it was built for to (B, T, C of the last stage)."""
        patches = patchify(volume, self.patch_size).flatten(2)
        x = self.embedding_norm(self.patch_embedding(patches)).unflatten(1, self.grid)
        for index, stage in enumerate(self.stages):
            x = stage(self.mergings[index - 1](x) if index else x)
        return self.norm(x).flatten(1, 3)
