"""Volumes that stay on a GPU, and crops of many of them at once: a few launches for a whole batch.

Cutting crop by crop keeps a host busy for longer than a small network's step takes on a GPU. Here the volumes
of a layer lie one after the other in memory; a crop's window is one gather of it, and a warp one trilinear
interpolation of all windows. Where crops lie and how they are turned is worked out there too, of numbers that
were drawn before: crop by crop that alone would take a host longer than a step.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

Triple = tuple[int, int, int]


class ResidentVolumes:
    """Volumes of one layer on a device.

    Args:
        images: (D, H, W) each, of any sizes.
        outside: what each has beyond its border.
        device: where they are kept.
    """

    def __init__(self, images: Sequence[Tensor], outside: Sequence[float], device: torch.device) -> None:
        beyond = torch.tensor(outside, dtype=images[0].dtype)
        self._values = torch.cat([beyond, *(image.flatten() for image in images)]).to(device)
        sizes = torch.tensor([image.numel() for image in images])
        self._shapes = torch.tensor([list(image.shape) for image in images], device=device)
        self._starts = (len(images) + sizes.cumsum(0) - sizes).to(device)

    def windows(self, picks: Tensor, corners: Tensor, size: Sequence[int]) -> Tensor:
        """What windows cover, of their volume's outside value beyond it.

        Args:
            picks: int64 (B,), the volume of each.
            corners: int64 (B, 3), first voxel along (D, H, W), beyond the volume too.
            size: voxels of a window.

        Returns:
            (B, *size).
        """
        index = self._starts[picks].view(-1, 1, 1, 1)
        inside: Tensor | None = None
        for axis, count in enumerate(size):
            side = self._shapes[picks, axis, None]
            place = corners[:, axis, None] + torch.arange(count, device=corners.device)
            there = (place >= 0) & (place < side)
            shape = [len(picks), 1, 1, 1]
            shape[1 + axis] = count
            stride = self._shapes[picks, axis + 1 :].prod(dim=1)[:, None]
            index = index + (place.clamp(min=0).minimum(side - 1) * stride).view(shape)
            inside = there.view(shape) if inside is None else inside & there.view(shape)
        return self._values[torch.where(inside, index, picks.view(-1, 1, 1, 1))]


class ResidentPlaces:
    """Where windows of one size may be centred in volumes, on a device.

    Args:
        voxels: of each volume those that may be a centre, numbered in raster order of (D, H, W).
        shapes: voxels of each volume along (D, H, W).
        size: voxels of a window along (D, H, W).
        device: where they are kept.
    """

    def __init__(
        self,
        voxels: Sequence[NDArray[np.int64]],
        shapes: Sequence[Triple],
        size: Triple,
        device: torch.device,
    ) -> None:
        counts = torch.tensor([len(own) for own in voxels])
        self._voxels = torch.cat([torch.from_numpy(own.astype(np.int32)) for own in voxels]).to(device)
        self._counts, self._starts = counts.to(device), (counts.cumsum(0) - counts).to(device)
        self._shapes = torch.tensor(shapes, device=device)
        self._size = torch.tensor(size, device=device)

    def __len__(self) -> int:
        return len(self._counts)

    def centres(self, picks: Tensor, draws: Tensor, scale: Tensor) -> Tensor:
        """Centres of windows, moved inside their volume, as
        :func:`studykit.data.crops.windows.centre_inside` says: float64 (B, 3).

        Args:
            picks: int64 (B,), the volume of each.
            draws: float64 (B,) in [0, 1), which of its voxels.
            scale: float64 (B,), voxels of the volume that one of the window spans.
        """
        index = self._starts[picks] + (draws * self._counts[picks]).long()
        flat, shape, size = self._voxels[index].long(), self._shapes[picks], self._size
        rows = flat // shape[:, 2]
        voxel = torch.stack([rows // shape[:, 1], rows % shape[:, 1], flat % shape[:, 2]], dim=1)
        half = scale[:, None] * (size - 1) / 2
        last = shape.double() - 1
        inside = (voxel + 0.5 * (size % 2 == 0)).maximum(half).minimum(last - half)
        middle = (shape - size) // 2 + (size - 1) / 2
        return torch.where(2 * half > last, middle, inside)


class Turns:
    """Matrices that mirror, turn about one axis and scale, on a device: all of a batch at once."""

    def __init__(self, device: torch.device) -> None:
        along, across, turned = (torch.zeros(3, 3, 3, dtype=torch.float64) for _ in range(3))
        for axis in range(3):
            row, column = (other for other in range(3) if other != axis)
            along[axis, axis, axis] = 1
            across[axis, row, row] = across[axis, column, column] = 1
            turned[axis, row, column], turned[axis, column, row] = -1, 1
        self._parts = [part.to(device) for part in (along, across, turned)]

    def matrices(self, axes: Tensor, angles: Tensor, scale: Tensor, signs: Tensor) -> Tensor:
        """From steps of a crop along (D, H, W) to steps of its volume: float64 (B, 3, 3).

        Args:
            axes: int64 (B,), 0 to 2, the one that each is turned about.
            angles: float64 (B,), in radians.
            scale: float64 (B,).
            signs: float64 (B, 3), -1 along axes that are mirrored, else 1.
        """
        along, across, turned = (part[axes] for part in self._parts)
        cosine, sine = (own[:, None, None] for own in (angles.cos(), angles.sin()))
        return (along + cosine * across + sine * turned) * scale[:, None, None] * signs[:, None]


def warped(windows: Tensor, matrices: Tensor, centres: Tensor, size: Sequence[int]) -> Tensor:
    """Crops of windows by trilinear interpolation: (B, d, h, w) to (B, *size).

    Args:
        matrices: float32 (B, 3, 3), from steps of the crop along (D, H, W) to steps of the window.
        centres: float32 (B, 3), the crop's middle in voxels of the window.
        size: voxels of a crop.
    """
    # In grid_sample's order (W, H, D) and unit, where -1 and 1 are the first and the last voxel.
    units = [(axis, 2 / (windows.shape[1 + axis] - 1)) for axis in (2, 1, 0)]
    scaled = torch.stack([matrices[:, axis] * unit for axis, unit in units], dim=1)
    places = torch.stack([centres[:, axis] * unit - 1 for axis, unit in units], dim=1)
    places = places.view(-1, 1, 1, 1, 3)
    for axis, count in enumerate(size):
        steps = torch.arange(count, device=windows.device) - (count - 1) / 2
        shape = [1, 1, 1, 1, 1]
        shape[1 + axis] = count
        places = places + steps.view(shape) * scaled[:, :, axis].view(-1, 1, 1, 1, 3)
    sampled = F.grid_sample(
        windows[:, None], places, mode="bilinear", padding_mode="border", align_corners=True
    )
    return sampled[:, 0]
