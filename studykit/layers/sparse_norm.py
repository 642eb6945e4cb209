"""Instance and batch norm with statistics over visible patches only (as in SparK, Tian et al. 2023).

Zeros at hidden sites would pull mean and variance towards a share of zeros that depends on the mask ratio,
and that is gone at transfer. Parameters, buffers and options are those of the dense layers, and so is the
result where nothing is hidden.
"""

from torch import Tensor, nn

from studykit.layers.packed_patches import PackedPatches


class SparseInstanceNorm3d(nn.InstanceNorm3d):
    """``nn.InstanceNorm3d`` over the visible voxels of each sample and channel, by default affine.

    A sample without visible voxels has none to normalise; one with a single visible voxel gives the bias.

    >>> import torch
    >>> visible = torch.tensor([True, False]).view(1, 1, 1, 2)
    >>> y = SparseInstanceNorm3d(3)(torch.rand(1, 3, 4, 4, 8), visible)
    >>> bool(y[..., :4].mean().abs() < 1e-5), bool(y[..., 4:].eq(0).all())
    (True, True)

    Args:
        num_features: C.
        eps: added to the variance.
        affine: whether there are weight and bias.
    """

    def __init__(self, num_features: int, eps: float = 1e-5, affine: bool = True) -> None:
        super().__init__(num_features, eps=eps, affine=affine)

    def forward(self, x: Tensor, visible: Tensor | PackedPatches | None = None) -> Tensor:
        """Normalise.

        Args:
            x: (B, C, D, H, W); with packed patches their values, (K, C, pd, ph, pw).
            visible: bool (B, d, h, w), packed patches, or None for the plain, dense norm.

        Returns:
            the shape of ``x``, 0 at hidden sites.
        """
        if visible is None:
            return super().forward(x)
        if isinstance(visible, Tensor):
            return _through_packed(self, x, visible)
        values = x.float() if x.element_size() < 4 else x
        mean = visible.sample_means(values.mean(dim=(2, 3, 4)))
        centred = values - _per_patch(mean, visible)
        variance = visible.sample_means(centred.square().mean(dim=(2, 3, 4)))
        scale = (variance + self.eps).rsqrt()
        if not self.affine:
            return (centred * _per_patch(scale, visible)).to(x.dtype)
        weighted = centred * _per_patch(scale * self.weight, visible)
        return (weighted + self.bias[:, None, None, None]).to(x.dtype)


class SparseBatchNorm3d(nn.BatchNorm3d):
    """``nn.BatchNorm3d`` over the visible voxels of the batch; running statistics are theirs too.

    >>> import torch
    >>> visible = torch.tensor([True, False]).view(1, 1, 1, 2)
    >>> y = SparseBatchNorm3d(3)(torch.rand(1, 3, 4, 4, 8), visible)
    >>> bool(y[..., :4].mean().abs() < 1e-5), bool(y[..., 4:].eq(0).all())
    (True, True)
    """

    def forward(self, x: Tensor, visible: Tensor | PackedPatches | None = None) -> Tensor:
        """Normalise.

        Args:
            x: (B, C, D, H, W); with packed patches their values, (K, C, pd, ph, pw).
            visible: bool (B, d, h, w), packed patches, or None for the plain, dense norm.

        Returns:
            the shape of ``x``, 0 at hidden sites. Where nothing at all is visible, running statistics stay.
        """
        if visible is None:
            return super().forward(x)
        if isinstance(visible, Tensor):
            return _through_packed(self, x, visible)
        return super().forward(x) if len(visible) else x


def _through_packed(norm: nn.Module, x: Tensor, visible: Tensor) -> Tensor:
    packed = PackedPatches(visible)
    return packed.unpack(norm(packed.pack(x), packed))


def _per_patch(per_sample: Tensor, packed: PackedPatches) -> Tensor:
    """(B, C) to (K, C, 1, 1, 1)."""
    return per_sample.index_select(0, packed.samples)[:, :, None, None, None]
