"""3-D convolution on the visible patches of a masked volume (sparse submanifold style, as SparK needs it).

An output voxel of a visible patch reads visible voxels only; hidden ones count as zero, and hidden outputs
are zero. Three backends compute that, from the same parameters:

- ``halo``: visible patches are gathered with the voxels around them that the kernel reads, and a dense
  convolution runs on those. The work is in proportion to what is visible.
- ``masked_dense``: mask, convolve everything, mask (the form of SparK's released code); the reference.
- ``minkowski``: MinkowskiEngine, see :mod:`studykit.layers.minkowski`.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from studykit.layers.packed_patches import PackedPatches, patch_size, take_windows
from studykit.layers.visibility import hide

BACKENDS = ("halo", "masked_dense", "minkowski")


class PatchSparseConv3d(nn.Conv3d):
    """A ``Conv3d`` with padding ``kernel_size // 2`` that also runs on visible patches only.

    Parameters and initialisation are those of ``nn.Conv3d``, whatever the backend.

    >>> visible = torch.tensor([True, False]).view(1, 1, 1, 2)
    >>> y = PatchSparseConv3d(1, 4, 3)(torch.rand(1, 1, 4, 4, 8), visible)
    >>> y.shape, bool(y[..., 4:].eq(0).all())
    (torch.Size([1, 4, 4, 4, 8]), True)

    Args:
        in_channels, out_channels: C and C'.
        kernel_size: odd, the same for the three axes.
        stride: 1, or more where the voxels of a patch are a multiple of it; the mask stays on its grid.
        bias: whether a bias is added, at visible voxels.
        backend: one of :data:`BACKENDS`.

    Raises:
        ValueError: unknown backend, or an even kernel.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        bias: bool = True,
        backend: str = "halo",
    ) -> None:
        if backend not in BACKENDS:
            raise ValueError(f"Unknown backend {backend!r}. Known: {', '.join(BACKENDS)}.")
        if kernel_size % 2 == 0:
            raise ValueError(
                f"kernel_size must be odd, got {kernel_size}: a window has a voxel at its centre."
            )
        super().__init__(in_channels, out_channels, kernel_size, stride, kernel_size // 2, bias=bias)
        self.backend = backend

    def forward(self, x: Tensor, visible: Tensor | PackedPatches | None = None) -> Tensor:
        """Convolve.

        Args:
            x: (B, C, D, H, W), whose values at hidden voxels do not matter; with packed patches their values,
                (K, C, pd, ph, pw).
            visible: bool (B, d, h, w); or the packed patches, which stay packed (``halo`` only); or None for
                the plain, dense convolution.

        Returns:
            (B, C', D/stride, H/stride, W/stride), 0 at hidden sites; or (K, C', pd/stride, …).

        Raises:
            ValueError: the volume does not fit the mask, a patch does not divide by the stride, or patches
                come packed to a backend that does not take them.
        """
        if visible is None:
            return super().forward(x)
        if isinstance(visible, PackedPatches):
            if self.backend != "halo":
                raise ValueError(f"Packed patches go with backend 'halo'; this layer has {self.backend!r}.")
            return self._on_packed(x, visible)
        self._check_stride(patch_size(x, visible))
        if self.backend == "halo":
            packed = PackedPatches(visible)
            return packed.unpack(self._on_packed(packed.pack(x), packed))
        if self.backend == "masked_dense":
            return hide(super().forward(hide(x, visible)), visible)
        from studykit.layers.minkowski import minkowski_conv3d

        return minkowski_conv3d(x, visible, self.weight, self.bias, self.stride[0])

    def _on_packed(self, values: Tensor, packed: PackedPatches) -> Tensor:
        self._check_stride(tuple(values.shape[2:]))
        weight, bias = self.weight, self.bias
        if torch.is_autocast_enabled(values.device.type):
            dtype = torch.get_autocast_dtype(values.device.type)
            values, weight = values.to(dtype), weight.to(dtype)
            bias = None if bias is None else bias.to(dtype)
        rows = packed.window_rows(tuple(values.shape[2:]), self.kernel_size[0], self.stride[0])
        if self.stride[0] == 1:
            return _HaloConvolution.apply(values, weight, bias, rows)
        return F.conv3d(take_windows(values, rows), weight, bias, self.stride)

    def _check_stride(self, patch: tuple[int, int, int]) -> None:
        if any(p % self.stride[0] for p in patch):
            raise ValueError(
                f"Patches of {patch} voxels do not divide by stride {self.stride[0]}; "
                "use a mask on a coarser grid, or fewer strided layers."
            )

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, backend={self.backend}"


class _HaloConvolution(torch.autograd.Function):
    """Stride-1 convolution of packed patches.

    Its gradient in the patches is again such a convolution, with the kernel turned round: gathered, nothing
    is added up from overlapping windows, so it is quicker than the gradient of gathering and does not depend
    on the order of threads. Windows are gathered anew for the weight's gradient instead of kept: they are
    twice the patches' size at 8³ voxels and a kernel of 3, and eight times at 2³.
    """

    @staticmethod
    def forward(ctx, values: Tensor, weight: Tensor, bias: Tensor | None, rows: Tensor) -> Tensor:
        ctx.save_for_backward(values, weight, rows)
        return _convolve(take_windows(values, rows), weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        values, weight, rows = ctx.saved_tensors
        of_values = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            turned = weight.flip(2, 3, 4).transpose(0, 1)
            of_values = _convolve(take_windows(gradient, rows), turned, None)
        if ctx.needs_input_grad[1]:
            of_weight = _weight_gradient(take_windows(values, rows), gradient, weight)
        if ctx.needs_input_grad[2]:
            of_bias = gradient.sum(dim=(0, 2, 3, 4))
        return of_values, of_weight, of_bias, None


def _convolve(windows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Convolution without padding; a matrix product where each window gives one voxel."""
    if windows.shape[2:] != weight.shape[2:]:
        return F.conv3d(windows, weight, bias)
    return F.linear(_flat(windows), _flat(weight), bias)[:, :, None, None, None]


def _weight_gradient(windows: Tensor, gradient: Tensor, weight: Tensor) -> Tensor:
    if windows.shape[2:] != weight.shape[2:]:
        return nn.grad.conv3d_weight(windows, weight.shape, gradient)
    product = gradient.flatten(1).T @ _flat(windows)
    return product.view(weight.shape[0], *weight.shape[2:], weight.shape[1]).permute(0, 4, 1, 2, 3)


def _flat(kernels: Tensor) -> Tensor:
    """(N, C, kd, kh, kw) to (N, kd·kh·kw·C), channels last."""
    return kernels.permute(0, 2, 3, 4, 1).flatten(1)
