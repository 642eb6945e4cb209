"""Patch merging between the stages of a Swin transformer (Liu et al. 2021): 2³ tokens become one."""

import torch.nn.functional as F
from torch import Tensor, nn

from studykit.layers.linear import Linear


class PatchMerging(nn.Module):
    """The channels of 2³ tokens side by side, a LayerNorm, and a projection to twice the channels.

    The eight tokens stand in raster order, the last axis fastest. An odd axis ends in a zero more.

    >>> import torch
    >>> PatchMerging(4)(torch.rand(1, 4, 4, 3, 4)).shape
    torch.Size([1, 2, 2, 2, 8])

    Args:
        dim: channels C of the tokens.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(8 * dim)
        self.reduction = Linear(8 * dim, 2 * dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, d, h, w, C) to (B, ⌈d/2⌉, ⌈h/2⌉, ⌈w/2⌉, 2C)."""
        odd = [n % 2 for n in x.shape[1:4]]
        if any(odd):
            x = F.pad(x, (0, 0, 0, odd[2], 0, odd[1], 0, odd[0]))
        batch, d, h, w, channels = x.shape
        x = x.reshape(batch, d // 2, 2, h // 2, 2, w // 2, 2, channels)
        return self.reduction(self.norm(x.permute(0, 1, 3, 5, 2, 4, 6, 7).flatten(4)))
