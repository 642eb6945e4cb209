"""The squared error's identity on sub-patches, and how hard each structure term pulls at flat ones.

Source: arXiv 2512.21769 and its released code; the terms themselves are in :mod:`studykit.losses.mvc`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from numpy.typing import NDArray
from torch import Tensor

from studykit.layers.patches import patchify
from studykit.losses.mvc import VARIANCE_FLOOR, MVCLoss, block_components
from studykit.masking import upsample_mask

RELEASED_GUARD = 1e-8
"""Added to deviations, not to variances, before the released code divides by them."""

LEAST_ERROR = 1e-10
"""Squared error below which two sub-patches count as equal: intensities are stored as float32."""


def identity_gaps(prediction: Tensor, target: Tensor, sub_patch: int = 8) -> Tensor:
    """|MSE - (brightness + contrast + structure)| / MSE of each sub-patch.

    Both are first shifted by the mean of the target's sub-patch, which changes no side of it: of two bright
    sub-patches that hardly differ the rounding of their means would else be a large share of their error.

    Args:
        prediction, target: (..., D, H, W), computed in their dtype.
        sub_patch: see :func:`~studykit.losses.mvc.block_components`.

    Returns:
        (..., d, h, w); NaN where the MSE is at most ``LEAST_ERROR``, as two equal sub-patches have no error
        to take a share of.
    """
    level = _means(target, sub_patch)
    for axis in (-3, -2, -1):
        level = level.repeat_interleave(min(sub_patch, target.shape[axis]), axis)
    prediction, target = prediction - level, target - level
    parts = block_components(prediction, target, sub_patch)
    squared = _means((prediction - target).square(), sub_patch)
    gap = (squared - parts.brightness - parts.contrast - parts.structure).abs()
    return torch.where(squared > LEAST_ERROR, gap / squared, torch.nan)


def _means(volume: Tensor, sub_patch: int) -> Tensor:
    """Mean of each sub-patch: (..., D, H, W) to (..., d, h, w)."""
    for axis in (-3, -2, -1):
        volume = volume.unflatten(axis, (-1, min(sub_patch, volume.shape[axis]))).mean(axis)
    return volume


def gap_row(gaps: Iterable[Tensor]) -> dict[str, float]:
    """Pairs of sub-patches that have an error, those left out, and the median and largest of their gaps.

    Args:
        gaps: as :func:`identity_gaps` gives them, of any shapes.
    """
    every = torch.cat([own.flatten() for own in gaps])
    used = every[~every.isnan()]
    return {
        "pairs": len(used),
        "left out": len(every) - len(used),
        "median gap": float(used.median()),
        "largest gap": float(used.max()),
    }


def deviations(volume: Tensor, sub_patch: int = 8) -> Tensor:
    """Population deviation of each sub-patch: (..., D, H, W) to float64 (..., d, h, w), 0 where flat."""
    volume = volume.double()
    return block_components(torch.zeros_like(volume), volume, sub_patch).contrast.sqrt()


def hidden_deviations(crops: Tensor, masks: Tensor, sub_patch: int) -> NDArray:
    """Deviation (n,) of each sub-patch of crops (N, 1, D, H, W) that masks, bool (N, d, h, w), hide."""
    patch_size = crops.shape[-1] // masks.shape[-1]
    return deviations(crops, sub_patch)[upsample_mask(masks, patch_size // sub_patch)].cpu().numpy()


def correlation_term(prediction: Tensor, target: Tensor) -> Tensor:
    """The correlation form with our floor on the variances, of one sub-patch (s, s, s): a scalar."""
    return block_components(prediction, target, prediction.shape[-1], "correlation").structure.sum()


def covariance_term(prediction: Tensor, target: Tensor) -> Tensor:
    """The paper's 2(σXσY - cov), of one sub-patch (s, s, s): a scalar."""
    return block_components(prediction, target, prediction.shape[-1]).structure.sum()


def guarded_term(prediction: Tensor, target: Tensor) -> Tensor:
    """The correlation form with the released guard on the deviations, of one sub-patch (s, s, s)."""
    scaled = []
    for block in (prediction, target):
        block = block - block.mean()
        scaled.append(block / (block.square().mean().sqrt() + RELEASED_GUARD))
    return (scaled[0] - scaled[1]).square().mean()


TERMS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "correlation, our floor": correlation_term,
    "correlation, released guard": guarded_term,
    "covariance": covariance_term,
}


def gradient_norms(
    term: Callable[[Tensor, Tensor], Tensor], sigmas: Sequence[float], side: int, seed: int = 0
) -> list[float]:
    """Norm of a term's gradient by the prediction's voxels where both sub-patches have deviation ``sigma``.

    Their textures are unrelated (ρ = 0), which is where 1 - ρ pulls hardest. float64.

    Args:
        term: of two sub-patches, a scalar.
        sigmas: deviations, in those of the volume.
        side: voxels an axis of a sub-patch.
        seed: draws the two textures.
    """
    x, y = _unrelated(side, torch.Generator().manual_seed(seed))
    norms = []
    for sigma in sigmas:
        prediction = (sigma * x).requires_grad_()
        (gradient,) = torch.autograd.grad(term(prediction, sigma * y), prediction)
        norms.append(float(gradient.norm()))
    return norms


def share_below(deviation: NDArray, limit: float, pulls: Mapping[str, NDArray]) -> dict[str, float]:
    """Share of sub-patches whose deviation is below a limit, and of each term's gradient that goes to them.

    Args:
        deviation: (n,) of the sub-patches, in the limit's unit.
        pulls: term → (n,) gradient norm that it gives each sub-patch.

    >>> import numpy as np
    >>> share_below(np.array([1.0, 9.0]), 5.0, {"a": np.array([3.0, 1.0])})
    {'sub-patches': 0.5, 'gradient, a': 0.75}
    """
    below = deviation < limit
    shares = {f"gradient, {term}": float(pull[below].sum() / pull.sum()) for term, pull in pulls.items()}
    return {"sub-patches": float(below.mean())} | shares


def gradient_is_finite(crops: Tensor, patch_size: int, seed: int = 0) -> dict[str, bool]:
    """Whether the gradient of the structural loss is finite at predictions that could break a division.

    Args:
        crops: (N, 1, D, H, W), some of their patches flat.
        patch_size: voxels an axis.
        seed: draws the noise of some predictions.
    """
    truth = patchify(crops, patch_size)
    noise = torch.randn(truth.shape, generator=torch.Generator().manual_seed(seed)).to(truth.device)
    cases = {"the truth": truth, "one value": torch.zeros_like(truth)}
    cases |= {f"noise of {scale:g}": scale * noise for scale in (1e-8, 1e-4, 1.0)}
    found = {}
    for words, prediction in cases.items():
        prediction = prediction.clone().requires_grad_()
        sum(MVCLoss(structure="correlation")(prediction, truth).values()).backward()
        found[words] = bool(prediction.grad.isfinite().all())
    return found


def gradient_bound(side: int) -> float:
    """Largest gradient norm that the floor allows, as :func:`~studykit.losses.mvc.block_components` says."""
    return 2.7 / (side**3 * VARIANCE_FLOOR) ** 0.5


def _unrelated(side: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Two textures (s, s, s) of mean 0, deviation 1 and correlation 0."""
    x, y = torch.randn(2, side**3, generator=generator, dtype=torch.float64)
    x = x - x.mean()
    y = y - y.mean()
    y = y - (x @ y) / (x @ x) * x
    return tuple((t / t.square().mean().sqrt()).reshape(side, side, side) for t in (x, y))
