"""A 3³ convolution of a single small map, which torch has a slow path for on CPU, as one of two halves.

torch asks oneDNN for batches, and for a single map only where channels · D · H is above 20,480. Below, its
own convolution takes two to eight times as long, forward and backward, on maps of 8³ to 24³.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from studykit.layers.instance_norm import channels_last

LARGE = 20_480
"""Channels · D · H of a single map beyond which torch asks oneDNN (``use_mkldnn`` in its Convolution.cpp)."""

FEWEST_VOXELS = 512
"""Below, a map is too small for its halves to pay."""


def conv3(x: Tensor, weight: Tensor) -> Tensor:
    """``F.conv3d(x, weight, padding=1)`` with kernel 3; on CPU its result has the channels last in memory.

    >>> x, weight = torch.rand(1, 2, 8, 8, 8), torch.rand(4, 2, 3, 3, 3)
    >>> torch.allclose(conv3(x, weight), F.conv3d(x, weight, padding=1), atol=1e-5)
    True

    Args:
        x: (B, C, D, H, W).
        weight: (C', C, 3, 3, 3).

    Returns:
        (B, C', D, H, W).
    """
    batch, channels, depth, height, width = x.shape
    slow = x.device.type == "cpu" and x.dtype == torch.float32 and batch == 1
    slow = slow and channels * depth * height <= LARGE
    if not slow or depth % 2 or depth * height * width < FEWEST_VOXELS:
        return channels_last(F.conv3d(x, weight, padding=1))
    padded, half = F.pad(x, (0, 0, 0, 0, 1, 1)), depth // 2
    halves = channels_last(torch.cat([padded[:, :, : half + 2], padded[:, :, half:]]))
    out = channels_last(F.conv3d(halves, weight, padding=(0, 1, 1)))
    return out.permute(0, 2, 3, 4, 1).reshape(1, depth, height, width, -1).permute(0, 4, 1, 2, 3)
