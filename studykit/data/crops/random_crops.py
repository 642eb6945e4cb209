"""From prepared volumes to batches: fixed validation crops, and random crops on the training device.

A tensor's spatial axes (D, H, W) are a volume's (Z, Y, X), see :mod:`studykit.data.volumes.tensors`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from studykit.data.crops.windows import centre_inside, copy_inside, foreground_voxels, window_size
from studykit.data.volumes.cache import PreparedVolume
from studykit.data.volumes.tensors import volume_tensor


def fixed_crops(
    volumes: Sequence[PreparedVolume],
    crop_size: int | tuple[int, int, int],
    per_volume: int,
    generator: torch.Generator,
    *,
    constant_background: bool = False,
) -> Tensor:
    """Crops for validation, without augmentation: (len(volumes) · per_volume, 1, D, H, W) float32 on the CPU.

    Centres are foreground voxels drawn from ``generator`` (CPU), moved so that the crop lies inside the
    volume; where a volume is smaller than the crop, it is centred on its own minimum (the background).
    ``constant_background``: see :func:`volume_tensor`.
    """
    size = window_size(crop_size)
    crops = []
    for volume in volumes:
        centres = _Centres(volume)
        image = volume_tensor(volume, constant_background=constant_background)[0]
        for draw in torch.rand(per_volume, generator=generator, dtype=torch.float64).tolist():
            centre = centres.place(draw, size, scale=1.0)
            starts = [round(c - (n - 1) / 2) for c, n in zip(centre, size, strict=True)]
            crop = image.new_full((1, *size), float(image.min()))
            copy_inside(crop[0], image, starts)
            crops.append(crop)
    return torch.stack(crops)


class RandomCrops:
    """Random training crops, cut and warped on the training device.

    Each crop is centred on a random foreground voxel of a random volume, mirrored along each axis with
    probability 1/2, turned about one random axis and scaled; trilinear interpolation, background outside
    the volume. All random numbers of a batch come from a CPU generator and are the same on every device.
    Nothing waits for the device.

    Args:
        volumes: prepared volumes; their images are kept on ``device``.
        crop_size: voxels along (D, H, W), or one number.
        batch_size: crops in a global batch.
        flip: whether to mirror.
        rotate_degrees: largest angle, either way.
        scale: smallest and largest number of volume voxels that one crop voxel spans.
        constant_background: see :func:`volume_tensor`.
        companions: for each volume an image (D, H, W) of its size, such as its vesselness, that is cut and
            warped with it into a second channel; 0 outside the volume.

    Raises:
        ValueError: no volumes, a setting out of range, or companions of other sizes.
    """

    def __init__(
        self,
        volumes: Sequence[PreparedVolume],
        crop_size: int | tuple[int, int, int],
        batch_size: int,
        device: str | torch.device = "cpu",
        *,
        flip: bool = True,
        rotate_degrees: float = 10.0,
        scale: tuple[float, float] = (0.9, 1.1),
        constant_background: bool = False,
        companions: Sequence[Tensor] | None = None,
    ) -> None:
        if not volumes:
            raise ValueError("random crops need at least one volume")
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        if not 0 < scale[0] <= scale[1]:
            raise ValueError(f"scale must be two rising positive numbers, got {scale}")
        if not 0 <= rotate_degrees <= 180:
            raise ValueError(f"rotate_degrees must lie in 0 to 180, got {rotate_degrees}")
        self.crop_size = window_size(crop_size)
        self.batch_size = batch_size
        self.device = torch.device(device)
        self.flip, self.rotate_degrees, self.scale = flip, rotate_degrees, scale
        self._centres = [_Centres(volume) for volume in volumes]
        images = [volume_tensor(v, constant_background=constant_background)[0] for v in volumes]
        layers = [(images, [float(image.min()) for image in images])]
        if companions is not None:
            if [image.shape for image in companions] != [image.shape for image in images]:
                raise ValueError("companions need the sizes of their volumes")
            layers.append((list(companions), [0.0] * len(images)))
        self._layers = [([image.to(self.device) for image in own], outside) for own, outside in layers]

    def draw(self, generator: torch.Generator, rows: slice = slice(None)) -> Tensor:
        """The next batch (B, 1 or 2, D, H, W) float32 on the device, or some ``rows`` of it.

        Args:
            generator: CPU generator; it advances by the same amount whatever ``rows`` is, so the ranks of a
                data-parallel job that share its state draw disjoint parts of one batch.
        """
        draws = torch.rand(self.batch_size, 8, generator=generator, dtype=torch.float64)
        warps = [self._warp(row) for row in draws[rows].tolist()]
        batch = torch.empty(len(warps), len(self._layers), *self.crop_size, device=self.device)
        for group in self._groups(warps):
            for layer in range(len(self._layers)):
                self._sample(
                    [warps[index] for index in group], [batch[index, layer] for index in group], layer
                )
        return batch

    def _groups(self, warps: list["_Warp"]) -> list[list[int]]:
        """Crops to sample together: one on a CPU, whose cache holds it; else all of one axis."""
        if self.device.type == "cpu":
            return [[index] for index in range(len(warps))]
        by_axis = [[index for index, warp in enumerate(warps) if warp.axis == axis] for axis in range(3)]
        return [group for group in by_axis if group]

    def _warp(self, draws: list[float]) -> "_Warp":
        pick, place, *mirror, axis, turn, grow = draws
        volume = int(pick * len(self._centres))
        scale = self.scale[0] + grow * (self.scale[1] - self.scale[0])
        centre = self._centres[volume].place(place, self.crop_size, scale)
        signs = tuple(-1.0 if self.flip and value < 0.5 else 1.0 for value in mirror)
        angle = math.radians(self.rotate_degrees) * (2 * turn - 1)
        return _Warp(volume, centre, signs, int(axis * 3), angle, scale)

    def _sample(self, warps: list["_Warp"], crops: list[Tensor], layer: int) -> None:
        """Fill ``crops`` (D, H, W) of one layer, all of them turned about the same axis.

        Such a warp is linear interpolation along the axis followed by bilinear interpolation across it,
        which is trilinear interpolation at a fraction of its cost.
        """
        images, outside = self._layers[layer]
        axis = warps[0].axis
        order = (axis, *(other for other in range(3) if other != axis))
        size = [self.crop_size[other] for other in order]
        reach = self._reach(size)
        window = [2 * math.ceil(r) + 3 for r in reach]
        windows = torch.empty(len(warps), *window, device=self.device)
        places, steps, planes = [], [], []
        for index, warp in enumerate(warps):
            centre = [warp.centre[other] for other in order]
            signs = [warp.signs[other] for other in order]
            starts = [math.floor(c) - math.ceil(r) - 1 for c, r in zip(centre, reach, strict=True)]
            local = [c - s for c, s in zip(centre, starts, strict=True)]
            windows[index].fill_(outside[warp.volume])
            copy_inside(windows[index], images[warp.volume].permute(order), starts)
            places.append(local[0])
            steps.append(warp.scale * signs[0])
            planes.append(_plane_matrix(warp, local[1:], signs[1:], window[1:]))
        offsets = torch.arange(size[0], dtype=torch.float64) - (size[0] - 1) / 2
        along = _column(places) + _column(steps) * offsets
        base = torch.arange(len(warps))[:, None] * window[0]
        left = along.floor()
        index = self._send((base + left.long()).flatten())
        share = self._send((along - left).float().flatten()[:, None, None])
        slabs = windows.flatten(0, 1)
        lines = torch.lerp(slabs.index_select(0, index), slabs.index_select(0, index + 1), share)
        lines = lines.unflatten(0, (len(warps), size[0]))
        grid = _plane_grid(self._send(torch.tensor(planes, dtype=torch.float32)), size[1], size[2])
        sampled = F.grid_sample(lines, grid, mode="bilinear", padding_mode="border", align_corners=True)
        back = tuple(order.index(other) for other in range(3))
        for crop, values in zip(crops, sampled, strict=True):
            crop.copy_(values.permute(back))

    def _reach(self, size: Sequence[int]) -> list[float]:
        """Largest distance in voxels from a crop's centre, along the turning axis and the two others."""
        half = [self.scale[1] * (n - 1) / 2 for n in size]
        widest = math.radians(self.rotate_degrees)
        reach = [half[0]]
        for own, other in ((half[1], half[2]), (half[2], half[1])):
            angle = min(widest, math.atan2(other, own))
            reach.append(own * math.cos(angle) + other * math.sin(angle))
        return reach

    def _send(self, values: Tensor) -> Tensor:
        if self.device.type == "cuda":
            values = values.pin_memory()
        return values.to(self.device, non_blocking=True)


