"""Random crops with their labels, balanced over the classes as nnU-Net does it (Isensee et al. 2021)."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from studykit.data.crops.augmentation import NUMBERS, Change, change_from, change_intensities, warp
from studykit.data.crops.windows import centre_inside, copy_inside, foreground_voxels, window_size
from studykit.data.volumes.cache import PreparedVolume
from studykit.data.volumes.tensors import label_tensor, volume_tensor

MOST_OF_A_CLASS = 10_000
UNLABELLED = -1


class LabelledCrops:
    """Random training crops of images and labels, cut and changed on the training device.

    A crop's volume is drawn first. With probability ``foreground_share`` the crop is then centred on a voxel
    of a class, drawn evenly among the classes of that volume, else on a voxel of the prepared foreground; it
    is moved so that it lies inside the volume. What it has beyond a smaller volume is background: the image's
    minimum, class 0. All random numbers come from a CPU generator and are the same on every device.

    Args:
        volumes: prepared volumes with labels; both are kept on ``device``.
        crop_size: voxels along (D, H, W), or one number.
        batch_size: crops in a global batch.
        classes: number of classes, background included: labels are 0 to ``classes`` - 1, or -1 where a voxel
            is not labelled.
        foreground_share: share of crops centred on a class.
        augment: whether to change crops, see :mod:`studykit.data.crops.augmentation`.
        flip: whether that may mirror them, along each axis. Not for labels that have sides: a mirrored left
            structure looks like the right one.
        constant_background: see :func:`studykit.data.volumes.tensors.volume_tensor`.

    Raises:
        ValueError: no volumes, one without labels or with a label of no class, or a setting out of range.
    """

    def __init__(
        self,
        volumes: Sequence[PreparedVolume],
        crop_size: int | tuple[int, int, int],
        batch_size: int,
        device: str | torch.device = "cpu",
        *,
        classes: int,
        foreground_share: float = 2 / 3,
        augment: bool = True,
        flip: bool = False,
        constant_background: bool = False,
    ) -> None:
        if not volumes:
            raise ValueError("labelled crops need at least one volume")
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        if classes < 2:
            raise ValueError(f"classes counts the background and at least one more, got {classes}")
        if not 0 <= foreground_share <= 1:
            raise ValueError(f"foreground_share must lie in 0 to 1, got {foreground_share}")
        self.crop_size = window_size(crop_size)
        self.batch_size = batch_size
        self.device = torch.device(device)
        self.foreground_share, self.augment, self.flip = foreground_share, augment, flip
        self._volumes = [_Labelled(v, classes, self.device, constant_background) for v in volumes]

    def draw(self, generator: torch.Generator, rows: slice = slice(None)) -> Tensor:
        """The next batch on the device, or some ``rows`` of it: float32 (B, 2, D, H, W), image and class.

        Args:
            generator: CPU generator; it advances by the same amount whatever ``rows`` is, so the ranks of a
                data-parallel job that share its state draw disjoint parts of one batch.
        """
        places = torch.rand(self.batch_size, 4, generator=generator, dtype=torch.float64)
        changes = torch.rand(self.batch_size, NUMBERS, generator=generator, dtype=torch.float64)
        seeds = torch.randint(2**62, (self.batch_size,), generator=generator)
        drawn = zip(places[rows].tolist(), changes[rows].tolist(), seeds[rows].tolist(), strict=True)
        batch = torch.empty(len(places[rows]), 2, *self.crop_size, device=self.device)
        for crop, (place, numbers, seed) in zip(batch, drawn, strict=True):
            self._fill(crop, place, change_from(numbers, seed) if self.augment else Change())
        return batch

    def _fill(self, crop: Tensor, place: list[float], change: Change) -> None:
        volume = self._volumes[int(place[0] * len(self._volumes))]
        voxel = volume.centre(place[1:], self.foreground_share)
        centre = centre_inside(voxel, volume.shape, self.crop_size, change.scale)
        if change.turn is None:
            volume.copy_window(
                crop, [round(c - (n - 1) / 2) for c, n in zip(centre, self.crop_size, strict=True)]
            )
        else:
            crop.copy_(self._turned(volume, centre, change.turn))
        if self.flip and any(change.mirrored):
            crop.copy_(crop.flip([1 + axis for axis in range(3) if change.mirrored[axis]]))
        crop[0] = change_intensities(crop[0], change)

    def _turned(self, volume: "_Labelled", centre: Sequence[float], turn: list[list[float]]) -> Tensor:
        """The crop from a window that is large enough for all of it."""
        half = [(side - 1) / 2 for side in self.crop_size]
        reach = [sum(abs(step) * h for step, h in zip(row, half, strict=True)) for row in turn]
        starts = [math.floor(c - r) for c, r in zip(centre, reach, strict=True)]
        stops = [math.ceil(c + r) + 1 for c, r in zip(centre, reach, strict=True)]
        window = torch.empty(2, *(b - a for a, b in zip(starts, stops, strict=True)), device=self.device)
        volume.copy_window(window, starts)
        return warp(window, turn, [c - s for c, s in zip(centre, starts, strict=True)], self.crop_size)


class _Labelled:
    """One volume on the device, and voxels of each of its classes."""

    def __init__(
        self, volume: PreparedVolume, classes: int, device: torch.device, constant_background: bool
    ) -> None:
        labels = label_tensor(volume)
        for value in (int(labels.min()), int(labels.max())):
            if not UNLABELLED <= value < classes:
                raise ValueError(
                    f"{volume.subject} has the label {value}; the declared classes are 0 to {classes - 1}, "
                    f"and {UNLABELLED} for voxels without a label. Declare more classes, or renumber them."
                )
        image = volume_tensor(volume, constant_background=constant_background)[0]
        self.shape = tuple(labels.shape)
        self._background = float(image.min())
        self._both = torch.stack([image, labels.float()]).to(device)
        self._foreground = foreground_voxels(volume)
        flat = labels.numpy().ravel()
        found = (np.flatnonzero(flat == label) for label in range(1, int(labels.max()) + 1))
        self._of_class = [voxels[:: 1 + len(voxels) // MOST_OF_A_CLASS] for voxels in found if len(voxels)]

    def centre(self, draws: list[float], foreground_share: float) -> tuple[int, ...]:
        """A voxel (d, h, w), from three draws: whether of a class, of which one, which voxel."""
        voxels = self._foreground
        if self._of_class and draws[0] < foreground_share:
            voxels = self._of_class[int(draws[1] * len(self._of_class))]
        return tuple(
            int(place) for place in np.unravel_index(voxels[int(draws[2] * len(voxels))], self.shape)
        )

    def copy_window(self, window: Tensor, starts: list[int]) -> None:
        """Fill ``window`` (2, d, h, w) with what lies at ``starts``, background beyond the volume."""
        for target, source, background in zip(window, self._both, (self._background, 0.0), strict=True):
            target.fill_(background)
            copy_inside(target, source, starts)
