"""How MiM's single-pass and three-level forms hide patches: one frozen dataclass each, built by name."""

from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from studykit.masking import (
    draw_patch_masks,
    hide_first,
    hierarchical_counts,
    hierarchical_mask,
    move_to,
    num_masked,
    patch_noise,
    weighted_order,
)
from studykit.methods.mim_views import OCTANTS, three_level_masks

Grid = tuple[int, int, int]


class Masking(Protocol):
    """What :class:`~studykit.methods.mim.Mim` asks of a way to hide patches.

    Attributes:
        crop_scale: sides of a crop over those of what the encoder sees of it at once.
        batch_channels: channels of a training crop that it reads.
    """

    crop_scale: ClassVar[int]
    batch_channels: ClassVar[int]

    def check(self, grid: Grid) -> None:
        """Refuse a grid or a setting that cannot be masked; ValueError."""

    def draw(
        self, grid: Grid, batch: int, generator: torch.Generator, volumes: Tensor | None, rows: slice
    ) -> Tensor:
        """Masks of ``rows`` of a batch; the generator moves on alike whatever rows and volumes are."""


@dataclass(frozen=True)
class RandomMasks:
    """Patches drawn uniformly; bool (b, d, h, w)."""

    crop_scale: ClassVar[int] = 1
    batch_channels: ClassVar[int] = 1

    mask_ratio: float = 0.6

    def check(self, grid: Grid) -> None:
        self.hidden(grid)

    def hidden(self, grid: Grid) -> int:
        """Hidden patches a sample."""
        return num_masked(grid, self.mask_ratio)

    def draw(
        self, grid: Grid, batch: int, generator: torch.Generator, volumes: Tensor | None, rows: slice
    ) -> Tensor:
        return draw_patch_masks(grid, self.mask_ratio, batch, generator, volumes, rows)


@dataclass(frozen=True)
class NestedMasks:
    """Blocks are hidden, and inside them some patches opened again; bool (b, 2, d, h, w): coarse, fine.

    By default 0.6 of all patches stay hidden, as many as random masks hide.
    """

    crop_scale: ClassVar[int] = 1
    batch_channels: ClassVar[int] = 1

    coarse_block: int = 2
    coarse_ratio: float = 0.75
    fine_ratio: float = 0.8

    def check(self, grid: Grid) -> None:
        self.hidden(grid)

    def hidden(self, grid: Grid) -> int:
        """Hidden patches a sample: those of the fine mask."""
        return hierarchical_counts(grid, self.coarse_block, self.coarse_ratio, self.fine_ratio)[1]

    def draw(
        self, grid: Grid, batch: int, generator: torch.Generator, volumes: Tensor | None, rows: slice
    ) -> Tensor:
        masks = hierarchical_mask(
            grid, self.coarse_block, self.coarse_ratio, self.fine_ratio, batch, generator
        )
        return move_to(torch.stack(masks, dim=1)[rows], volumes)


@dataclass(frozen=True)
class VesselMasks:
    """Patches drawn with a probability that grows with their vesselness; bool (b, d, h, w).

    Vesselness is channel 1 of the training crops, see :mod:`studykit.data.volumes.vesselness`; a patch's
    weight is its mean. Without volumes masks are uniform, like those of :class:`RandomMasks`.
    """

    crop_scale: ClassVar[int] = 1
    batch_channels: ClassVar[int] = 2

    mask_ratio: float = 0.6
    strength: float = 1.0

    def check(self, grid: Grid) -> None:
        self.hidden(grid)
        if self.strength < 0:
            raise ValueError(f"strength must not be negative, got {self.strength}; 0 draws uniformly.")

    def hidden(self, grid: Grid) -> int:
        """Hidden patches a sample."""
        return num_masked(grid, self.mask_ratio)

    def draw(
        self, grid: Grid, batch: int, generator: torch.Generator, volumes: Tensor | None, rows: slice
    ) -> Tensor:
        order = move_to(patch_noise(grid, batch, generator)[rows], volumes)
        if volumes is not None:
            if volumes.shape[1] != 2:
                raise ValueError(
                    "masking by vesselness needs crops (B, 2, D, H, W) with image and vesselness, got "
                    f"{tuple(volumes.shape)}: add studykit.data.volumes.vesselness.vesselness of each volume"
                )
            order = weighted_order(order, _patch_means(volumes[:, 1], grid), self.strength)
        return hide_first(order, self.mask_ratio)


@dataclass(frozen=True)
class ThreeLevels:
    """The published form, packed by :meth:`studykit.methods.mim_views.ThreeLevelMasks.pack`.

    Attributes:
        up_ratio, mid_ratio, down_ratio: share of octants, and of patches, that is hidden.
        children: hidden patches of each mid view that are enlarged.
    """

    crop_scale: ClassVar[int] = 2
    batch_channels: ClassVar[int] = 1

    up_ratio: float = 0.5
    mid_ratio: float = 0.6
    down_ratio: float = 0.5
    children: int = 4

    @property
    def mids(self) -> int:
        """Mid views a crop."""
        return num_masked(OCTANTS, self.up_ratio)

    def check(self, grid: Grid) -> None:
        self.draw(grid, 1, torch.Generator(), None, slice(None))

    def hidden(self, grid: Grid) -> tuple[int, int, int]:
        """Hidden patches of an up, a mid and a down view."""
        octant = grid[0] * grid[1] * grid[2] // 8
        return self.mids * octant, num_masked(grid, self.mid_ratio), num_masked(grid, self.down_ratio)

    def draw(
        self, grid: Grid, batch: int, generator: torch.Generator, volumes: Tensor | None, rows: slice
    ) -> Tensor:
        ratios = (self.up_ratio, self.mid_ratio, self.down_ratio)
        return move_to(three_level_masks(grid, ratios, self.children, batch, generator).pack()[rows], volumes)


MASKINGS: dict[str, type[Masking]] = {
    "random": RandomMasks,
    "nested": NestedMasks,
    "vessel": VesselMasks,
    "three-level": ThreeLevels,
}


def _patch_means(weights: Tensor, grid: Grid) -> Tensor:
    """(B, D, H, W) to the mean of each patch, (B, d, h, w)."""
    voxels = [n // g for n, g in zip(weights.shape[1:], grid, strict=True)]
    return F.avg_pool3d(weights[:, None].float(), voxels)[:, 0]
