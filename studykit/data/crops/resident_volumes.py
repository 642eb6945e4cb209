"""Volumes that stay on a GPU, and crops of many of them at once: a few launches for a whole batch.

Cutting crop by crop keeps a host busy for longer than a small network's step takes on a GPU. Here the volumes
of a layer lie one after the other in memory; a crop's window is one gather of it, and a warp one trilinear
interpolation of all windows.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


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
