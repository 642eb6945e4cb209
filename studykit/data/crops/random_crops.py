"""From prepared volumes to batches: fixed validation crops, and random crops on the training device.

A tensor's spatial axes (D, H, W) are a volume's (Z, Y, X), see :mod:`studykit.data.volumes.tensors`.
"""

import math
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from studykit.data.crops.resident_volumes import ResidentPlaces, ResidentVolumes, Turns, warped
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


Capture = Callable[[Callable[[], object], torch.device], Callable[[], object]]


class RandomCrops:
    """Random training crops, cut and warped on the training device.

    Each crop is centred on a random foreground voxel of a random volume, mirrored along each axis with
    probability 1/2, turned about one random axis and scaled; trilinear interpolation, background outside
    the volume. All random numbers of a batch come from a CPU generator and are the same on every device. On
    a GPU crops are cut all at once, see :mod:`studykit.data.crops.resident_volumes`; nothing waits for it.

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
        captured: makes of work of a device what does it again, quicker where that can be, such as
            :func:`studykit.training.graphs.replayed`.

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
        captured: Capture = lambda turn, device: turn,
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
        self._captured = captured
        self._centres = [_Centres(volume) for volume in volumes]
        images = [volume_tensor(v, constant_background=constant_background)[0] for v in volumes]
        layers = [(images, [float(image.min()) for image in images])]
        if companions is not None:
            if [image.shape for image in companions] != [image.shape for image in images]:
                raise ValueError("companions need the sizes of their volumes")
            layers.append((list(companions), [0.0] * len(images)))
        self._layers = layers
        self._resident = [ResidentVolumes(*layer, self.device) for layer in layers] if self._at_once else []
        if self._resident:
            voxels, shapes = [own.flat for own in self._centres], [own.shape for own in self._centres]
            self._places = ResidentPlaces(voxels, shapes, self.crop_size, self.device)
            self._turns = Turns(self.device)
            self._cutters: dict[int, tuple[Tensor, Tensor, Callable[[], object]]] = {}

    def draw(self, generator: torch.Generator, rows: slice = slice(None)) -> Tensor:
        """The next batch (B, 1 or 2, D, H, W) float32 on the device, or some ``rows`` of it.

        Args:
            generator: CPU generator; it advances by the same amount whatever ``rows`` is, so the ranks of a
                data-parallel job that share its state draw disjoint parts of one batch.
        """
        draws = torch.rand(self.batch_size, 8, generator=generator, dtype=torch.float64)
        if self._resident:
            return self._cut_at_once(draws[rows])
        warps = [self._warp(row) for row in draws[rows].tolist()]
        batch = torch.empty(len(warps), len(self._layers), *self.crop_size)
        for crop, own in zip(batch, warps, strict=True):
            for layer in range(len(self._layers)):
                crop[layer] = self._sample(own, layer)
        return batch

    @property
    def _at_once(self) -> bool:
        """Whether a batch is cut as a whole; on a CPU it is crop by crop, which stay in the cache."""
        return self.device.type != "cpu"

    def _cut_at_once(self, draws: Tensor) -> Tensor:
        """Crops of numbers that were drawn, float64 (B, 8): captured at the first batch of that many.

        Its hundred and more kernels would take a host about as long as a small network's whole step.
        """
        if len(draws) not in self._cutters:
            numbers, this = draws.to(self.device), weakref.proxy(self)
            crops = torch.empty(len(draws), len(self._layers), *self.crop_size, device=self.device)
            turn = self._captured(lambda: crops.copy_(this._sample_at_once(numbers)), self.device)
            self._cutters[len(draws)] = numbers, crops, turn
        numbers, crops, turn = self._cutters[len(draws)]
        numbers.copy_(draws.pin_memory() if self.device.type == "cuda" else draws, non_blocking=True)
        turn()
        return crops.clone()

    def _sample_at_once(self, numbers: Tensor) -> Tensor:
        """All crops of all layers (B, L, D, H, W), from numbers (B, 8) on the device.

        It gives what :meth:`_warp` and :meth:`_sample` give.
        """
        pick, place, axis, turn, grow = (numbers[:, index] for index in (0, 1, 5, 6, 7))
        volumes = (pick * len(self._places)).long()
        scale = self.scale[0] + grow * (self.scale[1] - self.scale[0])
        signs = 1.0 - 2.0 * (numbers[:, 2:5] < 0.5) if self.flip else torch.ones_like(numbers[:, 2:5])
        angles = math.radians(self.rotate_degrees) * (2 * turn - 1)
        centres = self._places.centres(volumes, place, scale)
        reach = [max(own) for own in zip(*(self._axis_reach(axis) for axis in range(3)), strict=True)]
        starts = centres.floor().long()
        starts = torch.stack(
            [own - (math.ceil(r) + 1) for own, r in zip(starts.unbind(1), reach, strict=True)], dim=1
        )
        matrices = self._turns.matrices((axis * 3).long(), angles, scale, signs.double())
        where = volumes, starts, [2 * math.ceil(r) + 3 for r in reach]
        turns = matrices.float(), (centres - starts).float(), self.crop_size
        return torch.stack([warped(layer.windows(*where), *turns) for layer in self._resident], dim=1)

    def _axis_reach(self, axis: int) -> list[float]:
        """Largest distance along (D, H, W) from the centre of a crop that is turned about ``axis``."""
        order = (axis, *(other for other in range(3) if other != axis))
        reach = self._reach([self.crop_size[other] for other in order])
        return [reach[order.index(own)] for own in range(3)]

    def _warp(self, draws: list[float]) -> "_Warp":
        pick, place, *mirror, axis, turn, grow = draws
        volume = int(pick * len(self._centres))
        scale = self.scale[0] + grow * (self.scale[1] - self.scale[0])
        centre = self._centres[volume].place(place, self.crop_size, scale)
        signs = tuple(-1.0 if self.flip and value < 0.5 else 1.0 for value in mirror)
        angle = math.radians(self.rotate_degrees) * (2 * turn - 1)
        return _Warp(volume, centre, signs, int(axis * 3), angle, scale)

    def _sample(self, warp: "_Warp", layer: int) -> Tensor:
        """A crop (D, H, W) of one layer.

        Its warp is linear interpolation along the turning axis followed by bilinear interpolation across it,
        which is trilinear interpolation at a fraction of its cost.
        """
        images, outside = self._layers[layer]
        order = (warp.axis, *(other for other in range(3) if other != warp.axis))
        size, centre, signs = (
            [own[other] for other in order] for own in (self.crop_size, warp.centre, warp.signs)
        )
        reach = self._reach(size)
        starts = [math.floor(c) - math.ceil(r) - 1 for c, r in zip(centre, reach, strict=True)]
        local = [c - s for c, s in zip(centre, starts, strict=True)]
        window = torch.full([2 * math.ceil(r) + 3 for r in reach], outside[warp.volume])
        copy_inside(window, images[warp.volume].permute(order), starts)
        offsets = torch.arange(size[0], dtype=torch.float64) - (size[0] - 1) / 2
        along = local[0] + warp.scale * signs[0] * offsets
        left = along.floor()
        index, share = left.long(), (along - left).float()[:, None, None]
        lines = torch.lerp(window.index_select(0, index), window.index_select(0, index + 1), share)
        plane = torch.tensor([_plane_matrix(warp, local[1:], signs[1:], window.shape[1:])])
        grid = _plane_grid(plane, size[1], size[2])
        sampled = F.grid_sample(lines[None], grid, mode="bilinear", padding_mode="border", align_corners=True)
        return sampled[0].permute(tuple(order.index(other) for other in range(3)))

    def _reach(self, size: Sequence[int]) -> list[float]:
        """Largest distance in voxels from a crop's centre, along the turning axis and the two others."""
        half = [self.scale[1] * (n - 1) / 2 for n in size]
        widest = math.radians(self.rotate_degrees)
        reach = [half[0]]
        for own, other in ((half[1], half[2]), (half[2], half[1])):
            angle = min(widest, math.atan2(other, own))
            reach.append(own * math.cos(angle) + other * math.sin(angle))
        return reach


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


def _plane_grid(planes: Tensor, rows: int, columns: int) -> Tensor:
    """Sampling positions (B, rows, columns, 2) of (B, 2, 3) matrices, without a product in TF32."""
    row = torch.arange(rows, device=planes.device) - (rows - 1) / 2
    column = torch.arange(columns, device=planes.device) - (columns - 1) / 2
    along, down, shift = planes[:, None, None].unbind(-1)
    return along * column[:, None] + (down * row[:, None, None] + shift)
