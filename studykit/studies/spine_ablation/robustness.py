"""Noise added to test images, and Dice by class of what is found in them."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from studykit.data.files.digests import text_sha256
from studykit.data.volumes.cache import PreparedVolume


def noisy(level: float) -> Callable[[Tensor, PreparedVolume], Tensor]:
    """Adds Gaussian noise of a deviation in units of the image's own over its foreground, which is 1.

    The noise of a subject is always the same but for its level.
    """

    def change(image: Tensor, volume: PreparedVolume) -> Tensor:
        seed = int(text_sha256(f"noise:{volume.subject}")[:12], 16)
        noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(seed))
        return image + level * noise

    return change


def called_foreground(volume: PreparedVolume, found: NDArray[np.integer]) -> list[dict[str, Any]]:
    """Voxels called any class over those that are one: one row, ``class`` and ``called foreground``."""
    share = float((found > 0).sum() / (np.asarray(volume.labels) > 0).sum())
    return [{"class": "any", "called foreground": share}]


def dice_measure(
    classes: Sequence[str],
) -> Callable[[PreparedVolume, NDArray[np.integer]], list[dict[str, Any]]]:
    """Dice of each class that the truth has: rows with ``class`` and ``dice``."""

    def measure(volume: PreparedVolume, found: NDArray[np.integer]) -> list[dict[str, Any]]:
        truth, rows = np.asarray(volume.labels).T, []
        for label, name in enumerate(classes, start=1):
            true, own = truth == label, (found == label) & (truth >= 0)
            if true.any():
                rows.append({"class": name, "dice": float(2 * (true & own).sum() / (true.sum() + own.sum()))})
        return rows

    return measure
