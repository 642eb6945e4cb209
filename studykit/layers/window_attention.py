"""Shifted-window self-attention in 3-D with a relative-position bias (Liu et al. 2021), padding masked.

Tokens are channels-last, (B, D, H, W, C). Keys in the padding, and keys across the seam of the cyclic shift,
are hidden from the queries. Attention among a sample's visible tokens only takes these alone, (B, K, C), with
their places on the grid.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from studykit.layers.biased_attention import biased_attention
from studykit.layers.drop_path import DropPath
from studykit.layers.linear import Linear
from studykit.layers.windows import Windows


class RelativePositionBias(nn.Module):
    """Learned bias for each head and 3-D offset between two tokens of a window.

    The table holds one row for each of the (2w-1)³ offsets of a full window, so a smaller window at a small
    grid uses the rows of the offsets it has.

    >>> RelativePositionBias((2, 2, 2), num_heads=3)().shape
    torch.Size([3, 8, 8])
    """

    def __init__(
        self, window_size: Sequence[int], num_heads: int, actual: Sequence[int] | None = None
    ) -> None:
        super().__init__()
        spans = [2 * w - 1 for w in window_size]
        self.table = nn.Parameter(torch.empty(spans[0] * spans[1] * spans[2], num_heads))
        nn.init.trunc_normal_(self.table, std=0.02)
        self.register_buffer("index", relative_index(window_size, actual or window_size), persistent=False)

    def forward(self) -> Tensor:
        """float (heads, N, N), row = query, column = key."""
        index = self.index.flatten().expand(self.table.shape[1], -1)
        return self.table.t().gather(1, index).unflatten(1, self.index.shape)


def relative_index(window_size: Sequence[int], actual: Sequence[int]) -> Tensor:
    """int64 (N, N): row of the bias table for query i and key j of an ``actual`` ≤ ``window_size`` window.

    >>> relative_index((1, 1, 2), (1, 1, 2))
    tensor([[1, 0],
            [2, 1]])
    """
    axes = torch.meshgrid(*(torch.arange(n) for n in actual), indexing="ij")
    place = torch.stack([axis.flatten() for axis in axes])
    d, h, w = (place[:, :, None] - place[:, None, :]).unbind(0)
    _, span_h, span_w = (2 * n - 1 for n in window_size)
    d, h, w = d + window_size[0] - 1, h + window_size[1] - 1, w + window_size[2] - 1
    return (d * span_h + h) * span_w + w


class WindowAttention(nn.Module):
    """Multi-head attention inside each window of a token grid, among all tokens or the visible ones only.

    Among visible tokens the projections work on these tokens alone. The products of attention still cost what
    they do in full windows: how many tokens each window holds is known to the device only, and asking for it
    would make the host wait.

    >>> WindowAttention(8, 2, Windows((4, 4, 4), (2, 2, 2)))(torch.rand(1, 4, 4, 4, 8)).shape
    torch.Size([1, 4, 4, 4, 8])

    Args:
        dim: channels C, a multiple of ``num_heads``.
        num_heads: attention heads.
        windows: geometry; blocks of the same geometry may share one.
        qkv_bias: whether the joint projection has a bias.
    """

    def __init__(self, dim: int, num_heads: int, windows: Windows, qkv_bias: bool = True) -> None:
        super().__init__()
        if dim % num_heads:
            raise ValueError(f"dim ({dim}) must be a multiple of num_heads ({num_heads}).")
        self.num_heads = num_heads
        self.windows = windows
        self.position_bias = RelativePositionBias(windows.window_size, num_heads, windows.size)
        if windows.monai:
            index = relative_index(windows.window_size, windows.window_size)
            self.position_bias.index = index[: windows.tokens, : windows.tokens].contiguous()
        self.qkv = Linear(dim, 3 * dim, bias=qkv_bias)
        self.proj = Linear(dim, dim)

    def forward(self, x: Tensor, visible: Tensor | None = None) -> Tensor:
        """Attend, and project.

        Args:
            x: (B, D, H, W, C) on the grid of the windows, or with ``visible`` (B, K, C).
            visible: int64 (B, K), raster index of these tokens in the grid; there are no others then.

        Returns:
            the shape of ``x``.
        """
        if visible is not None:
            return self._among_visible(x, visible)
        windows = self.windows
        out = biased_attention(self.project(windows.cut(x)), self.position_bias(), windows.mask)
        return self.proj(windows.join(out.reshape(x.shape[0], -1, x.shape[-1])))

    def project(self, slots: Tensor) -> Tensor:
        """Slots (B, windows·N, C) to queries, keys and values (B, windows, N, 3, heads, c)."""
        return self.split(self.qkv(slots))

    def sharpness(self, slots: Tensor) -> Tensor:
        """By what products of queries and keys are multiplied beyond 1/√c: (1 or B, 1 or windows, heads)."""
        return slots.new_ones(1, 1, self.num_heads)

    def split(self, qkv: Tensor) -> Tensor:
        """(B, windows·N, 3C) to (B, windows, N, 3, heads, c)."""
        return qkv.view(qkv.shape[0], self.windows.count, self.windows.tokens, 3, self.num_heads, -1)

    def _among_visible(self, x: Tensor, visible: Tensor) -> Tensor:
        """Each sample has its own mask, so a window of a sample becomes a window of one large sample."""
        batch, windows = x.shape[0], self.windows
        rows = windows.rows(visible)
        qkv = self.qkv(x).flatten(0, 1)
        slots = qkv.new_zeros(batch * windows.order.numel(), qkv.shape[-1]).index_copy(0, rows, qkv)
        slots = slots.view(1, -1, windows.tokens, 3, self.num_heads, x.shape[-1] // self.num_heads)
        out = biased_attention(slots, self.position_bias(), windows.mask_of(rows, batch))
        return self.proj(out.reshape(-1, x.shape[-1]).index_select(0, rows).view(x.shape))


class SwinBlock(nn.Module):
    """Pre-norm Swin block: window attention, then a GELU MLP, each with a residual.

    >>> block = SwinBlock(8, 2, Windows((4, 4, 4), (2, 2, 2)))
    >>> block(torch.rand(1, 4, 4, 4, 8)).shape, block(torch.rand(1, 9, 8), torch.arange(9)[None]).shape
    (torch.Size([1, 4, 4, 4, 8]), torch.Size([1, 9, 8]))

    Args:
        dim, num_heads, windows: see :class:`WindowAttention`.
        mlp_ratio: hidden width of the MLP over ``dim``.
        drop_path: how often a sample goes without a branch in training.
        attention: :class:`WindowAttention` or a kind of it.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        windows: Windows,
        mlp_ratio: float = 4.0,
        drop_path: float = 0.0,
        attention: type[WindowAttention] = WindowAttention,
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attn = attention(dim, num_heads, windows)
        self.norm2 = nn.LayerNorm(dim)
        hidden = int(dim * mlp_ratio)
        self.mlp = nn.Sequential(Linear(dim, hidden), nn.GELU(), Linear(hidden, dim))
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, visible: Tensor | None = None) -> Tensor:
        """(B, D, H, W, C), or (B, K, C) at the places ``visible``, to the same shape."""
        x = x + self.drop_path(self.attn(self.norm1(x), visible))
        return x + self.drop_path(self.mlp(self.norm2(x)))
