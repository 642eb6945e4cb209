"""Fixed sine-cosine positions on a 3-D token grid (Vaswani et al. 2017), a third of the channels an axis."""

import torch
from torch import Tensor


def sincos_positions(grid: tuple[int, int, int], dim: int, temperature: float = 10_000.0) -> Tensor:
    """Position table of a (d, h, w) grid.

    >>> sincos_positions((2, 2, 2), 12).shape
    torch.Size([8, 12])

    Args:
        grid: tokens an axis.
        dim: channels, a multiple of 6.
        temperature: longest wavelength over 2π.

    Returns:
        float32 (d·h·w, dim) in raster order; channels are D | H | W, each sines then cosines.

    Raises:
        ValueError: ``dim`` is no multiple of 6.
    """
    if dim % 6:
        raise ValueError(f"Sine-cosine positions in 3-D need a width that is a multiple of 6, got {dim}.")
    channels = dim // 6
    frequency = temperature ** -(torch.arange(channels, dtype=torch.float64) / channels)
    axes = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in grid), indexing="ij")
    parts = []
    for axis in axes:
        angle = axis.reshape(-1, 1) * frequency
        parts += [angle.sin(), angle.cos()]
    return torch.cat(parts, dim=1).float()
