"""Convolutions between token grids, as nnFormer (arXiv 2109.03201) has them: stem, downsampling, upsampling.

Tokens are channels-last, (B, D, H, W, C). A convolution sees them as a view that is channels-last in memory,
which oneDNN and cuDNN work on as it is, so that nothing is copied between LayerNorms and convolutions.
"""

import torch.nn.functional as F
from torch import Tensor, nn

Size = tuple[int, int, int]


def as_tokens(maps: Tensor) -> Tensor:
    """(B, C, D, H, W) to (B, D, H, W, C), a view; convolutions keep the channels last in memory.

    >>> import torch
    >>> as_tokens(torch.rand(1, 3, 4, 5, 6)).shape
    torch.Size([1, 4, 5, 6, 3])
    """
    return maps.permute(0, 2, 3, 4, 1)


def as_maps(tokens: Tensor) -> Tensor:
    """(B, D, H, W, C) to (B, C, D, H, W), a view.

    >>> import torch
    >>> as_maps(torch.rand(1, 4, 5, 6, 3)).shape
    torch.Size([1, 3, 4, 5, 6])
    """
    return tokens.permute(0, 4, 1, 2, 3)


class Stem(nn.Module):
    """Two pairs of 3³ convolutions; the first of each pair strides, LayerNorms and GELUs stand between.

    >>> import torch
    >>> Stem(1, 8, (2, 4, 4))(torch.rand(1, 1, 8, 8, 8)).shape
    torch.Size([1, 4, 2, 2, 8])

    Args:
        in_channels: channels of the input.
        embed_dim: channels of the output; the first pair has half of them.
        stride: voxels a cell, 1, 2 or 4 an axis.
    """

    def __init__(self, in_channels: int, embed_dim: int, stride: Size) -> None:
        super().__init__()
        first = tuple(min(s, 2) for s in stride)
        second = tuple(s // f for s, f in zip(stride, first, strict=True))
        half = embed_dim // 2
        self.stride = stride
        self.convs = nn.ModuleList(
            [
                nn.Conv3d(in_channels, half, 3, first, 1),
                nn.Conv3d(half, half, 3, 1, 1),
                nn.Conv3d(half, embed_dim, 3, second, 1),
                nn.Conv3d(embed_dim, embed_dim, 3, 1, 1),
            ]
        )
        self.norms = nn.ModuleList(nn.LayerNorm(conv.out_channels) for conv in self.convs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, D, H, W), zero-padded at the end to whole cells, to tokens (B, d, h, w, embed_dim)."""
        missing = [-size % stride for size, stride in zip(x.shape[2:], self.stride, strict=True)]
        if any(missing):
            x = F.pad(x, [n for m in reversed(missing) for n in (0, m)])
        for conv, norm in zip(self.convs, self.norms, strict=True):
            tokens = as_tokens(conv(x))
            x = as_maps(norm(tokens if conv is self.convs[-1] else F.gelu(tokens)))
        return as_tokens(x)


class Downsampling(nn.Module):
    """GELU, LayerNorm, convolution C to 2C; an axis of stride 2 has kernel 3, one of stride 1 kernel 1.

    An even axis is padded; an odd one of 2n + 1 cells is not, and gives n.

    >>> import torch
    >>> Downsampling(8, (4, 4, 5), (1, 2, 2))(torch.rand(1, 4, 4, 5, 8)).shape
    torch.Size([1, 4, 2, 2, 16])
    """

    def __init__(self, dim: int, grid: Size, stride: Size) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        kernel = tuple(2 * s - 1 for s in stride)
        padding = tuple(int(s == 2 and g % 2 == 0) for s, g in zip(stride, grid, strict=True))
        self.conv = nn.Conv3d(dim, 2 * dim, kernel, stride, padding)

    def forward(self, x: Tensor) -> Tensor:
        """(B, d, h, w, C) to (B, d', h', w', 2C)."""
        return as_tokens(self.conv(as_maps(self.norm(F.gelu(x)))))


class Upsampling(nn.Module):
    """LayerNorm, transposed convolution C to C/2 of kernel = stride; an odd target ends in the bias.

    >>> import torch
    >>> Upsampling(16, (4, 2, 2), (4, 4, 5), (1, 2, 2))(torch.rand(1, 4, 2, 2, 16)).shape
    torch.Size([1, 4, 4, 5, 8])
    """

    def __init__(self, dim: int, grid: Size, target: Size, stride: Size) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        extra = tuple(t - g * s for t, g, s in zip(target, grid, stride, strict=True))
        self.conv = nn.ConvTranspose3d(dim, dim // 2, stride, stride, output_padding=extra)

    def forward(self, x: Tensor) -> Tensor:
        """(B, d, h, w, C) to (B, d', h', w', C/2)."""
        return as_tokens(self.conv(as_maps(self.norm(x))))
