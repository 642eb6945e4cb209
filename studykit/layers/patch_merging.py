"""Merging of neighbouring tokens between the stages of a Swin transformer (Liu et al. 2021), in 3-D."""

import torch.nn.functional as F
from torch import Tensor, nn

from studykit.layers.linear import Linear


class PatchMerging(nn.Module):
    """2³ neighbours side by side, LayerNorm, projection from 8C to 2C channels.

    >>> import torch
    >>> PatchMerging(4)(torch.rand(1, 4, 5, 2, 4)).shape
    torch.Size([1, 2, 3, 1, 8])

    Args:
        dim: channels C.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(8 * dim)
        self.reduction = Linear(8 * dim, 2 * dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, D, H, W, C), zero-padded at the end to even sides, to (B, D/2, H/2, W/2, 2C)."""
        missing = [size % 2 for size in x.shape[1:4]]
        if any(missing):
            x = F.pad(x, [0, 0, *(n for m in reversed(missing) for n in (0, m))])
        batch, *size, channels = x.shape
        d, h, w = (n // 2 for n in size)
        pairs = x.view(batch, d, 2, h, 2, w, 2, channels).permute(0, 1, 3, 5, 2, 4, 6, 7)
        return self.reduction(self.norm(pairs.reshape(batch, d, h, w, 8 * channels)))
