"""Pre-norm transformer block with global self-attention (Dosovitskiy et al. 2021)."""

import torch.nn.functional as F
from torch import Tensor, nn

from studykit.layers.linear import Linear


class SelfAttention(nn.Module):
    """Multi-head self-attention over all tokens.

    >>> import torch
    >>> SelfAttention(8, 2)(torch.rand(2, 5, 8)).shape
    torch.Size([2, 5, 8])

    Args:
        dim: channels C, a multiple of ``num_heads``.
        num_heads: attention heads.
        qkv_bias: whether the joint projection has a bias.
    """

    def __init__(self, dim: int, num_heads: int, qkv_bias: bool = False) -> None:
        super().__init__()
        if dim % num_heads:
            raise ValueError(f"dim ({dim}) must be a multiple of num_heads ({num_heads}).")
        self.num_heads = num_heads
        self.qkv = Linear(dim, 3 * dim, bias=qkv_bias)
        self.proj = Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) to (B, T, C)."""
        batch, tokens, dim = x.shape
        qkv = self.qkv(x).view(batch, tokens, 3, self.num_heads, dim // self.num_heads)
        q, k, v = (x.transpose(1, 2) for x in qkv.unbind(2))
        out = F.scaled_dot_product_attention(q, k, v)
        return self.proj(out.transpose(1, 2).reshape(batch, tokens, dim))


class TransformerBlock(nn.Module):
    """Attention then a GELU MLP, each on normalised input and with a residual.

    >>> import torch
    >>> TransformerBlock(8, 2, 16)(torch.rand(2, 5, 8)).shape
    torch.Size([2, 5, 8])

    Args:
        dim: channels C.
        num_heads: attention heads.
        mlp_dim: hidden width of the MLP.
    """

    def __init__(self, dim: int, num_heads: int, mlp_dim: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attn = SelfAttention(dim, num_heads)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(Linear(dim, mlp_dim), nn.GELU(), Linear(mlp_dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) to (B, T, C)."""
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))
