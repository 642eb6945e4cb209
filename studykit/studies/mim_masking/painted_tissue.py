"""Squared error of painted volumes over the hidden voxels of each labelled tissue, such as vessels."""

from collections.abc import Mapping

import torch
from torch import Tensor

from studykit.data.angiography.cohort import ANEURYSM, BACKGROUND, VESSEL
from studykit.layers.visibility import visible_at

TISSUES = {"artery": VESSEL, "aneurysm": ANEURYSM, "other": BACKGROUND}
"""Labels of an angiography by name."""


def hidden_errors_by_label(
    painted: Tensor, original: Tensor, hidden: Tensor, labels: Tensor, names: Mapping[str, int]
) -> dict[str, float]:
    """Mean squared error over the hidden voxels of a label: of each volume, then over volumes.

    A volume without a hidden voxel of a label does not count there; NaN where none has one.

    Args:
        painted, original: (N, 1, D, H, W).
        hidden: bool (N, d, h, w), ``True`` = hidden, on a patch grid.
        labels: (N, D, H, W), whole numbers.
        names: name → label.

    Raises:
        ValueError: shapes that do not fit.
    """
    if painted.shape != original.shape or original.shape[:1] + original.shape[2:] != labels.shape:
        raise ValueError(
            "painted and original must be (N, 1, D, H, W) and labels (N, D, H, W), got "
            f"{tuple(painted.shape)}, {tuple(original.shape)} and {tuple(labels.shape)}"
        )
    squared = (painted.double() - original.double()).square()[:, 0]
    over = visible_at(hidden, original.shape[2:])[:, 0]
    return {name: _mean(squared, over & (labels == label)) for name, label in names.items()}


def _mean(values: Tensor, where: Tensor) -> float:
    count = where.flatten(1).sum(1)
    sums = (values * where).flatten(1).sum(1)
    return float((sums / count)[count > 0].mean()) if (count > 0).any() else torch.nan
