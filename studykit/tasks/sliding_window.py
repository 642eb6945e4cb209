"""Segmentation of whole volumes through overlapping windows, and its scores (MONAI's sliding window).

Logits of overlapping windows are averaged with weights that fall from a window's centre like a Gaussian.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from studykit.data.cores import on_all_cores
from studykit.data.volumes.cache import PreparedVolume
from studykit.data.volumes.grids import spacing
from studykit.data.volumes.tensors import label_tensor, volume_tensor
from studykit.imports import without_url_grammar
from studykit.metrics.segmentation import segmentation_score

WINDOWS_AT_ONCE = 4
WORTH_PROCESSES = 8
"""Volumes from which on their scores are worth the start of processes: a second a volume, and more."""


def segment_volume(
    method: nn.Module,
    image: Tensor,
    crop_size: int | tuple[int, int, int],
    overlap: float = 0.5,
    batch_size: int = WINDOWS_AT_ONCE,
) -> Tensor:
    """Likeliest class of each voxel of a whole volume, see :func:`likeliest_classes`: int64 on the CPU."""
    return likeliest_classes(method, image, crop_size, overlap, batch_size).cpu()


@torch.no_grad()
def likeliest_classes(
    method: nn.Module,
    image: Tensor,
    crop_size: int | tuple[int, int, int],
    overlap: float = 0.5,
    batch_size: int = WINDOWS_AT_ONCE,
) -> Tensor:
    """Likeliest class of each voxel of a whole volume, where the network is.

    Args:
        method: in evaluation mode; its ``segment`` maps (N, 1, D, H, W) to logits of the same size.
        image: (1, D, H, W); where it is smaller than a window it is padded with its minimum.
        crop_size: voxels along (D, H, W) of a window, or one number.
        overlap: share of a window's side that it has in common with the next, from 0 to below 1.
        batch_size: windows at once.

    Returns:
        int64 (D, H, W) on the network's device.

    Raises:
        ValueError: an image of another shape, or an overlap out of range.
    """
    with without_url_grammar():
        from monai.inferers import sliding_window_inference

    if image.ndim != 4 or image.shape[0] != 1:
        raise ValueError(f"an image is (1, D, H, W), got {tuple(image.shape)}")
    image = image.to(next(method.parameters()).device)
    logits = sliding_window_inference(
        image[None],
        (crop_size,) * 3 if isinstance(crop_size, int) else tuple(crop_size),
        batch_size,
        lambda windows: method.segment(windows).float(),
        overlap=overlap,
        mode="gaussian",
        cval=float(image.min()),
    )
    return logits[0].argmax(dim=0)


def score_volumes(
    method: nn.Module,
    volumes: Sequence[PreparedVolume],
    classes: Mapping[int, str],
    crop_size: int | tuple[int, int, int],
    *,
    constant_background: bool = False,
    tolerance_mm: float,
    overlap: float = 0.5,
    batch_size: int = WINDOWS_AT_ONCE,
) -> list[dict[str, Any]]:
    """Segment labelled volumes and hold them against their labels, class by class, on all cores.

    Args:
        method, crop_size, overlap, batch_size: see :func:`segment_volume`.
        classes: class number to name, of those to score; voxels labelled -1 are left out.
        constant_background: see :func:`studykit.data.volumes.tensors.volume_tensor`.
        tolerance_mm: of the surface Dice.

    Returns:
        a row for each volume and class: ``subject``, ``class`` (its name), ``dice``, ``iou``, ``accuracy``,
        ``hd95`` and ``asd`` in mm, ``surface_dice``; NaN where neither side has the class, for one empty side
        see :mod:`studykit.metrics.segmentation`.

    Raises:
        ValueError: a volume without labels.
    """
    found = []
    for number, volume in enumerate(volumes):
        truth = label_tensor(volume)
        image = volume_tensor(volume, constant_background=constant_background)
        own = segment_volume(method, image, crop_size, overlap, batch_size)
        sides = spacing(volume.affine)[::-1]
        found.append(_Found(number, volume.subject, own.numpy(), truth.numpy(), sides))
    scored = on_all_cores(
        partial(_rows_of, classes=dict(classes), tolerance_mm=tolerance_mm), found, least=WORTH_PROCESSES
    )
    return [row for _, rows in sorted(scored, key=itemgetter(0)) for row in rows]


class _Found(NamedTuple):
    """A volume's classes as found and as they are, (D, H, W), and its voxel's sides in mm."""

    number: int
    subject: str
    found: NDArray[np.int64]
    truth: NDArray[np.int64]
    spacing: tuple[float, ...]


def _rows_of(
    one: _Found, *, classes: Mapping[int, str], tolerance_mm: float
) -> tuple[int, list[dict[str, Any]]]:
    """The number of a volume, and a row for each class."""
    score = segmentation_score(one.found, one.truth, one.spacing, classes, tolerance_mm=tolerance_mm)
    return one.number, [
        {
            "subject": one.subject,
            "class": name,
            "dice": score.dice[label],
            "iou": score.iou[label],
            "accuracy": score.accuracy[label],
            "hd95": score.hd95[label],
            "asd": score.asd[label],
            "surface_dice": score.surface_dice[label],
        }
        for label, name in classes.items()
    ]
