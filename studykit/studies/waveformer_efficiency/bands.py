"""The bands of one Haar level by name, their shares of a variance, and what the inverse gives back."""

from collections.abc import Sequence

import torch
from torch import Tensor

from studykit.layers.wavelets import BANDS, dwt3d, idwt3d

_LETTERS = str.maketrans("ad", "LH")


def white_noise(*shape: int, seed: int = 0) -> Tensor:
    """Standard normal numbers, float64."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def bands_of(x: Tensor) -> dict[str, Tensor]:
    """The eight bands of one level by name, those with fewer H first.

    Args:
        x: (B, C, D, H, W); a letter an axis in this order, L for sums and H for differences of neighbours.

    >>> list(bands_of(white_noise(1, 1, 4, 4, 4)))
    ['LLL', 'LLH', 'LHL', 'HLL', 'LHH', 'HLH', 'HHL', 'HHH']
    """
    coefficients = dwt3d(x)
    named = {"LLL": coefficients.low}
    named |= {band.translate(_LETTERS): coefficients.high[0][:, place] for place, band in enumerate(BANDS)}
    return dict(sorted(named.items(), key=lambda item: item[0].count("H")))


def shares_of(x: Tensor) -> dict[str, float]:
    """Share of each band in the variance of a volume (1, 1, D, H, W)."""
    x = x - x.mean()
    return {name: float(band.square().sum() / x.square().sum()) for name, band in bands_of(x).items()}


def by_details(x: Tensor) -> dict[str, float]:
    """Shares of :func:`shares_of`, the details taken together by how many axes they hold detail of."""
    shares = shares_of(x)
    counted = {f"{n} H": sum(s for band, s in shares.items() if band.count("H") == n) for n in (1, 2, 3)}
    return {"LLL": shares["LLL"], **counted, "details": 1 - shares["LLL"]}


def residual(size: Sequence[int], level: int, wavelet: str = "haar", *, single: bool = False) -> float:
    """Largest difference between white noise and the inverse transform of its coefficients.

    Args:
        size: (D, H, W).
        level, wavelet: see :func:`~studykit.layers.wavelets.dwt3d`.
        single: in float32, not float64.
    """
    x = white_noise(1, 4, *size).to(torch.float32 if single else torch.float64)
    return float((idwt3d(dwt3d(x, wavelet, level), size, wavelet) - x).abs().max())


def share_of_detail(size: Sequence[int]) -> float:
    """Share of the coefficients of one level that are detail, of a (D, H, W) map.

    >>> share_of_detail((16, 16, 16))
    0.875
    """
    coefficients = dwt3d(torch.zeros(1, 1, *size))
    detail, smooth = coefficients.high[0].numel(), coefficients.low.numel()
    return detail / (detail + smooth)