@dataclass(frozen=True)
class _Warp:
    """One crop: centre (d, h, w) in voxels, mirror signs, turning axis, angle in radians, scale."""

    volume: int
    centre: tuple[float, float, float]
    signs: tuple[float, float, float]
    axis: int
    angle: float
    scale: float


class _Centres:
    """Where crops of one volume may be centred: its foreground voxels."""

    def __init__(self, volume: PreparedVolume) -> None:
        self.shape = volume.foreground.shape[::-1]
        self.flat = foreground_voxels(volume)

    def place(self, draw: float, size: tuple[int, int, int], scale: float) -> tuple[float, ...]:
        """The crop's centre for ``draw`` in [0, 1)."""
        voxel = np.unravel_index(self.flat[int(draw * len(self.flat))], self.shape)
        return centre_inside(voxel, self.shape, size, scale)


def _plane_matrix(
    warp: _Warp, centre: Sequence[float], signs: Sequence[float], window: Sequence[int]
) -> list[list[float]]:
    """2x3: takes (column, row, 1) about a crop's centre to window (x, y) in [-1, 1], corners aligned."""
    cosine, sine = warp.scale * math.cos(warp.angle), warp.scale * math.sin(warp.angle)
    across, down = 2 / (window[1] - 1), 2 / (window[0] - 1)
    return [
        [cosine * signs[1] * across, sine * signs[0] * across, centre[1] * across - 1],
        [-sine * signs[1] * down, cosine * signs[0] * down, centre[0] * down - 1],
    ]


def _column(values: list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)[:, None]


def _plane_grid(planes: Tensor, rows: int, columns: int) -> Tensor:
    """Sampling positions (B, rows, columns, 2) of (B, 2, 3) matrices, without a product in TF32."""
    row = torch.arange(rows, device=planes.device) - (rows - 1) / 2
    column = torch.arange(columns, device=planes.device) - (columns - 1) / 2
    along, down, shift = planes[:, None, None].unbind(-1)
    return along * column[:, None] + (down * row[:, None, None] + shift)
