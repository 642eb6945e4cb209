"""Mean, variance and correlation loss: the squared error of small cubes split into three parts (BertsWin).

For two blocks X and Y with population statistics over their voxels,

    MSE(X, Y) = (μX − μY)² + (σX − σY)² + 2 σX σY (1 − ρ)
                brightness   contrast     structure

Plain MSE weighs the three alike; :class:`MVCLoss` gives each its own weight. Source: arXiv 2512.21769 and its
released code, which has another structure term (see :func:`block_components`).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from studykit.losses.patch_loss import PatchLoss

STRUCTURES = ("covariance", "correlation")
VARIANCE_FLOOR = 1e-6
"""Added to variances before the root in the correlation form: a deviation of 0.001 of the volume's own."""


@dataclass(frozen=True)
class Components:
    """The parts of a squared error: scalars, or one value a sub-patch, (..., d, h, w)."""

    brightness: Tensor
    contrast: Tensor
    structure: Tensor


def components(prediction: Tensor, target: Tensor, sub_patch: int = 8) -> Components:
    """Split the mean squared error into three scalars whose sum it is.

    >>> target = torch.rand(1, 3, 1, 8, 8, 8)
    >>> parts = components(target + 0.5, target)  # a shift is an error of brightness alone
    >>> [round(abs(float(part)), 4) for part in (parts.brightness, parts.contrast, parts.structure)]
    [0.25, 0.0, 0.0]

    Args:
        prediction, target: (..., D, H, W), for example masked patches (B, M, C, p, p, p).
        sub_patch: see :func:`block_components`.

    Raises:
        ValueError: see :func:`block_components`.
    """
    blocks = block_components(prediction, target, sub_patch)
    return Components(blocks.brightness.mean(), blocks.contrast.mean(), blocks.structure.mean())


def block_components(
    prediction: Tensor, target: Tensor, sub_patch: int = 8, structure: str = "covariance"
) -> Components:
    """Brightness, contrast and structure error of each non-overlapping sub-patch.

    Computed in float32, or in float64 where an input has it.

    >>> block_components(torch.rand(2, 16, 16, 16), torch.rand(2, 16, 16, 16)).structure.shape
    torch.Size([2, 2, 2, 2])

    Args:
        prediction, target: (..., D, H, W).
        sub_patch: voxels an axis; the whole axis where that is shorter.
        structure: ``"covariance"`` is 2(σXσY − cov), the paper's term, with which the three add up to the
            squared error. ``"correlation"`` is the squared error of the two standardised sub-patches, the
            released term: 2(1 − ρ) wherever both deviations are well above ``VARIANCE_FLOOR ** 0.5``, so it
            is blind to σ and its gradient grows as 1/σ. The floor bounds that gradient over a sub-patch of n
            voxels by 2.7 / sqrt(n · VARIANCE_FLOOR). Two flat sub-patches give 0, one flat and one
            textured give 1.

    Returns:
        components of shape (..., D / sub_patch, H / sub_patch, W / sub_patch).

    Raises:
        ValueError: shapes differ or have fewer than three axes, sub-patches do not fill them, or an unknown
            ``structure``.
    """
    if structure not in STRUCTURES:
        raise ValueError(f"Unknown structure term {structure!r}. Known: {', '.join(STRUCTURES)}.")
    if prediction.shape != target.shape or prediction.ndim < 3:
        raise ValueError(
            f"prediction and target must have one shape (..., D, H, W), got {tuple(prediction.shape)} "
            f"and {tuple(target.shape)}."
        )
    x, y = _blocks(prediction, sub_patch), _blocks(target, sub_patch)
    mean_x, mean_y = x.mean(-1, keepdim=True), y.mean(-1, keepdim=True)
    x, y = x - mean_x, y - mean_y
    variance_x, variance_y = x.square().mean(-1), y.square().mean(-1)
    covariance = (x * y).mean(-1)
    sigma_x, sigma_y = _deviation(variance_x), _deviation(variance_y)
    if structure == "covariance":
        texture = 2 * (sigma_x * sigma_y - covariance)
    else:
        floored_x, floored_y = variance_x + VARIANCE_FLOOR, variance_y + VARIANCE_FLOOR
        cross = covariance / (floored_x.sqrt() * floored_y.sqrt())
        texture = variance_x / floored_x + variance_y / floored_y - 2 * cross
    return Components((mean_x - mean_y).squeeze(-1).square(), (sigma_x - sigma_y).square(), texture)


