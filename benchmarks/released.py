"""The arithmetic of released networks in place of our layers', on the same modules and weights.

The released codes of Swin transformers, nnFormer, WaveFormer and SparK are not packages that one could
install. What ours does another way is put back here as they have it, layer by layer, so that a network built
by us takes their steps: the same operations on the same numbers, in another order in memory.

- products by ``nn.Linear``, convolutions by torch's own modules, maps with the channels first in memory;
- windows by padding, rolling, and a view that is permuted and copied; back the same way;
- attention as whole score matrices: queries scaled, products, position bias, mask, softmax, products;
- Haar by ptwt, as convolutions;
- in a sparse encoder a dense convolution of the zeroed volume, whose output is zeroed again.

That a network gives the same numbers this way is held by tests/test_benchmarks.py.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from studykit.layers.narrow_conv import NarrowConv3d
from studykit.layers.product_conv import PatchwiseConvTranspose3d, PointwiseConv3d, SingleVoxelConv3d
from studykit.layers.wavelets import BANDS, Coefficients, from_pywt
from studykit.layers.window_attention import RelativePositionBias
from studykit.layers.windows import Windows


def attention(qkv: Tensor, bias: Tensor, mask: Tensor | None = None) -> Tensor:
    """As :func:`studykit.layers.biased_attention.biased_attention`."""
    q, k, v = qkv.permute(3, 0, 1, 4, 2, 5).unbind(0)
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1) + bias
    if mask is not None:
        scores = scores + mask
    return (scores.softmax(dim=-1) @ v).transpose(2, 3)


def position_bias(self: RelativePositionBias) -> Tensor:
    """Rows of the table by index, then the heads to the front."""
    tokens = self.index.shape[0]
    return self.table[self.index.flatten()].view(tokens, tokens, -1).permute(2, 0, 1).contiguous()


def cut(self: Windows, x: Tensor) -> Tensor:
    """(B, D, H, W, C) to (B, windows·N, C)."""
    batch, *grid, channels = x.shape
    padded = [-(-n // w) * w for n, w in zip(grid, self.size, strict=True)]
    pad = [n for p, g in zip(reversed(padded), reversed(grid), strict=True) for n in (0, p - g)]
    x = F.pad(x, (0, 0, *pad)) if any(pad) else x
    if any(self.shift):
        x = torch.roll(x, [-s for s in self.shift], (1, 2, 3))
    (d, h, w), (p, q, r) = padded, self.size
    x = x.view(batch, d // p, p, h // q, q, w // r, r, channels).permute(0, 1, 3, 5, 2, 4, 6, 7)
    return x.contiguous().view(batch, -1, channels)


def join(self: Windows, x: Tensor) -> Tensor:
    """Inverse of :func:`cut`."""
    batch, channels = x.shape[0], x.shape[-1]
    (p, q, r), grid = self.size, self.grid
    d, h, w = (-(-n // k) for n, k in zip(grid, self.size, strict=True))
    x = x.view(batch, d, h, w, p, q, r, channels).permute(0, 1, 4, 2, 5, 3, 6, 7)
    x = x.contiguous().view(batch, d * p, h * q, w * r, channels)
    if any(self.shift):
        x = torch.roll(x, self.shift, (1, 2, 3))
    return x[:, : grid[0], : grid[1], : grid[2]].contiguous()


def as_tokens(maps: Tensor) -> Tensor:
    return maps.permute(0, 2, 3, 4, 1).contiguous()


def as_maps(tokens: Tensor) -> Tensor:
    return tokens.permute(0, 4, 1, 2, 3).contiguous()


def transposed(self: PatchwiseConvTranspose3d, x: Tensor) -> Tensor:
    return nn.ConvTranspose3d.forward(self, x.contiguous())


def convolved(self: nn.Conv3d, x: Tensor) -> Tensor:
    return nn.Conv3d.forward(self, x.contiguous())


def dwt3d(x: Tensor, wavelet: str = "haar", level: int = 1, mode: str = "zero") -> Coefficients:
    import ptwt

    return from_pywt(ptwt.wavedec3(x, wavelet, mode=mode, level=level))


def idwt3d(coeffs: Coefficients, size: Any, wavelet: str = "haar") -> Tensor:
    import ptwt

    low, *high = coeffs.low, *coeffs.high
    d, h, w = size
    for details in high:
        if details is None:
            details = low.new_zeros(low.shape[0], len(BANDS), *low.shape[1:])
        fd, fh, fw = details.shape[-3:]  # a level of an odd axis has a sample too many
        bands = dict(zip(BANDS, details.unbind(1), strict=True))
        low = ptwt.waverec3((low[..., :fd, :fh, :fw], bands), wavelet)
    return low[..., :d, :h, :w]


LAYERS = "studykit.layers"
REPLACED: dict[str, Any] = {
    f"{LAYERS}.linear.PATH": "torch",
    f"{LAYERS}.window_attention.biased_attention": attention,
    f"{LAYERS}.skip_attention.biased_attention": attention,
    f"{LAYERS}.multiscale_wave.biased_attention": attention,
    f"{LAYERS}.token_convolutions.as_tokens": as_tokens,
    f"{LAYERS}.token_convolutions.as_maps": as_maps,
    "studykit.models.nnformer.as_tokens": as_tokens,
    "studykit.models.nnformer.as_maps": as_maps,
    f"{LAYERS}.multiscale_wave.dwt3d": dwt3d,
    f"{LAYERS}.wave_block.dwt3d": dwt3d,
    f"{LAYERS}.wave_block.idwt3d": idwt3d,
    "studykit.models.waveformer.dwt3d": dwt3d,
    "studykit.models.waveformer.idwt3d": idwt3d,
}
"""Name → what stands there instead."""
METHODS: dict[tuple[type, str], Any] = {
    (RelativePositionBias, "forward"): position_bias,
    (Windows, "cut"): cut,
    (Windows, "join"): join,
    (PatchwiseConvTranspose3d, "forward"): transposed,
    (PointwiseConv3d, "forward"): convolved,
    (SingleVoxelConv3d, "forward"): convolved,
    (NarrowConv3d, "forward"): convolved,
}


@contextmanager
def as_released() -> Iterator[None]:
    """While open, networks compute as released code does; they are built as ever."""
    with ExitStack() as stack:
        for name, instead in REPLACED.items():
            stack.enter_context(patch(name, instead))
        for (owner, name), instead in METHODS.items():
            stack.enter_context(patch.object(owner, name, instead))
        yield
