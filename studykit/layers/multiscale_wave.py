"""Block of the published WaveFormer: one attention shared by every wavelet level (Al Hasan et al. 2025).

After each level of the Haar transform the smooth band is cut into windows as large as the whole of the
deepest band, so attention is local on the finer bands and global on the last. The weights are the same on all
levels. What attention gives is upsampled trilinearly to the block's map, summed, and added to the stream; the
inverse transform is left to the decoder. The smooth bands are divided by Haar's gain, 2√2 a level, so that
the shared weights meet tokens of one scale; the released code does not do that.

As there, the norms before attention and before the feed-forward add 1e-6 to the variance, those inside the
feed-forward torch's default.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from studykit.layers.biased_attention import biased_attention
from studykit.layers.drop_path import DropPath
from studykit.layers.linear import Linear
from studykit.layers.visibility import hide, visible_at
from studykit.layers.wave_block import ChannelNorm
from studykit.layers.wavelets import dwt3d
from studykit.layers.window_attention import RelativePositionBias

GAIN = 2.0**1.5
NORM_EPSILON = 1e-6
"""Added to the variance of a stage's tokens."""


def cut_windows(x: Tensor, window: Sequence[int]) -> Tensor:
    """(B, C, D, H, W), D, H, W multiples of the window, to (B, windows, N, C), both in raster order.

    >>> cut_windows(torch.rand(1, 4, 8, 8, 8), (4, 4, 8)).shape
    torch.Size([1, 4, 128, 4])
    """
    batch, channels, *size = x.shape
    d, h, w = window
    blocks = x.view(batch, channels, size[0] // d, d, size[1] // h, h, size[2] // w, w)
    return blocks.permute(0, 2, 4, 6, 3, 5, 7, 1).reshape(batch, -1, d * h * w, channels)


def join_windows(windows: Tensor, window: Sequence[int], size: Sequence[int]) -> Tensor:
    """Inverse of :func:`cut_windows`: (B, windows, N, C) to (B, C, D, H, W).

    >>> x = torch.rand(2, 4, 8, 8, 8)
    >>> torch.equal(join_windows(cut_windows(x, (4, 4, 8)), (4, 4, 8), (8, 8, 8)), x)
    True
    """
    counts = [n // k for n, k in zip(size, window, strict=True)]
    blocks = windows.view(windows.shape[0], *counts, *window, windows.shape[-1])
    return blocks.permute(0, 7, 1, 4, 2, 5, 3, 6).reshape(windows.shape[0], -1, *size)


class SharedWindowAttention(nn.Module):
    """Multi-head attention inside windows, with a relative-position bias, on maps of any number of windows.

    >>> SharedWindowAttention(8, 2, (2, 2, 2))(torch.rand(1, 8, 4, 4, 4)).shape
    torch.Size([1, 8, 4, 4, 4])

    Args:
        dim: channels C, a multiple of ``num_heads``.
        num_heads: attention heads.
        window: tokens an axis of a window.
    """

    def __init__(self, dim: int, num_heads: int, window: Sequence[int]) -> None:
        super().__init__()
        if dim % num_heads:
            raise ValueError(f"dim ({dim}) must be a multiple of num_heads ({num_heads}).")
        self.num_heads, self.window = num_heads, tuple(window)
        self.position_bias = RelativePositionBias(window, num_heads)
        self.qkv = Linear(dim, 3 * dim)
        self.proj = Linear(dim, dim)

    def forward(self, x: Tensor, visible: Tensor | None = None) -> Tensor:
        """Attend, among visible places only where some are hidden: (B, C, D, H, W) to the same.

        Args:
            x: finite everywhere; D, H, W are multiples of the window.
            visible: bool (B, d, h, w) on a patch grid that divides D, H, W, or None.
        """
        tokens = cut_windows(x, self.window)
        qkv = self.qkv(tokens).unflatten(-1, (3, self.num_heads, -1))
        if visible is None:
            out = biased_attention(qkv, self.position_bias())
        else:
            mask = self._hidden_keys(visible_at(visible, x.shape[2:]))
            out = biased_attention(qkv.flatten(0, 1).unsqueeze(0), self.position_bias(), mask)
        return join_windows(self.proj(out.reshape(tokens.shape)), self.window, x.shape[2:])

    def _hidden_keys(self, seen: Tensor) -> Tensor:
        """float (B·windows, 1, N, N), -inf where the key is hidden; each place sees itself at least."""
        keys = cut_windows(seen, self.window).flatten(0, 1).transpose(1, 2).unsqueeze(1)
        itself = torch.eye(keys.shape[-1], dtype=torch.bool, device=keys.device)
        return torch.zeros(1, device=keys.device).masked_fill(~(keys | itself), float("-inf"))


class ConvFeedForward(nn.Module):
    """1×1×1 convolution to the hidden width, 3³ depthwise convolution, linear layer back.

    Layer norm and GELU follow each convolution; the input is added to the output, as in the released code.

    >>> ConvFeedForward(8, 16)(torch.rand(1, 8, 4, 4, 4)).shape
    torch.Size([1, 8, 4, 4, 4])

    Args:
        dim, hidden: channels of the map, and between the layers.
    """

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.expand = Linear(dim, hidden)
        self.norm1, self.norm2 = nn.LayerNorm(hidden), nn.LayerNorm(hidden)
        self.depthwise = nn.Conv3d(hidden, hidden, 3, padding=1, groups=hidden)
        self.project = Linear(hidden, dim)

    def forward(self, x: Tensor, visible: Tensor | None = None) -> Tensor:
        """(B, C, D, H, W) to the same; hidden places count as zeros to their neighbours."""
        places = F.gelu(self.norm1(self.expand(x.movedim(1, -1))))
        mixed = self.depthwise(hide(places.movedim(-1, 1), visible))
        out = self.project(F.gelu(self.norm2(mixed.movedim(1, -1))))
        return x + out.movedim(-1, 1)


class MultiScaleWaveBlock(nn.Module):
    """Attention over all wavelet levels, then the convolutional feed-forward, each pre-norm with a residual.

    >>> MultiScaleWaveBlock(8, 2, window=(2, 2, 2), level=2)(torch.rand(1, 8, 8, 8, 8)).shape
    torch.Size([1, 8, 8, 8, 8])

    Args:
        dim, num_heads: see :class:`SharedWindowAttention`.
        window: size of the deepest smooth band: that of the map over 2^level.
        level: Haar levels; at 0 attention sees the map itself.
        mlp_ratio: hidden width of the feed-forward over ``dim``.
        drop_path: see :class:`~studykit.layers.drop_path.DropPath`, for both branches.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        window: Sequence[int],
        level: int,
        mlp_ratio: float = 4.0,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        self.level = level
        self.norm1, self.norm2 = (ChannelNorm(dim, eps=NORM_EPSILON) for _ in range(2))
        self.attn = SharedWindowAttention(dim, num_heads, window)
        self.mlp = ConvFeedForward(dim, int(dim * mlp_ratio))
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, visible: Tensor | None = None) -> Tensor:
        """Mix the map's places.

        Args:
            x: float (B, C, D, H, W), D, H, W the window's size times 2^level.
            visible: bool (B, d, h, w), ``True`` = visible, on a grid that divides the window; None if nothing
                is hidden. What hidden patches hold is not looked at; they come out 0.

        Returns:
            float (B, C, D, H, W).
        """
        x = hide(x, visible)
        x = x + self.drop_path(self._attend(hide(self.norm1(x), visible), visible))
        x = hide(x, visible)
        return hide(x + self.drop_path(self.mlp(self.norm2(x), visible)), visible)

    def _attend(self, x: Tensor, visible: Tensor | None) -> Tensor:
        if not self.level:
            return self.attn(x, visible)
        size, low, total = x.shape[2:], x, torch.zeros_like(x)
        for _ in range(self.level):
            low = dwt3d(low).low / GAIN
            total = total + _upsampled(self.attn(low, visible), size, visible)
        return total


def _upsampled(x: Tensor, size: Sequence[int], visible: Tensor | None) -> Tensor:
    """Trilinear, as a weighted mean of the visible places alone."""
    if visible is None:
        return F.interpolate(x, size=size, mode="trilinear")
    seen = visible_at(visible, x.shape[2:]).to(x.dtype)
    values, weight = (F.interpolate(y, size=size, mode="trilinear") for y in (hide(x, visible), seen))
    return values / weight.where(weight > 0, 1)
