"""3-D convolutions that are one matrix product, and are computed as one on CPU.

There torch's convolutions take several times as long as their products on maps as small as ours. On other
devices, and at sizes where they are no single product, these are torch's own; parameters are the same always.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from studykit.layers.linear import linear


class SingleVoxelConv3d(nn.Conv3d):
    """``nn.Conv3d`` that is a product where it shrinks a map to a single voxel.

    Of its kernel only those taps count that lie on the map, not on the padding: 8 of 27 for a map of 2³,
    kernel 3, stride 2, padding 1.

    >>> import torch
    >>> SingleVoxelConv3d(8, 16, 3, stride=2, padding=1)(torch.rand(1, 8, 2, 2, 2)).shape
    torch.Size([1, 16, 1, 1, 1])
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, D, H, W) to (B, C', d, h, w)."""
        geometry = list(zip(x.shape[2:], self.kernel_size, self.padding, self.stride, strict=True))
        if x.device.type != "cpu" or any(n + 2 * p - k >= s for n, k, p, s in geometry):
            return super().forward(x)
        on_map = [min(n, k - p) for n, k, p, _ in geometry]
        d, h, w = (slice(p, p + n) for n, p in zip(on_map, self.padding, strict=True))
        weight = self.weight[:, :, d, h, w].flatten(1)
        d, h, w = (slice(n) for n in on_map)
        return linear(x[:, :, d, h, w].flatten(1), weight, self.bias)[:, :, None, None, None]


class PatchwiseConvTranspose3d(nn.ConvTranspose3d):
    """``nn.ConvTranspose3d`` whose stride is its kernel, so that each voxel becomes a patch of its own.

    >>> import torch
    >>> PatchwiseConvTranspose3d(8, 4, 2)(torch.rand(1, 8, 3, 3, 3)).shape
    torch.Size([1, 4, 6, 6, 6])

    Args:
        in_channels, out_channels: before and after.
        patch: voxels an axis of such a patch.
        bias: whether there is one.
        channels_last: whether the result has its channels last in memory, on CPU.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        patch: int | tuple[int, int, int],
        bias: bool = True,
        channels_last: bool = False,
    ) -> None:
        super().__init__(in_channels, out_channels, patch, patch, bias=bias)
        self.channels_last = channels_last

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, d, h, w) to (B, C', d·p, h·p, w·p)."""
        if x.device.type != "cpu":
            return super().forward(x.contiguous())
        batch, channels, d, h, w = x.shape
        p, q, r = self.kernel_size
        weight = self.weight.permute(2, 3, 4, 1, 0).reshape(-1, channels)
        bias = None if self.bias is None else self.bias.repeat(p * q * r)
        patches = linear(x.permute(0, 2, 3, 4, 1), weight, bias)
        patches = patches.view(batch, d, h, w, p, q, r, -1)
        # In two steps: whole voxels change place first, then the channels come to the front.
        voxels = patches.permute(0, 1, 4, 2, 5, 3, 6, 7).reshape(batch, d * p, h * q, w * r, -1)
        voxels = voxels.permute(0, 4, 1, 2, 3)
        return voxels if self.channels_last else voxels.contiguous()


class PointwiseConv3d(nn.Conv3d):
    """``nn.Conv3d`` of kernel 1; on CPU its result has the channels last in memory.

    >>> import torch
    >>> PointwiseConv3d(8, 4)(torch.rand(1, 8, 3, 3, 3)).shape
    torch.Size([1, 4, 3, 3, 3])

    Args:
        in_channels, out_channels: before and after.
        bias: whether there is one.
    """

    def __init__(self, in_channels: int, out_channels: int, bias: bool = True) -> None:
        super().__init__(in_channels, out_channels, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, D, H, W) to (B, C', D, H, W)."""
        return pointwise(x, self.weight, self.bias)


def pointwise(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Convolution of kernel 1; on CPU its result has the channels last in memory.

    >>> import torch
    >>> pointwise(torch.ones(1, 2, 1, 1, 1), torch.tensor([[1.0, 2.0]]).view(1, 2, 1, 1, 1)).flatten()
    tensor([3.])

    Args:
        x: (B, C, D, H, W).
        weight, bias: (C', C, 1, 1, 1), and (C') or None.

    Returns:
        (B, C', D, H, W).
    """
    if x.device.type != "cpu":
        return F.conv3d(x, weight, bias)
    return linear(x.permute(0, 2, 3, 4, 1), weight.flatten(1), bias).permute(0, 4, 1, 2, 3)
