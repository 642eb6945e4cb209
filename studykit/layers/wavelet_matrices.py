"""One level of any discrete wavelet transform in 3-D, an axis after the other, by the matrices of PyWavelets.

The work grows with the sum of the axes. A kernel in 3-D would have the cube of the filter's length, which is
62 samples for ``dmey``: 0.2 million weights a band.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor


def filter_length(wavelet: str) -> int:
    """Of the filters of a discrete wavelet, as PyWavelets names it.

    >>> filter_length("dmey")
    62

    Raises:
        ValueError: unknown name; the message lists the known ones.
    """
    import pywt

    known = pywt.wavelist(kind="discrete")
    if wavelet not in known:
        raise ValueError(f"Unknown wavelet {wavelet!r}. Known: {', '.join(known)}.")
    return pywt.Wavelet(wavelet).dec_len


@lru_cache(maxsize=256)
def _analysis(wavelet: str, size: int, mode: str) -> np.ndarray:
    """float64 (2 m, n): n samples to the m of their smooth half, then the m of their detail half."""
    import pywt

    return np.concatenate(pywt.dwt(np.eye(size), wavelet, mode, axis=0))


@lru_cache(maxsize=256)
def _synthesis(wavelet: str, size: int) -> np.ndarray:
    """float64 (n, 2 m), the inverse of :func:`_analysis` of whichever mode."""
    import pywt

    ones = np.eye((size + filter_length(wavelet) - 1) // 2)
    halves = (pywt.idwt(*pair, wavelet, axis=0) for pair in ((ones, None), (None, ones)))
    return np.concatenate(list(halves), axis=1)[:size]


def analysed(x: Tensor, wavelet: str, mode: str) -> tuple[Tensor, Tensor]:
    """One level.

    >>> low, details = analysed(torch.rand(1, 2, 8, 8, 9), "db2", "zero")
    >>> low.shape, details.shape
    (torch.Size([1, 2, 5, 5, 6]), torch.Size([1, 7, 2, 5, 5, 6]))

    Args:
        x: float (B, C, D, H, W).
        wavelet, mode: as PyWavelets names them.

    Returns:
        float (B, C, d, h, w) and (B, 7, C, d, h, w), the smooth band and the details, float32 at least.
    """
    halves = _along_axes(x, [_on_device(x, _analysis, wavelet, n, mode) for n in x.shape[2:]])
    d, h, w = (n // 2 for n in halves.shape[2:])
    bands = halves.unflatten(4, (2, w)).unflatten(3, (2, h)).unflatten(2, (2, d))
    bands = bands.permute(0, 2, 4, 6, 1, 3, 5, 7).flatten(1, 3)
    return bands[:, 0], bands[:, 1:]


def synthesised(low: Tensor, details: Tensor | None, size: Sequence[int], wavelet: str) -> Tensor:
    """Inverse of :func:`analysed`, of whichever mode.

    >>> x = torch.rand(1, 2, 8, 8, 9)
    >>> torch.allclose(synthesised(*analysed(x, "db2", "reflect"), (8, 8, 9), "db2"), x, atol=1e-5)
    True

    Args:
        low, details: float (B, C, d, h, w) and (B, 7, C, d, h, w), or None for zeros.
        size: (D, H, W) of the result.
        wavelet: the one of the bands.
    """
    if details is None:
        details = low.new_zeros(low.shape[0], 7, *low.shape[1:])
    bands = torch.cat((low[:, None], details), 1).unflatten(1, (2, 2, 2))
    halves = bands.permute(0, 4, 1, 5, 2, 6, 3, 7).flatten(6, 7).flatten(4, 5).flatten(2, 3)
    return _along_axes(halves, [_on_device(halves, _synthesis, wavelet, n) for n in size])


def _on_device(x: Tensor, made: Callable[..., np.ndarray], *of: str | int) -> Tensor:
    """A matrix where ``x`` is, in float32 at least."""
    return _kept(made, of, torch.promote_types(x.dtype, torch.float32), x.device)


@lru_cache(maxsize=256)
def _kept(
    made: Callable[..., np.ndarray], of: tuple[str | int, ...], dtype: torch.dtype, device: torch.device
) -> Tensor:
    """Sent once: a copy from the host makes it wait for a card, and no graph can hold one."""
    with torch.inference_mode(False):
        return torch.as_tensor(made(*of), dtype=dtype, device=device)


def _along_axes(x: Tensor, matrices: Sequence[Tensor]) -> Tensor:
    """(B, C, D, H, W) with a matrix applied to each of the last three axes, in float32 at least."""
    x = x if x.dtype == torch.float64 else x.float()
    d, h, w = matrices
    with torch.autocast(x.device.type, enabled=False):
        x = h @ (x @ w.T)
        return (d @ x.flatten(3)).unflatten(3, x.shape[3:])
