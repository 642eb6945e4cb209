"""Windows of a 3-D token grid: how they are cut, joined and shifted, who may see whom (Liu et al. 2021)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

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
        monai: take two liberties of MONAI's Swin transformer, so that its weights give its output: padding is
            zeros that tokens attend to, and a window shorter than ``window_size`` reads the position bias of
            as many tokens in raster order of a full one.
    """

    def __init__(
        self,
        grid: Sequence[int],
        window_size: Sequence[int],
        shift: Sequence[int] = (0, 0, 0),
        monai: bool = False,
    ) -> None:
        super().__init__()
        if any(not 0 <= s < w for s, w in zip(shift, window_size, strict=True)):
            raise ValueError(
                f"A shift must be at least 0 and below its window, got {tuple(shift)} for "
                f"{tuple(window_size)}."
            )
        self.monai = monai
        self.window_size: Size = tuple(window_size)
        self.grid: Size = tuple(grid)
        self.size: Size = tuple(min(g, w) for g, w in zip(grid, window_size, strict=True))
        self.shift: Size = tuple(s if g > w else 0 for g, w, s in zip(grid, window_size, shift, strict=True))
        self.tokens = self.size[0] * self.size[1] * self.size[2]
        with torch.device("cpu"):
            order, inverse, mask, blank = self._layout()
        self.count = order.numel() // self.tokens
        device = torch.get_default_device()
        self.register_buffer("order", order.to(device), persistent=False)
        self.register_buffer("inverse", inverse.to(device), persistent=False)
        self.register_buffer("mask", mask.to(device) if bool(mask.any()) else None, persistent=False)
        shown = monai and bool(blank.numel())
        self.register_buffer("blank", blank.to(device) if shown else None, persistent=False)

    def _layout(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Token of each slot, slot of each token, mask, padding slots; by values, which meta tensors lack."""
        place, region, real = self._slots()
        order = place.flatten()
        inverse = torch.empty(self.grid[0] * self.grid[1] * self.grid[2], dtype=torch.long)
        slots = torch.arange(order.numel())[real.flatten()]
        inverse[order[real.flatten()]] = slots
        seen = region[:, :, None] == region[:, None, :]
        if not self.monai:
            seen &= real[:, None, :]
        seen |= torch.eye(self.tokens, dtype=torch.bool)
        mask = torch.zeros(seen.shape).masked_fill(~seen, float("-inf")).unsqueeze(1)
        return order, inverse, mask, (~real).flatten().nonzero().flatten()

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
        return _Cut.apply(x.flatten(1, 3), self.order, self.inverse, self.blank)

    def join(self, x: Tensor) -> Tensor:
        """(B, windows·N, C) back to (B, D, H, W, C); slots of padding are dropped."""
        return _Join.apply(x, self.order, self.inverse).view(x.shape[0], *self.grid, x.shape[-1])

    def real_slots(self) -> Tensor:
        """Which slots are no padding: bool (windows, N)."""
        real = torch.zeros(self.order.numel(), dtype=torch.bool, device=self.order.device)
        return real.index_fill(0, self.inverse, True).view(self.count, self.tokens)

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
    """Rows by ``order``, zero where ``blank``. Elsewhere padding repeats token 0, and nobody sees it.

    Either way no gradient comes back from padding.
    """

    @staticmethod
    def forward(ctx, x: Tensor, order: Tensor, inverse: Tensor, blank: Tensor | None) -> Tensor:
        ctx.save_for_backward(inverse)
        slots = x.index_select(1, order)
        return slots if blank is None else slots.index_fill_(1, blank, 0)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        (inverse,) = ctx.saved_tensors
        return gradient.index_select(1, inverse), None, None, None


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
