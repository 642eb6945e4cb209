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

Size = tuple[int, int, int]


class Windows(nn.Module):
    """Geometry of windows on one token grid: how to cut, how to join, who may see whom.

    An axis no longer than the window becomes a single window of its own length, without shift. Cutting and
    joining are one gather of rows each, cyclic shift and padding included, and so is each gradient.

    >>> windows, x = Windows((5, 4, 4), (2, 2, 2), shift=(1, 1, 1)), torch.rand(1, 5, 4, 4, 3)
    >>> windows.cut(x).shape  # 3 x 2 x 2 windows of 8 tokens, some of them padding
    torch.Size([1, 96, 3])
    >>> torch.equal(windows.join(windows.cut(x)), x)
    True

    Args:
        grid: tokens an axis, (d, h, w).
        window_size: largest window an axis.
        shift: cyclic shift an axis, in tokens, below the window size.
    """

    def __init__(
        self, grid: Sequence[int], window_size: Sequence[int], shift: Sequence[int] = (0, 0, 0)
    ) -> None:
        super().__init__()
        if any(not 0 <= s < w for s, w in zip(shift, window_size, strict=True)):
            raise ValueError(
                f"A shift must be at least 0 and below its window, got {tuple(shift)} for "
                f"{tuple(window_size)}."
            )
        self.window_size: Size = tuple(window_size)
        self.grid: Size = tuple(grid)
        self.size: Size = tuple(min(g, w) for g, w in zip(grid, window_size, strict=True))
        self.shift: Size = tuple(s if g > w else 0 for g, w, s in zip(grid, window_size, shift, strict=True))
        self.tokens = self.size[0] * self.size[1] * self.size[2]
        with torch.device("cpu"):
            order, inverse, mask = self._layout()
        self.count = order.numel() // self.tokens
        device = torch.get_default_device()
        self.register_buffer("order", order.to(device), persistent=False)
        self.register_buffer("inverse", inverse.to(device), persistent=False)
        self.register_buffer("mask", mask.to(device) if bool(mask.any()) else None, persistent=False)

    def _layout(self) -> tuple[Tensor, Tensor, Tensor]:
        """Token of each slot, slot of each token, and mask; found by values, which the meta device lacks."""
        place, region, real = self._slots()
        order = place.flatten()
        inverse = torch.empty(self.grid[0] * self.grid[1] * self.grid[2], dtype=torch.long)
        slots = torch.arange(order.numel())[real.flatten()]
        inverse[order[real.flatten()]] = slots
        seen = (region[:, :, None] == region[:, None, :]) & real[:, None, :]
        seen |= torch.eye(self.tokens, dtype=torch.bool)
        return order, inverse, torch.zeros(seen.shape).masked_fill(~seen, float("-inf")).unsqueeze(1)

    def _slots(self) -> tuple[Tensor, Tensor, Tensor]:
        """For each (window, slot): its token, its side of the shift's seam, and whether it is no padding."""
        axes = []
        for grid, window, shift in zip(self.grid, self.size, self.shift, strict=True):
            padded = -(-grid // window) * window
            slot = torch.arange(padded)
            place = (slot + shift) % padded
            seam = (slot >= padded - window).long() + (slot >= padded - shift).long() if shift else slot * 0
            axes.append([x.view(-1, window) for x in (place, seam, place < grid)])
        (pd, sd, rd), (ph, sh, rh), (pw, sw, rw) = axes

        def join(d: Tensor, h: Tensor, w: Tensor) -> Tensor:
            d, h, w = (
                d[:, None, None, :, None, None],
                h[None, :, None, None, :, None],
                w[None, None, :, None, None, :],
            )
            return torch.broadcast_tensors(d, h, w)

        def flat(x: Tensor) -> Tensor:
            return x.reshape(-1, self.tokens)

        d, h, w = join(rd, rh, rw)
        real = flat(d & h & w)
        d, h, w = join(sd, sh, sw)
        region = flat(d * 9 + h * 3 + w)
        d, h, w = join(pd, ph, pw)
        place = flat((d * self.grid[1] + h) * self.grid[2] + w).where(real, 0)
        return place, region, real

    def cut(self, x: Tensor) -> Tensor:
        """(B, D, H, W, C) to (B, windows·N, C)."""
        return _Cut.apply(x.flatten(1, 3), self.order, self.inverse)

    def join(self, x: Tensor) -> Tensor:
        """(B, windows·N, C) back to (B, D, H, W, C); slots of padding are dropped."""
        return _Join.apply(x, self.order, self.inverse).view(x.shape[0], *self.grid, x.shape[-1])

    def rows(self, visible: Tensor) -> Tensor:
        """Where visible tokens stand among the slots of all samples.

        Args:
            visible: int64 (B, K), raster index of each sample's visible tokens, each once.

        Returns:
            int64 (B·K), each below B·windows·N.
        """
        first = torch.arange(visible.shape[0], device=visible.device) * self.order.numel()
        return (self.inverse[visible] + first.unsqueeze(1)).flatten()

    def mask_of(self, rows: Tensor, batch: int) -> Tensor:
        """Which slot sees which if no token stands anywhere but in ``rows``: float (B·windows, 1, N, N).

        An empty slot is hidden from all but itself, so that the softmax of its row is finite.
        """
        empty = torch.ones(batch * self.order.numel(), dtype=torch.bool, device=rows.device)
        empty = empty.index_fill(0, rows, False).view(batch, self.count, 1, 1, self.tokens)
        hidden = empty & ~torch.eye(self.tokens, dtype=torch.bool, device=rows.device)
        return torch.where(hidden, float("-inf"), 0.0 if self.mask is None else self.mask).flatten(0, 1)


class _Cut(torch.autograd.Function):
    """Rows by ``order``. Padding slots repeat token 0; nobody sees them, so no gradient comes back."""

    @staticmethod
    def forward(ctx, x: Tensor, order: Tensor, inverse: Tensor) -> Tensor:
        ctx.save_for_backward(inverse)
        return x.index_select(1, order)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None]:
        (inverse,) = ctx.saved_tensors
        return gradient.index_select(1, inverse), None, None


