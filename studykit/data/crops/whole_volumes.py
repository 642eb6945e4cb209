"""Training batches for classification: whole fields of view, each subject's class in a second channel."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from studykit.data.crops.detection_crops import BRIGHTNESS, CONTRAST
from studykit.data.volumes.cache import PreparedVolume
from studykit.data.volumes.tensors import label_tensor, volume_tensor


def whole_volume(volume: PreparedVolume, side: int, *, constant_background: bool = False) -> Tensor:
    """The middle ``side`` voxels of a volume along each axis: float32 (1, side, side, side).

    A volume that is smaller gets its smallest value around it.
    """
    image = volume_tensor(volume, constant_background=constant_background)
    return F.pad(image, _margins(image.shape[1:], side), value=float(image.min()))


def whole_labels(volume: PreparedVolume, side: int) -> Tensor:
    """The labels of :func:`whole_volume`, 0 around a volume that is smaller: int64 (side, side, side).

    Raises:
        ValueError: the volume has no labels.
    """
    labels = label_tensor(volume)
    return F.pad(labels, _margins(labels.shape, side))


def _margins(shape: Sequence[int], side: int) -> list[int]:
    """Voxels before and after each axis, the last axis first; below 0 where there are too many."""
    missing = [side - length for length in reversed(shape)]
    return [part for each in missing for part in (each // 2, each - each // 2)]


class WholeVolumes:
    """Whole volumes, every class as often: mirrored left to right, other intensities.

    None is moved: where a thing is tells groups apart, and heads do not all stand alike as it is. All random
    numbers of a batch come from a CPU generator and are the same on every device.

    Args:
        volumes: float32 (N, 1, D, H, W), kept on ``device``.
        classes: class number of each, from 0; each class has a volume.
        batch_size: volumes in a global batch, a multiple of the number of classes.

    Raises:
        ValueError: a class without a volume, fewer than two classes, or a batch that they cannot share.
    """

    def __init__(
        self,
        volumes: Tensor,
        classes: Sequence[int],
        batch_size: int,
        device: str | torch.device = "cpu",
    ) -> None:
        count = max(classes, default=0) + 1
        self._of_class = [[i for i, own in enumerate(classes) if own == number] for number in range(count)]
        if count < 2 or not all(self._of_class):
            held = [len(own) for own in self._of_class]
            raise ValueError(f"classification needs volumes of every class, two at least; it has {held}")
        if batch_size < count or batch_size % count:
            raise ValueError(f"batch_size must be a multiple of the {count} classes, got {batch_size}")
        self.batch_size = batch_size
        self.device = torch.device(device)
        self._volumes = volumes.to(self.device)

    def draw(self, generator: torch.Generator, rows: slice = slice(None)) -> Tensor:
        """The next batch (B, 2, D, H, W) float32 on the device, or some ``rows``; classes take turns.

        Args:
            generator: CPU generator; it advances by the same amount whatever ``rows`` is.
        """
        draws = torch.rand(self.batch_size, 4, generator=generator, dtype=torch.float64).tolist()
        return torch.stack([self._one(row, *draws[row]) for row in range(self.batch_size)[rows]])

    def _one(self, row: int, pick: float, mirror: float, contrast: float, brightness: float) -> Tensor:
        number = row % len(self._of_class)
        among = self._of_class[number]
        image = self._volumes[among[int(pick * len(among))]]
        if mirror < 0.5:
            image = image.flip(-1)
        scale, offset = 1 + CONTRAST * (2 * contrast - 1), BRIGHTNESS * (2 * brightness - 1)
        return torch.cat([scale * image + offset, torch.full_like(image, number)])
