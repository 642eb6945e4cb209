"""Views of one crop for self-distillation: where they lie on its patches, how they turn, what is hidden.

A view's corner lies on the patch grid of the crop, and its flips turn whole patches; so where two views
overlap their tokens cover the same voxels, and :func:`cells` says which are which. Views keep the crop's
resolution.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from studykit.masking import hide_count, num_masked, patch_noise

CLEAN, NOISE, SWAPPED = 0, 1, 2
"""What a student sees of a patch: itself, noise, or the same patch of another crop."""
GROUP = 2
"""Patches along each axis that are hidden together, where the grid allows."""


class Views(NamedTuple):
    """V views of one size of B crops.

    Attributes:
        corners: int64 (B, V, 3), first patch along D, H, W.
        flips: bool (B, V, 3), axes along which a view is turned round.
        corruption: int64 (B, V, T), one of :data:`CLEAN`, :data:`NOISE`, :data:`SWAPPED`, token by token.
    """

    corners: Tensor
    flips: Tensor
    corruption: Tensor

    @property
    def kinds(self) -> Tensor:
        """What is shown of each token of all views, (V·B, T), all samples of a view together."""
        return self.corruption.transpose(0, 1).flatten(0, 1)

    def pack(self) -> Tensor:
        """All in one tensor, int64 (B, V·(6 + T))."""
        return torch.cat([self.corners, self.flips.long(), self.corruption], dim=2).flatten(1)

    @classmethod
    def unpack(cls, packed: Tensor, tokens: int) -> "Views":
        """Inverse of :meth:`pack` for views of ``tokens`` tokens."""
        corners, flips, corruption = packed.unflatten(1, (-1, 6 + tokens)).split([3, 3, tokens], dim=2)
        return cls(corners, flips.bool(), corruption)


def whole_patches(patch_size: int, *, crop_size: int, **views: int) -> list[tuple[int, int, int]]:
    """Patches along each axis of a crop, then of each view, given in voxels.

    >>> whole_patches(8, crop_size=40, img_size=32)
    [(5, 5, 5), (4, 4, 4)]

    Raises:
        ValueError: a size that is no multiple of the patch, or a view larger than the crop.
    """
    for name, size in {"crop_size": crop_size, **views}.items():
        if size % patch_size or not 0 < size <= crop_size:
            raise ValueError(
                f"{name} ({size}) must be a multiple of patch_size ({patch_size}), and no view may be larger "
                f"than the crop ({crop_size})"
            )
    return [(size // patch_size,) * 3 for size in (crop_size, *views.values())]


def draw_views(
    grid: Sequence[int],
    view: Sequence[int],
    count: int,
    *,
    hidden: float,
    swapped: float,
    batch: int,
    generator: torch.Generator,
) -> Views:
    """Views drawn uniformly; the hidden share of each view's patches in groups, part of them swapped.

    >>> views = draw_views((4, 4, 4), (2, 2, 2), 3, hidden=0.5, swapped=0.25, batch=2,
    ...                    generator=torch.Generator().manual_seed(0))
    >>> views.corners.shape, (views.corruption > 0).sum(dim=2).unique().tolist()
    (torch.Size([2, 3, 3]), [4])

    Args:
        grid, view: patches of the crop and of a view along each axis.
        count: V.
        hidden: share of a view's patches that are replaced.
        swapped: share of those that come from another crop; the others become noise.
        batch: B.
        generator: source of all randomness.

    Raises:
        ValueError: a view larger than the crop, or a share out of range.
    """
    if any(v > g for v, g in zip(view, grid, strict=True)):
        raise ValueError(f"a view of {tuple(view)} patches does not fit a crop of {tuple(grid)}")
    if not 0 <= swapped <= 1:
        raise ValueError(f"swapped is a share of the hidden patches, got {swapped}")
    free = torch.tensor([g - v + 1 for v, g in zip(view, grid, strict=True)])
    corners = (torch.rand(batch, count, 3, generator=generator) * free).long().minimum(free - 1)
    flips = torch.rand(batch, count, 3, generator=generator) < 0.5
    noisy, taken = replaced(view, hidden, swapped)
    groups = patch_noise([-(-n // GROUP) for n in view], batch * count, generator)
    for axis, n in enumerate(view, start=1):
        groups = groups.repeat_interleave(GROUP, axis).narrow(axis, 0, n)
    fine = patch_noise(view, batch * count, generator)
    chosen = hide_count(groups + 1e-4 * fine, noisy + taken)
    kinds = chosen.long() * NOISE + hide_count(fine + ~chosen, taken).long() * (SWAPPED - NOISE)
    return Views(corners, flips, kinds.flatten(1).unflatten(0, (batch, count)))


def cut_patches(volume: Tensor, views: Views, view: Sequence[int], patch_size: int) -> Tensor:
    """The views' voxels, patch by patch: (B, C, D, H, W) to (V·B, T, C·p³), all samples of a view together.

    As :func:`~studykit.layers.patches.patchify` cuts each view, but copied once, by runs of p voxels along W.
    """
    p, (batch, channels, *size) = patch_size, volume.shape
    across = size[2] // p
    corners, flips = (part.transpose(0, 1).flatten(0, 1) for part in (views.corners, views.flips))
    d, h = (
        _turned(corners[:, axis] * p, view[axis] * p, flips[:, axis]).view(-1, view[axis], p)
        for axis in (0, 1)
    )
    w = _turned(corners[:, 2], view[2], flips[:, 2])
    sample = torch.arange(batch, device=volume.device).repeat(len(corners) // batch) * channels
    image = sample[:, None] + torch.arange(channels, device=volume.device)
    planes = image[:, None, :, None] * size[0] + d[:, :, None, :]
    lines = planes[:, :, None, :, :, None] * size[1] + h[:, None, :, None, None, :]
    runs = lines[:, :, :, None] * across + w[:, None, None, :, None, None, None]
    found = volume.reshape(-1, p).index_select(0, runs.flatten()).view(len(corners), -1, p)
    found = torch.where(flips[:, 2, None, None], found.flip(-1), found)
    return found.view(len(corners), view[0] * view[1] * view[2], -1)


def _turned(first: Tensor, count: int, flipped: Tensor) -> Tensor:
    """Places first, first + 1, …, or the other way round: int64 (N) and bool (N) to (N, count)."""
    steps = torch.arange(count, device=first.device)
    return first[:, None] + torch.where(flipped[:, None], steps.flip(0), steps)


def cells(views: Views, view: Sequence[int], grid: Sequence[int]) -> Tensor:
    """Which patch of the crop each token is of, as a raster index: int64 (B, V, T).

    >>> flips = torch.tensor([[[False, False, True]]])
    >>> views = Views(torch.zeros(1, 1, 3).long(), flips, torch.zeros(1, 1, 2))
    >>> cells(views, (1, 1, 2), (2, 2, 2)).tolist()  # turned round along W
    [[[1, 0]]]
    """
    places = []
    for axis, n in enumerate(view):
        steps = torch.arange(n, device=views.corners.device)
        turned = torch.where(views.flips[..., axis, None], steps.flip(0), steps)
        places.append(views.corners[..., axis, None] + turned)
    d, h, w = places
    d, h, w = d[..., :, None, None], h[..., None, :, None], w[..., None, None, :]
    return ((d * grid[1] + h) * grid[2] + w).flatten(2)


class Told(NamedTuple):
    """What views hold at each patch of their crops.

    Attributes:
        mean: (B·cells, K), mean over the views that have been there, 0 where none has.
        count: (B·cells), how many.
        cells: patches of a crop.
    """

    mean: Tensor
    count: Tensor
    cells: int

    @classmethod
    def by(cls, values: Tensor, places: Tensor, cells: int) -> "Told":
        """By views (V, B, T, K) at places (B, V, T) from :func:`cells`, of crops of ``cells`` patches."""
        rows = cls._rows(places, cells)
        count = values.new_zeros(len(places) * cells).index_add_(0, rows, values.new_ones(len(rows)))
        mean = values.new_zeros(len(count), values.shape[-1]).index_add_(0, rows, values.flatten(0, 2))
        return cls(mean.div_(count.clamp(min=1)[:, None]), count, cells)

    def at(self, places: Tensor) -> tuple[Tensor, Tensor]:
        """At places (B, W, S) of other views: (W, B, S, K), and bool (W, B, S), where something was told."""
        rows, shape = self._rows(places, self.cells), places.transpose(0, 1).shape
        return self.mean.index_select(0, rows).view(*shape, -1), (self.count[rows] > 0).view(shape)

    @staticmethod
    def _rows(places: Tensor, cells: int) -> Tensor:
        first = torch.arange(len(places), device=places.device) * cells
        return (places + first[:, None, None]).transpose(0, 1).flatten()


def replaced(view: Sequence[int], hidden: float, swapped: float) -> tuple[int, int]:
    """How many patches of a view become noise, and how many are swapped.

    >>> replaced((4, 4, 4), 0.5, 0.25)
    (24, 8)
    """
    total = num_masked(view, hidden)
    taken = round(swapped * total)
    return total - taken, taken


def corrupt(patches: Tensor, kinds: Tensor, counts: tuple[int, int], *, fixed: bool) -> tuple[Tensor, Tensor]:
    """Replace patches by noise, or by the same patch of the sample before.

    Args:
        patches: (N, T, L).
        kinds: int64 (N, T), from :class:`Views`.
        counts: from :func:`replaced`: how many of each sample are of which kind.
        fixed: always the same noise, instead of torch's global generator.

    Returns:
        (N, T, L), and int64 (N, M), which tokens of each were replaced, the swapped ones last.
    """
    samples, tokens, length = patches.shape
    noisy, taken = counts
    which = kinds.argsort(dim=1, stable=True)[:, tokens - noisy - taken :]
    rows = which + torch.arange(samples, device=which.device)[:, None] * tokens
    flat = patches.flatten(0, 1)
    noise = noise_like(flat.new_empty(samples * noisy, length), fixed=fixed)
    seen = flat.index_copy(0, rows[:, :noisy].flatten(), noise)
    if taken:
        swapped = rows[:, noisy:].flatten()
        seen.index_copy_(0, swapped, flat.index_select(0, (swapped - tokens) % len(flat)))
    return seen.view_as(patches), which


def noise_like(volumes: Tensor, *, fixed: bool) -> Tensor:
    """Standard normal numbers, from torch's global generator, or always the same."""
    if fixed:
        return torch.randn(volumes.shape, generator=torch.Generator().manual_seed(0)).to(volumes)
    return torch.randn_like(volumes)
