"""What visible voxels give away without learning: interpolation as a yardstick for reconstructions.

Source: normalised convolution with a Gaussian as its applicability function, Knutsson and Westin 1993 (CVPR,
"Normalized and differential convolution").
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from studykit.masking import upsample_mask

LEAST_SHARE = 1e-9
"""Share of a Gaussian's weight in the crop that must lie on visible voxels, about 6 sigma away at most."""


def interpolate(volume: Tensor, mask: Tensor, sigma: float) -> Tensor:
    """Hidden patches painted with a weighted mean of the crop's visible voxels; visible voxels are kept.

    A voxel's weight is a Gaussian of its distance. Where no more than ``LEAST_SHARE`` of the Gaussian
    lies on visible voxels, sigma is doubled until there is enough. Computed in float64.

    Args:
        volume: (B, 1, D, H, W).
        mask: bool (B, d, h, w) on the patch grid, ``True`` = hidden.
        sigma: of the Gaussian, in voxels.

    Returns:
        (B, 1, D, H, W) in the dtype of ``volume``.

    Raises:
        ValueError: shapes that do not fit, a sample without a visible patch, or a sigma that is not positive.

    Example:
        >>> ramp = torch.arange(6.0, dtype=torch.float64).expand(1, 1, 6, 6, 6)
        >>> middle = torch.zeros(1, 3, 3, 3, dtype=torch.bool)
        >>> middle[..., 1] = True
        >>> interpolate(ramp, middle, sigma=1.0)[0, 0, 0, 0].round(decimals=1).tolist()
        [0.0, 1.0, 1.4, 3.6, 4.0, 5.0]
    """
    if not sigma > 0:
        raise ValueError(f"sigma must be a positive number of voxels, got {sigma}.")
    hidden = _hidden(volume, mask)
    blind = hidden.flatten(1).all(dim=1)
    if blind.any():
        raise ValueError(f"Samples {blind.nonzero().flatten().tolist()} of the batch have no visible patch.")
    seen = (~hidden).double()
    values = torch.where(hidden, 0, volume.double())
    painted, left = values.clone(), hidden
    while left.any():
        share = _smoothed(seen, sigma)
        reached = left & (share > LEAST_SHARE)
        painted = torch.where(reached, _smoothed(values, sigma) / share, painted)
        left = left & ~reached
        sigma = 2 * sigma
    return torch.where(hidden, painted.to(volume.dtype), volume)


def best_sigma(volume: Tensor, mask: Tensor, sigmas: Sequence[float]) -> float:
    """The sigma, in voxels, with the least mean squared error over all hidden voxels of some tuning crops.

    One at an end of ``sigmas`` says that the list is too narrow. For an honest yardstick tune on other
    subjects than those that are compared.

    Args:
        volume, mask: see :func:`interpolate`.
        sigmas: at least one to choose from; of equally good ones the first is taken.

    Raises:
        ValueError: no sigma, or see :func:`interpolate`.

    Example:
        >>> ramp = torch.arange(6.0).expand(1, 1, 6, 6, 6)
        >>> middle = torch.zeros(1, 3, 3, 3, dtype=torch.bool)
        >>> middle[..., 1] = True
        >>> best_sigma(ramp, middle, [0.5, 1.0, 4.0])
        4.0
    """
    if not sigmas:
        raise ValueError("sigmas is empty: name at least one to choose from.")
    hidden = _hidden(volume, mask)
    errors = [(interpolate(volume, mask, s) - volume)[hidden].double().square().mean() for s in sigmas]
    return float(sigmas[int(torch.stack(errors).argmin())])


def explained_variance(painted: Tensor, original: Tensor, mask: Tensor) -> Tensor:
    """1 - mean squared error over the variance about their own mean, over each crop's hidden voxels.

    1 is perfect, 0 is as good as painting the hidden voxels' own mean.

    Args:
        painted, original: (B, 1, D, H, W).
        mask: bool (B, d, h, w), ``True`` = hidden.

    Returns:
        float64 (B,); NaN where a crop has no hidden voxel or all of them are equal.

    Raises:
        ValueError: shapes that do not fit.

    Example:
        >>> truth = torch.arange(8.0).view(1, 1, 2, 2, 2)
        >>> everything = torch.ones(1, 1, 1, 1, dtype=torch.bool)
        >>> explained_variance(truth, truth, everything).item()
        1.0
        >>> explained_variance(torch.full_like(truth, 3.5), truth, everything).item()
        0.0
    """
    if painted.shape != original.shape:
        raise ValueError(
            f"painted and original must have one shape, got {tuple(painted.shape)} and "
            f"{tuple(original.shape)}."
        )
    hidden = _hidden(original, mask).flatten(1)
    truth = original.double().flatten(1)
    error = _mean((painted.double().flatten(1) - truth).square(), hidden)
    variance = _mean((truth - _mean(truth, hidden)[:, None]).square(), hidden)
    return torch.where(variance > 0, 1 - error / variance, torch.nan)


def _smoothed(x: Tensor, sigma: float) -> Tensor:
    """Gaussian means of a float64 (B, 1, D, H, W) over the crop's voxels, along D, H and W in turn.

    A matrix product an axis: nothing is cut off, and no convolution rounds to TF32.
    """
    for axis in (2, 3, 4):
        place = torch.arange(x.shape[axis], dtype=x.dtype, device=x.device)
        weights = torch.softmax(-0.5 * ((place[:, None] - place) / sigma).square(), dim=1)
        x = torch.tensordot(x, weights, dims=([axis], [1])).movedim(-1, axis)
    return x


def _hidden(volume: Tensor, mask: Tensor) -> Tensor:
    """The patch mask as a voxel mask, bool (B, 1, D, H, W)."""
    if volume.ndim != 5 or volume.shape[1] != 1:
        raise ValueError(f"A volume must be (B, 1, D, H, W), got shape {tuple(volume.shape)}.")
    patch_size = volume.shape[-1] // max(mask.shape[-1], 1)
    grid = tuple(n // max(patch_size, 1) for n in volume.shape[2:])
    if tuple(mask.shape) != (volume.shape[0], *grid) or any(n % patch_size for n in volume.shape[2:]):
        raise ValueError(
            f"A mask must be (B, d, h, w) of cubic patches that fill volumes of shape {tuple(volume.shape)}, "
            f"got shape {tuple(mask.shape)}."
        )
    return upsample_mask(mask, patch_size)


def _mean(values: Tensor, where: Tensor) -> Tensor:
    """Mean of each row's chosen values, NaN where none is: (B, n) to (B,)."""
    return torch.where(where, values, 0).sum(dim=1) / where.sum(dim=1)
