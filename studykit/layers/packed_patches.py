"""Visible patches of a masked volume, packed into one tensor, and where each of them and its neighbours are.

What is masked whole patches at a time need not be computed on: the visible patches alone, (K, C, pd, ph, pw)
over all samples, hold everything that a sparse layer reads. Convolutions also need the voxels around a patch;
:meth:`PackedPatches.windows` takes them from the visible neighbours, and zeros for the hidden ones.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

Size = tuple[int, int, int]


class PackedPatches:
    """The packing of one mask, for feature maps of any resolution on the same patch grid.

    Packed values are (K, C, pd, ph, pw), channels last in memory; patches are in raster order within a
    sample, samples one after the other. Samples may differ in their number of visible patches. Indices are
    worked out once a resolution and kept.

    >>> visible = torch.tensor([True, False, True, False]).view(1, 1, 1, 4)
    >>> x, packed = torch.rand(1, 3, 4, 4, 16), PackedPatches(visible)
    >>> packed.pack(x).shape
    torch.Size([2, 3, 4, 4, 4])
    >>> bool(packed.unpack(packed.pack(x))[..., 4:8].eq(0).all())
    True

    Args:
        visible: bool (B, d, h, w), ``True`` = visible.
        count: how many patches are visible over all samples, where that is known. Then no GPU is waited for
            to count them, and torch.compile knows all shapes.

    Attributes:
        visible: as given.
        samples: int64 (K,), the sample that each visible patch belongs to.
        cells: four int64 (K,), its sample and its place on the grid along D, H, W.

    Raises:
        ValueError: ``visible`` is not bool with four axes, or another number of patches than ``count`` is
            visible (looked at on the CPU only).
    """

    def __init__(self, visible: Tensor, count: int | None = None) -> None:
        if visible.dtype != torch.bool or visible.ndim != 4:
            raise ValueError(
                f"visible must be bool (B, d, h, w), got {visible.dtype} {tuple(visible.shape)}; "
                "a mask with True = hidden is turned by ~mask."
            )
        self.visible = visible
        self.grid: Size = tuple(visible.shape[1:])
        if count is None:
            self.cells = visible.nonzero(as_tuple=True)
        else:
            if not (visible.is_cuda or torch.compiler.is_compiling()) and visible.sum() != count:
                raise ValueError(f"{int(visible.sum())} patches are visible, {count} were expected.")
            self.cells = torch.nonzero_static(visible, size=count).unbind(1)
        self.samples = self.cells[0]
        self._indices: dict[tuple[object, ...], Tensor] = {}

    def __len__(self) -> int:
        return self.samples.shape[0]

    def pack(self, x: Tensor) -> Tensor:
        """Visible patches of (B, C, D, H, W): (K, C, pd, ph, pw). Hidden voxels are not read.

        Raises:
            ValueError: another batch size than the mask's, or a volume that its grid does not divide.
        """
        patch = patch_size(x, self.visible)
        return _Pack.apply(x, self._runs(x.shape[1], patch), patch)

    def unpack(self, values: Tensor) -> Tensor:
        """Inverse of :meth:`pack`: (K, C, pd, ph, pw) to (B, C, D, H, W), 0 where hidden."""
        channels, *patch = values.shape[1:]
        size = [n * p for n, p in zip(self.grid, patch, strict=True)]
        shape = (self.visible.shape[0], channels, *size)
        return _Unpack.apply(values, self._runs(channels, tuple(patch)), shape)

    def window_rows(self, patch: Size, kernel_size: int, stride: int = 1) -> Tensor:
        """What a convolution of padding ``kernel_size // 2`` reads for each patch: its window.

        Args:
            patch: voxels of a patch, (pd, ph, pw).
            kernel_size: odd.
            stride: of the convolution, on the same three axes.

        Returns:
            int64 (K, pd + kernel_size - stride, …): row of the packed voxels (K·pd·ph·pw, C), or one past the
            last where the volume ends or a neighbour is hidden.
        """
        key = ("windows", patch, kernel_size, stride)
        if key not in self._indices:
            self._indices[key] = self._new_window_rows(patch, kernel_size // 2, kernel_size - stride)
        return self._indices[key]

    def sample_means(self, patch_means: Tensor) -> Tensor:
        """Mean over the visible patches of each sample: (K, C) to (B, C), 0 for a sample without any."""
        samples = torch.arange(self.visible.shape[0], device=patch_means.device)
        share = (self.samples == samples[:, None]).to(patch_means.dtype)
        share = share / share.sum(dim=1, keepdim=True).clamp(min=1)
        with torch.autocast(patch_means.device.type, enabled=False):
            return share @ patch_means

    def _new_window_rows(self, patch: Size, before: int, more: int) -> Tensor:
        """Rows of windows that begin ``before`` voxels before the patch and are ``more`` voxels larger.

        The grid is numbered by packed patch, with a rim of cells that are not there. A window's voxel lies a
        number of cells from its own patch and at a place within that cell, the same for every patch.
        """
        device, count = self.samples.device, len(self)
        rim = [math.ceil(max(before, more - before) / p) for p in patch]
        numbers = torch.full(self.visible.shape, count, device=device)
        numbers[self.cells] = torch.arange(count, device=device)
        numbers = F.pad(numbers, [n for r in reversed(rim) for n in (r, r)], value=count)
        own, away, within = self.samples, 0, 0
        for axis, (p, r) in enumerate(zip(patch, rim, strict=True)):
            along = torch.arange(-before, p + more - before, device=device)[(...,) + (None,) * (2 - axis)]
            own = own * numbers.shape[1 + axis] + self.cells[1 + axis]
            away = away * numbers.shape[1 + axis] + along.div(p, rounding_mode="floor") + r
            within = within * p + along.remainder(p)
        found = numbers.flatten()[own[:, None, None, None] + away]
        voxels = math.prod(patch)
        return found.mul_(voxels).add_(within).clamp_(max=count * voxels)

    def _runs(self, channels: int, patch: Size) -> Tensor:
        """Places of the packed voxels in the dense volume, counted in runs of ``pw`` neighbours along W."""
        key = ("runs", channels, patch)
        if key not in self._indices:
            (d, h, w), (pd, ph, _) = self.grid, patch
            sample, i, j, k = self.cells
            plane = h * ph * w
            volume = d * pd * plane
            corner = sample * channels * volume + i * pd * plane + j * ph * w + k
            device = sample.device
            channel = torch.arange(channels, device=device)[:, None, None] * volume
            depth = torch.arange(pd, device=device)[:, None] * plane
            height = torch.arange(ph, device=device) * w
            index = corner[:, None, None, None] + (channel + depth + height)
            self._indices[key] = index.flatten()
        return self._indices[key]


def packing(visible: Tensor | PackedPatches) -> PackedPatches:
    """The packing of a mask that may be packed already.

    >>> len(packing(torch.ones(1, 2, 2, 2, dtype=torch.bool)))
    8
    """
    return visible if isinstance(visible, PackedPatches) else PackedPatches(visible)


def flags(visible: Tensor | PackedPatches | None) -> Tensor | None:
    """The mask itself, bool (B, d, h, w), of one that may be packed.

    >>> visible = torch.ones(1, 2, 2, 2, dtype=torch.bool)
    >>> flags(packing(visible)) is visible
    True
    """
    return visible.visible if isinstance(visible, PackedPatches) else visible


def patch_size(x: Tensor, visible: Tensor) -> Size:
    """Voxels of (B, C, D, H, W) in a patch of a (B, d, h, w) mask.

    >>> patch_size(torch.zeros(1, 1, 8, 8, 16), torch.ones(1, 2, 2, 2, dtype=torch.bool))
    (4, 4, 8)

    Raises:
        ValueError: another batch size than the mask's, or a volume that its grid does not divide.
    """
    if x.ndim != 5 or x.shape[0] != visible.shape[0]:
        raise ValueError(
            f"Expected (B, C, D, H, W) with the mask's batch of {visible.shape[0]}, got {tuple(x.shape)}."
        )
    size, grid = tuple(x.shape[2:]), tuple(visible.shape[1:])
    if any(n % g for n, g in zip(size, grid, strict=True)):
        raise ValueError(f"A mask of {grid} patches does not divide a volume of {size} voxels.")
    return tuple(n // g for n, g in zip(size, grid, strict=True))


def take_windows(values: Tensor, rows: Tensor) -> Tensor:
    """Packed values (K, C, pd, ph, pw) and :meth:`PackedPatches.window_rows` to windows (K, C, wd, wh, ww).

    A convolution without padding makes of them the packed patches of its output.

    >>> packed = packing(torch.ones(1, 2, 2, 2, dtype=torch.bool))
    >>> values = packed.pack(torch.rand(1, 3, 8, 8, 8))
    >>> take_windows(values, packed.window_rows((4, 4, 4), 3)).shape  # a voxel more on either side
    torch.Size([8, 3, 6, 6, 6])
    """
    channels = values.shape[1]
    voxels = F.pad(values.permute(0, 2, 3, 4, 1).reshape(-1, channels), (0, 0, 0, 1))
    return voxels.index_select(0, rows.flatten()).view(*rows.shape, channels).permute(0, 4, 1, 2, 3)


class _Pack(torch.autograd.Function):
    """Its gradient is that of a copy: nothing is read twice, so there is nothing to add up."""

    @staticmethod
    def forward(ctx, x: Tensor, runs: Tensor, patch: Size) -> Tensor:
        ctx.save_for_backward(runs)
        ctx.shape = x.shape
        return _take_runs(x, runs, patch)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None]:
        return _put_runs(gradient, *ctx.saved_tensors, ctx.shape), None, None


class _Unpack(torch.autograd.Function):
    """The inverse of :class:`_Pack`; its gradient comes packed channels last, as convolutions like it."""

    @staticmethod
    def forward(ctx, values: Tensor, runs: Tensor, shape: tuple[int, ...]) -> Tensor:
        ctx.save_for_backward(runs)
        ctx.patch = values.shape[2:]
        return _put_runs(values, runs, shape)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None]:
        return _take_runs(gradient, *ctx.saved_tensors, ctx.patch), None, None


def _take_runs(x: Tensor, runs: Tensor, patch: Size) -> Tensor:
    taken = x.reshape(-1, patch[2]).index_select(0, runs).view(-1, x.shape[1], *patch)
    return taken.contiguous(memory_format=torch.channels_last_3d)


def _put_runs(values: Tensor, runs: Tensor, shape: tuple[int, ...]) -> Tensor:
    length = values.shape[-1]
    dense = values.new_zeros(math.prod(shape) // length, length)
    return dense.index_copy_(0, runs, values.contiguous().view(-1, length)).view(shape)
