"""Views of one crop for self-distillation: where they lie on its patches, how they turn, what is hidden.

A view's corner lies on the patch grid of the crop, and its flips turn whole patches; so where two views
overlap their tokens cover the same voxels, and :func:`cells` says which are which. Views keep the crop's
resolution.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from studykit.masking import hide_count, mask_on, num_masked, patch_noise

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

    def pack(self) -> Tensor:
        """All in one tensor, int64 (B, V·(6 + T))."""
        return torch.cat([self.corners, self.flips.long(), self.corruption], dim=2).flatten(1)

    @classmethod
    def unpack(cls, packed: Tensor, tokens: int) -> "Views":
        """Inverse of :meth:`pack` for views of ``tokens`` tokens."""
        corners, flips, corruption = packed.unflatten(1, (-1, 6 + tokens)).split([3, 3, tokens], dim=2)
        return cls(corners, flips.bool(), corruption)


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
    total = num_masked(view, hidden)
    groups = patch_noise([-(-n // GROUP) for n in view], batch * count, generator)
    for axis, n in enumerate(view, start=1):
        groups = groups.repeat_interleave(GROUP, axis).narrow(axis, 0, n)
    fine = patch_noise(view, batch * count, generator)
    replaced = hide_count(groups + 1e-4 * fine, total)
    taken = hide_count(fine + ~replaced, round(swapped * total))
    kinds = replaced.long() * NOISE + taken.long() * (SWAPPED - NOISE)
    return Views(corners, flips, kinds.flatten(1).unflatten(0, (batch, count)))


def cut_views(volume: Tensor, views: Views, view: Sequence[int], patch_size: int) -> Tensor:
    """Voxels of the views: (B, C, D, H, W) to (V·B, C, d·p, h·p, w·p), all samples of a view together."""
    axes = []
    for axis, n in enumerate(view):
        steps = torch.arange(n * patch_size, device=volume.device)
        places = torch.where(views.flips[..., axis, None], steps.flip(0), steps)
        axes.append((views.corners[..., axis, None] * patch_size + places).transpose(0, 1).flatten(0, 1))
    d, h, w = axes
    rows = torch.arange(len(volume), device=volume.device).repeat(views.corners.shape[1])[:, None, None, None]
    found = volume.movedim(1, -1)[rows, d[:, :, None, None], h[:, None, :, None], w[:, None, None, :]]
    return found.movedim(-1, 1)


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


def meet(values: Tensor, theirs: Tensor, mine: Tensor, cells_of_crop: int) -> tuple[Tensor, Tensor]:
    """For each token of some views, the mean of what other views hold at the same place of the crop.

    Args:
        values: (V, B, T, K), of the other views.
        theirs, mine: int64 (B, V, T) and (B, W, S), from :func:`cells`.
        cells_of_crop: patches of the crop.

    Returns:
        (W, B, S, K), 0 where no other view has been, and bool (W, B, S), where one has.
    """
    at, to = (places.flatten(1) for places in (theirs, mine))
    flat = values.transpose(0, 1).flatten(1, 2)
    ground = flat.new_zeros(len(at), cells_of_crop, flat.shape[-1])
    ground = ground.scatter_add(1, at[..., None].expand_as(flat), flat)
    count = flat.new_zeros(len(at), cells_of_crop).scatter_add(1, at, torch.ones_like(at, dtype=flat.dtype))
    mean = ground / count.clamp(min=1)[..., None]
    found = mean.gather(1, to[..., None].expand(-1, -1, flat.shape[-1]))
    met = count.gather(1, to) > 0
    return tuple(x.unflatten(1, mine.shape[1:]).transpose(0, 1) for x in (found, met))


def corrupt(seen: Tensor, kinds: Tensor, view: Sequence[int], noise: Tensor, other: Tensor) -> Tensor:
    """Replace patches of (B, C, D, H, W) by noise, or by the same patch of another crop, of one shape each.

    Args:
        kinds: int64 (B, T), from :class:`Views`.
    """

    def at(kind: int) -> Tensor:
        flags = (kinds == kind).unflatten(1, tuple(view))
        return mask_on(flags, seen.shape[2:])[:, None]

    return torch.where(at(SWAPPED), other, torch.where(at(NOISE), noise, seen))


def noise_like(volumes: Tensor, *, fixed: bool) -> Tensor:
    """Standard normal numbers, from torch's global generator, or always the same."""
    if fixed:
        return torch.randn(volumes.shape, generator=torch.Generator().manual_seed(0)).to(volumes)
    return torch.randn_like(volumes)
