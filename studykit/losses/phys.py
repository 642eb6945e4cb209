"""PhysLoss (BertsWin): the MVC loss on all hidden patches, and again on soft tissue and on bone surfaces.

Source: arXiv 2512.21769 and its released code. Its tissue masks are made here from HU alone; see
:mod:`studykit.losses.tissue`.
"""

from torch import Tensor

from studykit.data.volumes.volumes import HU_DEVIATION, HU_MEAN
from studykit.losses.mvc import MVCLoss
from studykit.losses.patch_loss import PatchLoss
from studykit.losses.tissue import patch_flags, tissue_masks


class PhysLoss(PatchLoss):
    """Weighted MVC over all hidden patches, over those of soft tissue and over those at bone surfaces.

    Each is a mean over its patches in the part of the batch at hand; a set without a patch adds 0. As a bone
    surface depends on voxels around the patch, the loss asks its method for context: the volume, and which
    patches are hidden.

    >>> import torch
    >>> volume = torch.zeros(1, 1, 16, 16, 16)
    >>> hidden = torch.tensor([[0, 7]])
    >>> patches = torch.zeros(1, 2, 1, 8, 8, 8)
    >>> list(PhysLoss()(patches + 1, patches, volume, hidden))
    ['all', 'soft_tissue', 'surface']

    Args:
        hu_mean, hu_deviation: what standardised the volumes; HU = intensity · hu_deviation + hu_mean. One
            pair for all volumes; the default is that of ``VolumeSettings(intensity="hu")``.
        weights: of all hidden patches, soft tissue and surface.
        mvc_weights, structure, sub_patch: see :class:`~studykit.losses.mvc.MVCLoss`.
        dilate, erode: see :func:`~studykit.losses.tissue.tissue_masks`.

    Raises:
        ValueError: weights are not three, a deviation that is not positive, or a bad MVC option.
    """

    version = 1
    terms = ("all", "soft_tissue", "surface")
    needs_context = True

    def __init__(
        self,
        hu_mean: float = HU_MEAN,
        hu_deviation: float = HU_DEVIATION,
        weights: tuple[float, float, float] = (0.3, 0.5, 0.2),
        mvc_weights: tuple[float, float, float] = (0.3, 0.2, 0.5),
        structure: str = "covariance",
        sub_patch: int = 8,
        dilate: int = 4,
        erode: int = 2,
    ) -> None:
        super().__init__()
        if len(weights) != 3:
            raise ValueError(f"weights are of all hidden patches, soft tissue and surface, got {weights}.")
        if not hu_deviation > 0:
            raise ValueError(f"hu_deviation must be a positive number of HU, got {hu_deviation}.")
        self.hu_mean, self.hu_deviation = hu_mean, hu_deviation
        self.weights = tuple(weights)
        self.mvc = MVCLoss(mvc_weights, structure, sub_patch)
        self.dilate, self.erode = dilate, erode

    def forward(
        self, prediction: Tensor, target: Tensor, volume: Tensor, hidden: Tensor
    ) -> dict[str, Tensor]:
        """Loss terms ``all``, ``soft_tissue`` and ``surface``.

        Args:
            prediction, target: (B, M, 1, p, p, p), the hidden patches.
            volume: (B, 1, D, H, W), standardised CT.
            hidden: int64 (B, M), their place in raster order on the patch grid.
        """
        error = self.mvc.by_patch(prediction, target)
        hu = volume.float() * self.hu_deviation + self.hu_mean
        soft, surface = (
            patch_flags(mask, prediction.shape[-1]).flatten(1).gather(1, hidden)
            for mask in tissue_masks(hu, dilate=self.dilate, erode=self.erode)
        )
        everywhere, on_soft, on_surface = self.weights
        return {
            "all": everywhere * error.mean(),
            "soft_tissue": on_soft * _mean_where(error, soft),
            "surface": on_surface * _mean_where(error, surface),
        }


def _mean_where(values: Tensor, flags: Tensor) -> Tensor:
    """Mean of the flagged values, 0 where there are none; without a device synchronisation."""
    return (values * flags).sum() / flags.sum().clamp(min=1)
