"""Prepared volumes as tensors, and back.

A tensor's spatial axes (D, H, W) are a volume's (Z, Y, X): D runs to superior, H to anterior, W to the
subject's right. ``tensor[0, d]`` is an axial slice, and mirroring W exchanges left and right.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from studykit.data.volumes.cache import PreparedVolume


def volume_tensor(volume: PreparedVolume, *, constant_background: bool = False) -> Tensor:
    """A volume's image as float32 (1, D, H, W) = (1, Z, Y, X), in memory of its own.

    With ``constant_background`` all voxels outside the prepared foreground have the volume's smallest value,
    as have those outside the field of view of a cone-beam CT.
    """
    image = torch.from_numpy(np.array(volume.array.T, order="C"))
    if constant_background:
        image[torch.from_numpy(~volume.foreground.T)] = image.min()
    return image[None]


def label_tensor(volume: PreparedVolume) -> Tensor:
    """A volume's label map as int64 (D, H, W).

    Raises:
        ValueError: the volume has no labels.
    """
    if volume.labels is None:
        raise ValueError(f"{volume.subject} has no labels")
    return torch.from_numpy(np.array(volume.labels.T, order="C").astype(np.int64))


def xyz_array(tensor: Tensor) -> NDArray:
    """A (D, H, W) tensor as an (X, Y, Z) array, such as pictures are drawn of; no copy on the CPU.

    >>> xyz_array(torch.zeros(2, 3, 4)).shape
    (4, 3, 2)
    """
    return tensor.detach().cpu().permute(2, 1, 0).numpy()
