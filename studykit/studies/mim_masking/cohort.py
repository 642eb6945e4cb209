"""Who is in the cohort, as tensors and as rows; and what masks hide of their arteries."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from studykit.data.angiography.subjects import AngiographyRow
from studykit.data.volumes.cache import PreparedVolume
from studykit.data.volumes.tensors import label_tensor, volume_tensor
from studykit.data.volumes.vesselness import vesselness_of
from studykit.layers.visibility import visible_at


def diameters(rows: Sequence[AngiographyRow]) -> dict[str, float]:
    """How many subjects, how many with an aneurysm, and its smallest, median and largest diameter in mm."""
    sizes = [row.diameter_mm for row in rows if row.present]
    return {
        "subjects": len(rows),
        "with an aneurysm": len(sizes),
        "smallest (mm)": min(sizes),
        "median (mm)": np.median(sizes),
        "largest (mm)": max(sizes),
    }


def image_and_vesselness(volumes: Iterable[PreparedVolume]) -> Tensor:
    """Volumes of one shape with their vesselness as second channel: (N, 2, D, H, W)."""
    return torch.stack(
        [torch.stack([volume_tensor(v)[0], torch.from_numpy(vesselness_of(v).T.copy())]) for v in volumes]
    )


def stacked(volumes: Iterable[PreparedVolume]) -> tuple[Tensor, Tensor]:
    """Labelled volumes of one shape: images (N, 1, D, H, W), label maps (N, D, H, W).

    Raises:
        ValueError: a volume has no labels.
    """
    volumes = list(volumes)
    return torch.stack([volume_tensor(v) for v in volumes]), torch.stack([label_tensor(v) for v in volumes])


def masked_out(image: Tensor, mask: Tensor) -> Tensor:
    """An image (1, D, H, W) with its mean at the voxels of hidden patches; mask: bool (d, h, w)."""
    return torch.where(visible_at(mask[None], image.shape[1:])[0], image.mean(), image)


def shares_hidden(masks: Tensor, labels: Tensor, names: Mapping[str, int]) -> dict[str, float]:
    """Share of all patches, and of the voxels of each label, that masks hide.

    Args:
        masks: bool (N, d, h, w), ``True`` = hidden.
        labels: (N, D, H, W), whole numbers.
        names: name → label.
    """
    voxels = visible_at(masks, labels.shape[1:])[:, 0]
    of = {f"of {name} voxels": voxels[labels == label].float().mean().item() for name, label in names.items()}
    return {"of all patches": masks.float().mean().item()} | of
