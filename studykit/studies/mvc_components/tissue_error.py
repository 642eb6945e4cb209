"""Error of a painted CT by tissue: air, soft tissue and bone by Hounsfield units, and PhysLoss's regions.

The ranges are those of :mod:`studykit.losses.tissue` (arXiv 2512.21769 and its released code).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from studykit.data.volumes.volumes import HU_DEVIATION, HU_MEAN
from studykit.layers.patches import patchify
from studykit.losses.mvc import block_components
from studykit.losses.tissue import BONE_HU, SOFT_TISSUE_HU, patch_flags, tissue_masks


@dataclass(frozen=True)
class TissueError:
    """The error over the hidden patches of one tissue.

    Attributes:
        patches: how many there are.
        squared_error: their mean squared error, in squared units of the crops; NaN without a patch.
        structure_error: their mean 1 - ρ over sub-patches of 8³ voxels, or the patch where that is smaller:
            0 for the true texture at any brightness and contrast, 1 for an unrelated one, 2 for its negative.
            A sub-patch that is flat in one of the two counts 1/2, one that is flat in both 0; NaN without a
            patch.
    """

    patches: int
    squared_error: float
    structure_error: float


def tissue_errors(
    painted: Tensor,
    original: Tensor,
    masks: Tensor,
    patch_size: int,
    *,
    dilate: int,
    erode: int,
    hu_mean: float = HU_MEAN,
    hu_deviation: float = HU_DEVIATION,
) -> dict[str, TissueError]:
    """Error over the hidden patches of each tissue of the original.

    ``air`` (to -300 HU), ``soft_tissue`` (between) and ``bone`` (from 300 HU) hold the patches of which over
    half of the voxels are such; a patch without a majority is in none of them. ``surface`` holds those at
    bone surfaces as in :class:`~studykit.losses.phys.PhysLoss`, whose soft tissue is the one here, and
    ``soft_tissue_or_surface`` what either holds, the patches to which that loss gives more weight.

    Args:
        painted, original: (N, 1, D, H, W), intensities with HU = intensity · hu_deviation + hu_mean.
        masks: bool (N, d, h, w), ``True`` = hidden.
        patch_size: voxels an axis.
        dilate, erode: in voxels of the crops; see :func:`~studykit.losses.tissue.tissue_masks`.
        hu_mean, hu_deviation: the default is that of ``VolumeSettings(intensity="hu")``; 0 and 1 for crops
            in HU.

    Raises:
        ValueError: shapes that do not fit, a deviation that is not positive, a negative margin, or patches
            that do not divide into sub-patches.
    """
    _check(painted, original, masks, patch_size, hu_deviation)
    ours, truth = (patchify(crops, patch_size) for crops in (painted, original))
    squared = (ours.double() - truth.double()).square().flatten(2).mean(2)
    structure = block_components(ours, truth, structure="correlation").structure / 2
    structure = structure.double().flatten(2).mean(2)
    found = {}
    for name, flags in _regions(original, patch_size, dilate, erode, hu_mean, hu_deviation).items():
        here = (flags & masks).flatten(1)
        found[name] = TissueError(int(here.sum()), float(squared[here].mean()), float(structure[here].mean()))
    return found


def region_shares(crops: Tensor, patch_size: int, *, dilate: int, erode: int) -> dict[str, float]:
    """Share of patches that are soft tissue, at a bone surface, either or both, as the loss weights them.

    Args:
        crops: (N, 1, D, H, W), intensities with HU = intensity · HU_DEVIATION + HU_MEAN.
        patch_size: voxels an axis.
        dilate, erode: in voxels of the crops; see :func:`~studykit.losses.tissue.tissue_masks`.
    """
    hu = crops * HU_DEVIATION + HU_MEAN
    soft, surface = (patch_flags(mask, patch_size) for mask in tissue_masks(hu, dilate=dilate, erode=erode))
    flags = {"soft tissue": soft, "bone surface": surface, "either": soft | surface, "both": soft & surface}
    return {name: float(flag.float().mean()) for name, flag in flags.items()}


def worst_over_best(errors: Mapping[str, TissueError], tissues: Iterable[str], measure: str) -> float:
    """Error of the tissue where it is highest over that of the one where it is lowest.

    Args:
        errors: of each tissue.
        tissues: those to compare.
        measure: ``squared_error`` or ``structure_error``.

    Raises:
        KeyError: a tissue that was not measured.
    """
    values = [getattr(errors[tissue], measure) for tissue in tissues]
    return max(values) / min(values)


def _regions(
    original: Tensor, patch_size: int, dilate: int, erode: int, hu_mean: float, hu_deviation: float
) -> dict[str, Tensor]:
    """Which patches belong to each tissue: bool (N, d, h, w)."""
    hu = original.to(torch.promote_types(original.dtype, torch.float32)) * hu_deviation + hu_mean
    soft, surface = (patch_flags(mask, patch_size) for mask in tissue_masks(hu, dilate=dilate, erode=erode))
    return {
        "air": patch_flags(hu <= SOFT_TISSUE_HU[0], patch_size),
        "soft_tissue": soft,
        "bone": patch_flags(hu >= BONE_HU, patch_size),
        "surface": surface,
        "soft_tissue_or_surface": soft | surface,
    }


def _check(painted: Tensor, original: Tensor, masks: Tensor, patch_size: int, hu_deviation: float) -> None:
    if painted.shape != original.shape or original.ndim != 5 or original.shape[1] != 1:
        raise ValueError(
            f"painted and original must have one shape (N, 1, D, H, W), got {tuple(painted.shape)} and "
            f"{tuple(original.shape)}."
        )
    size = tuple(original.shape[2:])
    if patch_size < 1 or any(n % patch_size for n in size):
        raise ValueError(f"Crops of {size} voxels do not divide into patches of {patch_size}³.")
    expected = (original.shape[0], *(n // patch_size for n in size))
    if tuple(masks.shape) != expected or masks.dtype != torch.bool:
        raise ValueError(f"masks must be bool {expected}, got {masks.dtype} {tuple(masks.shape)}.")
    if not hu_deviation > 0:
        raise ValueError(f"hu_deviation must be a positive number of HU, got {hu_deviation}.")