class MVCLoss(PatchLoss):
    """Weighted brightness, contrast and structure error of the masked patches.

    >>> prediction, target = torch.rand(2, 2, 3, 1, 8, 8, 8)
    >>> terms = MVCLoss(weights=(1, 1, 1))(prediction, target)
    >>> list(terms)
    ['brightness', 'contrast', 'structure']
    >>> torch.allclose(sum(terms.values()), (prediction - target).square().mean())
    True

    Args:
        weights: of brightness, contrast and structure. All 1 with ``"covariance"`` is the plain MSE.
        structure, sub_patch: see :func:`block_components`.

    Raises:
        ValueError: weights are not three, or an unknown ``structure``.
    """

    version = 1
    terms = ("brightness", "contrast", "structure")

    def __init__(
        self,
        weights: tuple[float, float, float] = (0.3, 0.2, 0.5),
        structure: str = "covariance",
        sub_patch: int = 8,
    ) -> None:
        super().__init__()
        if len(weights) != 3:
            raise ValueError(f"weights are of brightness, contrast and structure, got {weights}.")
        if structure not in STRUCTURES:
            raise ValueError(f"Unknown structure term {structure!r}. Known: {', '.join(STRUCTURES)}.")
        self.weights = tuple(weights)
        self.structure = structure
        self.sub_patch = sub_patch

    def forward(self, prediction: Tensor, target: Tensor) -> dict[str, Tensor]:
        """prediction, target: (B, M, C, p, p, p)."""
        return {name: part.mean() for name, part in self._weighted(prediction, target).items()}

    def by_patch(self, prediction: Tensor, target: Tensor) -> Tensor:
        """The loss of each patch by itself: (B, M, C, p, p, p) to (B, M); its mean is the whole loss."""
        parts = self._weighted(prediction, target).values()
        return torch.stack([part.flatten(2).mean(-1) for part in parts]).sum(0)

    def _weighted(self, prediction: Tensor, target: Tensor) -> dict[str, Tensor]:
        parts = block_components(prediction, target, self.sub_patch, self.structure)
        brightness, contrast, structure = self.weights
        return {
            "brightness": brightness * parts.brightness,
            "contrast": contrast * parts.contrast,
            "structure": structure * parts.structure,
        }


def _blocks(x: Tensor, sub_patch: int) -> Tensor:
    """(..., D, H, W) to (..., d, h, w, n): the n voxels of each sub-patch last."""
    *lead, depth, height, width = x.shape
    sides = [min(sub_patch, n) for n in (depth, height, width)]
    if sub_patch < 1 or any(n % side for n, side in zip((depth, height, width), sides, strict=True)):
        raise ValueError(
            f"Patches of {depth}×{height}×{width} voxels do not divide into sub-patches of {sub_patch}³: "
            "choose a sub_patch that divides every side."
        )
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    counts = [n // side for n, side in zip((depth, height, width), sides, strict=True)]
    cut = x.reshape(-1, counts[0], sides[0], counts[1], sides[1], counts[2], sides[2])
    return cut.permute(0, 1, 3, 5, 2, 4, 6).reshape(*lead, *counts, -1)


def _deviation(variance: Tensor) -> Tensor:
    """Square root whose gradient is 0, not infinite, where the variance is 0."""
    positive = variance > 0
    return torch.where(positive, torch.where(positive, variance, 1).sqrt(), 0)
