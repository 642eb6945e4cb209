"""A 3-D convolution of few channels, as decoders have at full resolution, on CPU.

oneDNN's kernels for channels-first maps work on blocks of 16 channels; on fewer their backward pass falls
behind by half. Those for channels-last maps do not.
"""

import torch
from torch import Tensor, nn

BLOCK = 16
"""Channels that oneDNN works on at once with AVX-512."""


class NarrowConv3d(nn.Conv3d):
    """``nn.Conv3d`` that takes its input with the channels last in memory where it gives fewer than 16.

    >>> NarrowConv3d(8, 4, 3, padding=1)(torch.rand(1, 8, 4, 4, 4)).shape
    torch.Size([1, 4, 4, 4, 4])
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, D, H, W) to (B, C', D', H', W'); on CPU with channels last, if C' is below 16."""
        if x.device.type == "cpu" and self.out_channels < BLOCK:
            x = x.contiguous(memory_format=torch.channels_last_3d)
        return super().forward(x)
