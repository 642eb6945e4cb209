"""Window attention whose sharpness adapts: candidates for what arXiv 2503.12853 leaves open.

Each multiplies the products of queries and keys before the position bias is added, and leaves the rest of
window attention as it is. A sharpness of 1 is plain attention, a larger one attends to fewer tokens; its
inverse is what is called a temperature.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from studykit.layers.linear import Linear, linear
from studykit.layers.window_attention import WindowAttention
from studykit.layers.windows import Windows

BOUND = 10.0
"""Input-conditioned sharpness lies between 1/10 and 10."""

SHARPEST = 100.0
"""Of cosine attention (Liu et al. 2022)."""


class TemperatureAttention(WindowAttention):
    """Dot products times a learned sharpness of each head, which starts at 1: at plain attention.

    >>> attention = TemperatureAttention(8, 2, Windows((4, 4, 4), (2, 2, 2)))
    >>> attention.sharpness(torch.rand(1, 64, 8)).shape
    torch.Size([1, 1, 2])
    """

    def __init__(self, dim: int, num_heads: int, windows: Windows, qkv_bias: bool = True) -> None:
        super().__init__(dim, num_heads, windows, qkv_bias)
        self.log_sharpness = nn.Parameter(torch.zeros(num_heads))

    def sharpness(self, slots: Tensor) -> Tensor:
        """(B, windows·N, C) to (1, 1, heads)."""
        return self.log_sharpness.exp().view(1, 1, -1)

    def project(self, slots: Tensor) -> Tensor:
        """As plain attention; the sharpness goes into the weights of the queries, so it costs nothing."""
        dim = slots.shape[-1]
        factor = self.log_sharpness.exp().repeat_interleave(dim // self.num_heads)
        factor = torch.cat([factor, factor.new_ones(2 * dim)])
        bias = None if self.qkv.bias is None else self.qkv.bias * factor
        return self.split(linear(slots, self.qkv.weight * factor.unsqueeze(1), bias))


class CosineAttention(WindowAttention):
    """Cosines of queries and keys times a learned sharpness of each head, at most 100 (Liu et al. 2022).

    No sharpness makes it plain attention, since lengths no longer count. It starts at √c / 3 for heads of c
    channels, which is what the lengths contribute on average to plain attention's products where a
    LayerNorm's output meets the initial weights of ``nn.Linear``.

    >>> CosineAttention(8, 2, Windows((4, 4, 4), (2, 2, 2)))(torch.rand(1, 4, 4, 4, 8)).shape
    torch.Size([1, 4, 4, 4, 8])
    """

    def __init__(self, dim: int, num_heads: int, windows: Windows, qkv_bias: bool = True) -> None:
        super().__init__(dim, num_heads, windows, qkv_bias)
        self.log_sharpness = nn.Parameter(torch.full((num_heads,), math.log((dim / num_heads) ** 0.5 / 3)))

    def sharpness(self, slots: Tensor) -> Tensor:
        """(B, windows·N, C) to (1, 1, heads)."""
        return self.log_sharpness.clamp(max=math.log(SHARPEST)).exp().view(1, 1, -1)

    def project(self, slots: Tensor) -> Tensor:
        """Queries and keys of unit length; queries times sharpness and √c, by which attention divides."""
        q, k, v = super().project(slots).unbind(3)
        factor = self.sharpness(slots).unsqueeze(-1).unsqueeze(1) * q.shape[-1] ** 0.5
        return torch.stack([F.normalize(q, dim=-1) * factor, F.normalize(k, dim=-1), v], dim=3)


class ConditionedAttention(WindowAttention):
    """Dot products times a sharpness that each window's tokens decide, head by head.

    A small MLP reads the mean and the deviation of each channel over a window's tokens. Its last layer starts
    at zero, so the sharpness starts at 1: at plain attention.

    >>> attention = ConditionedAttention(8, 2, Windows((4, 4, 4), (2, 2, 2)))
    >>> attention.sharpness(torch.rand(1, 64, 8)).shape  # of 8 windows and 2 heads
    torch.Size([1, 8, 2])
    """

    def __init__(self, dim: int, num_heads: int, windows: Windows, qkv_bias: bool = True) -> None:
        super().__init__(dim, num_heads, windows, qkv_bias)
        hidden = max(dim // 4, 8)
        self.condition = nn.Sequential(Linear(2 * dim, hidden), nn.GELU(), Linear(hidden, num_heads))
        nn.init.zeros_(self.condition[-1].weight)
        nn.init.zeros_(self.condition[-1].bias)

    def sharpness(self, slots: Tensor) -> Tensor:
        """(B, windows·N, C) to (B, windows, heads), from 1/10 to 10; padding is left out."""
        tokens = slots.view(slots.shape[0], self.windows.count, self.windows.tokens, -1)
        real = self.windows.real_slots().to(slots.dtype)
        real = real / real.sum(1, keepdim=True)
        mean, square = (torch.einsum("bwnc,wn->bwc", x, real) for x in (tokens, tokens.square()))
        spread = (square - mean.square()).clamp(min=0).add(1e-5).sqrt()
        logits = self.condition(torch.cat([mean, spread], dim=-1))
        return (logits.tanh() * math.log(BOUND)).exp()

    def project(self, slots: Tensor) -> Tensor:
        """As plain attention, the queries times the sharpness."""
        q, k, v = super().project(slots).unbind(3)
        return torch.stack([q * self.sharpness(slots)[:, :, None, :, None], k, v], dim=3)


ATTENTIONS: dict[str, type[WindowAttention]] = {
    "dot": WindowAttention,
    "temperature": TemperatureAttention,
    "cosine": CosineAttention,
    "conditioned": ConditionedAttention,
}
"""Kinds of window attention by name."""
