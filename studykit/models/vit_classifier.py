"""The vision transformer of :mod:`studykit.models.vit` with a linear classifier on its tokens.

Its encoder has the names and shapes of the pre-trained one, so that weights go from any method to it.
"""

from torch import Tensor

from studykit.layers.linear import Linear
from studykit.models.vit import VisionTransformer, init_linear

POOLS = ("cls", "mean")


class VitClassifier(VisionTransformer):
    """Class scores of a whole crop.

    Args:
        num_classes: channels of the output, two or more.
        pool: what the classifier reads, the class token (``cls``) or the mean of the patch tokens (``mean``).
        img_size, patch_size, in_channels, embed_dim, depth, num_heads, mlp_ratio: see
            :class:`~studykit.models.vit.VisionTransformer`.

    Raises:
        ValueError: an unknown pool, fewer than two classes, or sizes that do not fit.
    """

    version = 1

    def __init__(
        self,
        num_classes: int = 2,
        pool: str = "cls",
        img_size: int = 64,
        patch_size: int = 8,
        in_channels: int = 1,
        embed_dim: int = 384,
        depth: int = 12,
        num_heads: int = 6,
        mlp_ratio: float = 4.0,
    ) -> None:
        super().__init__(img_size, patch_size, in_channels, embed_dim, depth, num_heads, mlp_ratio)
        if pool not in POOLS:
            raise ValueError(f"Unknown pool {pool!r}. Known: {', '.join(POOLS)}.")
        if num_classes < 2:
            raise ValueError(f"num_classes must be two or more, got {num_classes}")
        self.pool = pool
        self.head = Linear(embed_dim, num_classes)
        init_linear(self.head)

    def forward(self, volume: Tensor) -> Tensor:
        """(B, C, D, H, W) to logits (B, num_classes)."""
        cls, tokens = self.encoder(volume)
        return self.head(cls if self.pool == "cls" else tokens.mean(dim=1))