class _Join(torch.autograd.Function):
    """Rows by ``inverse``; padding slots get a zero gradient."""

    @staticmethod
    def forward(ctx, x: Tensor, order: Tensor, inverse: Tensor) -> Tensor:
        ctx.save_for_backward(order, inverse)
        return x.index_select(1, inverse)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None]:
        order, inverse = ctx.saved_tensors
        if order.numel() == inverse.numel():
            return gradient.index_select(1, order), None, None
        slots = gradient.new_zeros(gradient.shape[0], order.numel(), gradient.shape[-1])
        return slots.index_copy(1, inverse, gradient), None, None


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
        qkv = self.qkv(windows.cut(x))
        qkv = qkv.view(x.shape[0], windows.count, windows.tokens, 3, self.num_heads, -1)
        out = biased_attention(qkv, self.position_bias(), windows.mask)
        return self.proj(windows.join(out.reshape(x.shape[0], -1, x.shape[-1])))

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
    """

    def __init__(
        self, dim: int, num_heads: int, windows: Windows, mlp_ratio: float = 4.0, drop_path: float = 0.0
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attn = WindowAttention(dim, num_heads, windows)
        self.norm2 = nn.LayerNorm(dim)
        hidden = int(dim * mlp_ratio)
        self.mlp = nn.Sequential(Linear(dim, hidden), nn.GELU(), Linear(hidden, dim))
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, visible: Tensor | None = None) -> Tensor:
        """(B, D, H, W, C), or (B, K, C) at the places ``visible``, to the same shape."""
        x = x + self.drop_path(self.attn(self.norm1(x), visible))
        return x + self.drop_path(self.mlp(self.norm2(x)))
