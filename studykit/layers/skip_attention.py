"""Skip attention (nnFormer, arXiv 2109.03201): a decoder asks and the encoder answers, window by window.

As in the released code, queries are the normalised upsampled tokens without a projection of their own, keys
and values come from the skip tokens, and one LayerNorm serves both.
"""

import torch
from torch import Tensor, nn

from studykit.layers.biased_attention import biased_attention
from studykit.layers.drop_path import DropPath
from studykit.layers.linear import Linear
from studykit.layers.window_attention import RelativePositionBias
from studykit.layers.windows import Windows


class SkipAttention(nn.Module):
    """Multi-head attention of one token grid to another of the same size, inside each window.

    >>> up, skip = torch.rand(2, 1, 4, 4, 4, 8)
    >>> SkipAttention(8, 2, Windows((4, 4, 4), (2, 2, 2)))(up, skip).shape
    torch.Size([1, 4, 4, 4, 8])

    Args:
        dim: channels C, a multiple of ``num_heads``.
        num_heads: attention heads.
        windows: geometry of both grids.

    Raises:
        ValueError: ``dim`` is no multiple of ``num_heads``.
    """

    def __init__(self, dim: int, num_heads: int, windows: Windows) -> None:
        super().__init__()
        if dim % num_heads:
            raise ValueError(f"dim ({dim}) must be a multiple of num_heads ({num_heads}).")
        self.num_heads = num_heads
        self.windows = windows
        self.position_bias = RelativePositionBias(windows.window_size, num_heads, windows.size)
        self.kv = Linear(dim, 2 * dim)
        self.proj = Linear(dim, dim)

    def forward(self, up: Tensor, skip: Tensor) -> Tensor:
        """Queries ``up``, keys and values from ``skip``, both (B, D, H, W, C), to the same shape."""
        windows = self.windows
        kv = self.kv(windows.cut(skip))
        qkv = torch.cat((windows.cut(up).to(kv.dtype), kv), dim=-1)
        qkv = qkv.view(up.shape[0], windows.count, windows.tokens, 3, self.num_heads, -1)
        out = biased_attention(qkv, self.position_bias(), windows.mask)
        return self.proj(windows.join(out.reshape(up.shape[0], -1, up.shape[-1])))


class SkipBlock(nn.Module):
    """Pre-norm block: the sum of both grids, plus skip attention, then a GELU MLP with a residual.

    >>> up, skip = torch.rand(2, 1, 4, 4, 4, 8)
    >>> SkipBlock(8, 2, Windows((4, 4, 4), (2, 2, 2)))(up, skip).shape
    torch.Size([1, 4, 4, 4, 8])

    Args:
        dim, num_heads, windows: see :class:`SkipAttention`.
        mlp_ratio: hidden width of the MLP over ``dim``.
        drop_path: how often a sample goes without a branch in training.
    """

    def __init__(
        self, dim: int, num_heads: int, windows: Windows, mlp_ratio: float = 4.0, drop_path: float = 0.0
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attn = SkipAttention(dim, num_heads, windows)
        self.norm2 = nn.LayerNorm(dim)
        hidden = int(dim * mlp_ratio)
        self.mlp = nn.Sequential(Linear(dim, hidden), nn.GELU(), Linear(hidden, dim))
        self.drop_path = DropPath(drop_path)

    def forward(self, up: Tensor, skip: Tensor) -> Tensor:
        """(B, D, H, W, C) each, to the same shape."""
        x = up + skip + self.drop_path(self.attn(self.norm1(up), self.norm1(skip)))
        return x + self.drop_path(self.mlp(self.norm2(x)))
