"""Training batches for detection: whole fields of view with the site's number in each aneurysm voxel."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from studykit.data.angiography.sites import MIRRORED
from studykit.data.volumes.cache import PreparedVolume
from studykit.data.volumes.tensors import label_tensor, volume_tensor

CONTRAST = 0.1
"""Largest relative change of a volume's contrast."""
BRIGHTNESS = 0.1
"""Largest shift of its standardised intensities."""


def detection_volume(volume: PreparedVolume, aneurysm_label: int, site_number: int) -> Tensor:
    """Image and sites of a volume with at most one aneurysm: float32 (2, D, H, W).

    Args:
        aneurysm_label: of the volume's label map.
        site_number: what its voxels get in channel 1, see :data:`studykit.data.angiography.sites.SITES`.

    Raises:
        ValueError: the volume has no labels, or has that label without a site.
    """
    there = label_tensor(volume) == aneurysm_label
    if site_number == 0 and there.any():
        raise ValueError(f"{volume.subject} has an aneurysm in its labels, but no site")
    return torch.cat([volume_tensor(volume), site_number * there[None].float()])


class DetectionCrops:
    """Whole volumes, half of each batch with an aneurysm: shifted, mirrored left to right, other intensities.

    A mirrored volume has its sites on the other side too. All random numbers of a batch come from a CPU
    generator and are the same on every device.

    Args:
        volumes: (2, D, H, W) of one size, as :func:`detection_volume` gives them; kept on ``device``.
        batch_size: volumes in a global batch.
        shift: largest number of voxels along each axis, either way; what comes in repeats the border, with
            no aneurysm.
        mirror: whether to mirror half of them.

    Raises:
        ValueError: no volume with or none without an aneurysm, sizes that differ, or an odd batch.
    """

    def __init__(
        self,
        volumes: Sequence[Tensor],
        batch_size: int,
        device: str | torch.device = "cpu",
        *,
        shift: int = 3,
        mirror: bool = True,
    ) -> None:
        if batch_size < 2 or batch_size % 2:
            raise ValueError(
                f"half of a detection batch is positive: batch_size must be even, got {batch_size}"
            )
        if len({tuple(volume.shape) for volume in volumes}) != 1 or volumes[0].shape[0] != 2:
            shapes = sorted({tuple(volume.shape) for volume in volumes})
            raise ValueError(f"volumes must all be (2, D, H, W) of one size, got {shapes}")
        self.batch_size, self.shift, self.mirror = batch_size, shift, mirror
        self.device = torch.device(device)
        positive = [bool(volume[1].any()) for volume in volumes]
        self._with = np.flatnonzero(positive).tolist()
        self._without = np.flatnonzero(~np.array(positive)).tolist()
        if not self._with or not self._without:
            raise ValueError(
                "half of a detection batch is positive: it needs volumes with and without an aneurysm, got "
                f"{len(self._with)} and {len(self._without)}"
            )
        self._volumes = torch.stack(list(volumes)).to(self.device)
        self._mirrored = torch.tensor(MIRRORED, dtype=torch.float32, device=self.device)

    def draw(self, generator: torch.Generator, rows: slice = slice(None)) -> Tensor:
        """The next batch (B, 2, D, H, W) float32 on the device, or some ``rows``; even rows are positive.

        Args:
            generator: CPU generator; it advances by the same amount whatever ``rows`` is.
        """
        draws = torch.rand(self.batch_size, 7, generator=generator, dtype=torch.float64).tolist()
        return torch.stack([self._one(row, *draws[row]) for row in range(self.batch_size)[rows]])

    def _one(
        self,
        row: int,
        pick: float,
        mirror: float,
        contrast: float,
        brightness: float,
        *shifts: float,
    ) -> Tensor:
        among = self._without if row % 2 else self._with
        volume = _shifted(
            self._volumes[among[int(pick * len(among))]],
            [int(draw * (2 * self.shift + 1)) - self.shift for draw in shifts],
        )
        image, sites = volume
        if self.mirror and mirror < 0.5:
            image, sites = image.flip(2), self._mirrored[sites.flip(2).long()]
        scale, offset = 1 + CONTRAST * (2 * contrast - 1), BRIGHTNESS * (2 * brightness - 1)
        return torch.stack([scale * image + offset, sites])


def _shifted(volume: Tensor, shifts: Sequence[int]) -> Tensor:
    """(2, D, H, W) moved by whole voxels: the image's border is repeated, the sites end."""
    for axis, shift in enumerate(shifts, start=1):
        side = volume.shape[axis]
        index = torch.arange(side, device=volume.device) - shift
        volume = volume.index_select(axis, index.clamp(0, side - 1))
        outside = (index < 0) | (index >= side)
        volume[1].masked_fill_(outside.view([side if own == axis else 1 for own in (1, 2, 3)]), 0)
    return volume
