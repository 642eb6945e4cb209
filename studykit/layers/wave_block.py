"""The RSNA 2025 blueprint's wavelet encoder block: attention on the smooth band alone (its sections 1.4-1.6).

Built from its description, not from its code. Of an orthonormal transform of L levels, each coefficient of
the smooth band is (2√2)^L times a local mean, so it is divided by that before attention. Only what attention
adds to the smooth band is transformed back inside the residual branch: the details are in the stream already,
and would be added again in each block.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from studykit.layers.drop_path import DropPath
from studykit.layers.linear import Linear
from studykit.layers.positions import sincos_positions
from studykit.layers.transformer import SelfAttention
from studykit.layers.visibility import hide, visible_at
from studykit.layers.wavelets import BANDS, HAAR, Coefficients, dwt3d, idwt3d

DETAILS = ("identity", "gate", "off")


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of each place.

    >>> ChannelNorm(3)(torch.rand(1, 3, 4, 4, 4)).mean(dim=1).abs().max() < 1e-5
    tensor(True)
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, D, H, W) to (B, C, D, H, W)."""
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class VisibleAttention(SelfAttention):
    """Self-attention whose keys may be limited to some tokens of each sample.

    >>> VisibleAttention(8, 2)(torch.rand(1, 3, 8), torch.tensor([[True, True, False]])).shape
    torch.Size([1, 3, 8])
    """

    def forward(self, x: Tensor, keys: Tensor | None = None) -> Tensor:
        """(B, T, C) to (B, T, C); ``keys``: bool (B, T), at least one a sample, or None for all."""
        qkv = self.qkv(x).unflatten(-1, (3, self.num_heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        mask = None if keys is None else keys[:, None, None, :]
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.proj(out.transpose(1, 2).flatten(2))


class WaveBlock(nn.Module):
    """Pre-norm block: attention on the smooth band of a wavelet transform, then a GELU MLP at each place.

    With x the stream, n = norm(x), (low, high) = dwt(n), and a = attention(low / gain + positions) · gain::

        identity   x + idwt(a, 0)          the details of x pass by in the stream, unchanged
        gate       x + idwt(a, g · high)   g learned for each level, band and channel; 0 at first
        off        s + idwt(a, 0)          s = idwt(dwt(x).low, 0), x without its details; n = norm(s)

    and the MLP follows on the result. With Haar, ``low / gain`` are means over blocks of 2^level places an
    axis, and idwt(a, 0) repeats each value over its block; so after ``off`` the map is constant over them.

    >>> WaveBlock(8, 12, 2, level=1)(torch.rand(1, 12, 8, 8, 8)).shape
    torch.Size([1, 12, 8, 8, 8])

    Args:
        size: (D, H, W) of the map, or one number for a cube; odd ones go on symmetrically.
        dim: channels C, a multiple of ``num_heads``.
        num_heads: attention heads.
        level: wavelet levels before attention; at 0 attention sees the whole map.
        wavelet: a name of PyWavelets.
        details: ``identity``, ``gate`` or ``off``, as above.
        mlp_ratio: hidden width of the MLP over ``dim``.
        drop_path: see :class:`~studykit.layers.drop_path.DropPath`, for both branches.

    Raises:
        ValueError: unknown ``details`` or wavelet, a negative level, details other than ``identity`` at level
            0, where there are none, or widths that do not fit.
    """

    def __init__(
        self,
        size: int | Sequence[int],
        dim: int,
        num_heads: int,
        *,
        level: int = 1,
        wavelet: str = "haar",
        details: str = "identity",
        mlp_ratio: float = 4.0,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        if details not in DETAILS:
            raise ValueError(f"Unknown details {details!r}. Known: {', '.join(DETAILS)}.")
        if level == 0 and details != "identity":
            raise ValueError(f"At level 0 there are no details to {details}; use 'identity', or a level.")
        self.size = (size,) * 3 if isinstance(size, int) else tuple(size)
        self.level, self.wavelet, self.details = level, wavelet, details
        self.gain = 2.0 ** (1.5 * level)
        grid = dwt3d(torch.zeros(1, 1, *self.size, device="cpu"), wavelet, level, "symmetric").low.shape[2:]
        self.register_buffer("positions", _positions(tuple(grid), dim), persistent=False)
        self.norm1, self.norm2 = ChannelNorm(dim), ChannelNorm(dim)
        self.attn = VisibleAttention(dim, num_heads, qkv_bias=True)
        hidden = int(dim * mlp_ratio)
        self.mlp = nn.Sequential(Linear(dim, hidden), nn.GELU(), Linear(hidden, dim))
        self.drop_path = DropPath(drop_path)
        shape = (level, len(BANDS), dim)
        self.gate = nn.Parameter(torch.zeros(shape)) if details == "gate" else None

    def forward(self, x: Tensor, visible: Tensor | None = None) -> Tensor:
        """Mix the map's places.

        Args:
            x: float (B, C, D, H, W) of the block's size.
            visible: bool (B, d, h, w), ``True`` = visible, of patches that are a multiple of 2^level places
                an axis; None if nothing is hidden. What hidden patches hold is not looked at, and they come
                out 0.

        Returns:
            float (B, C, D, H, W).

        Raises:
            ValueError: another size, or a mask that the transform would blur: patches that do not fit it, or
                a wavelet other than Haar.
        """
        if tuple(x.shape[2:]) != self.size:
            raise ValueError(f"This block is for maps of {self.size}, got {tuple(x.shape[2:])}.")
        if visible is not None:
            self._check_mask(visible)
        x = hide(x, visible)
        if self.details == "off":
            x = self._inverse(self._transform(x).low, (None,) * self.level)
        low, high = self._transform(hide(self.norm1(x), visible))
        update = self._attend(low, visible)
        if self.gate is None:
            high = (None,) * self.level
        else:
            bands = zip(high, self.gate, strict=True)
            high = tuple(h * gate[:, :, None, None, None] for h, gate in bands)
        x = x + self.drop_path(self._inverse(update, high))
        places = self.norm2(x).movedim(1, -1)
        return hide(x + self.drop_path(self.mlp(places).movedim(-1, 1)), visible)

    def _transform(self, x: Tensor) -> Coefficients:
        return dwt3d(x, self.wavelet, self.level, "symmetric")

    def _inverse(self, low: Tensor, high: tuple[Tensor | None, ...]) -> Tensor:
        return idwt3d(Coefficients(low, high), self.size, self.wavelet)

    def _attend(self, low: Tensor, visible: Tensor | None) -> Tensor:
        """Smooth band to what attention adds to it, (B, C, d, h, w) both."""
        keys = None
        if visible is not None:
            seen = visible_at(visible, low.shape[2:]).flatten(1)
            keys = seen | ~seen.any(1, keepdim=True)
        tokens = low.flatten(2).transpose(1, 2) / self.gain + self.positions
        added = self.attn(tokens, keys).transpose(1, 2).reshape(low.shape)
        return hide(added * self.gain, visible)

    def _check_mask(self, visible: Tensor) -> None:
        if self.level and self.wavelet not in HAAR:
            raise ValueError(f"{self.wavelet} reaches across patches; a masked map needs the wavelet 'haar'.")
        patch = [n / g for n, g in zip(self.size, visible.shape[1:], strict=True)]
        if any(p % 2**self.level for p in patch):
            raise ValueError(
                f"Patches of a masked map must be a multiple of {2**self.level} voxels an axis at level "
                f"{self.level}, got the grid {tuple(visible.shape[1:])} on a map of {self.size}."
            )


def _positions(grid: tuple[int, int, int], dim: int) -> Tensor:
    """Sine-cosine table (T, dim); a width that is no multiple of 6 drops the last frequencies of W."""
    return sincos_positions(grid, -(-dim // 6) * 6)[:, :dim]
