"""Aneurysm detection: whole fields of view train, the area under the ROC curve validates."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from studykit.data.aneurysms import image_and_sites, open_aneurysms
from studykit.data.angiography.sites import LABELS, PRESENT
from studykit.data.angiography.subjects import Row
from studykit.data.crops.detection_crops import DetectionCrops
from studykit.data.volumes.cache import PreparedVolume
from studykit.methods.detection import Detector
from studykit.metrics.detection import auc, weighted_auc
from studykit.tasks.reconstruction import check_fingerprint
from studykit.training.config import TrainingConfig
from studykit.training.distributed import World

VOLUMES_AT_ONCE = 8
TEST_COLUMNS = (
    "subject",
    "diameter_mm",
    *(f"{kind} {name}" for kind in ("score", "label") for name in LABELS),
)
"""Of :func:`test_rows`."""


@dataclass(frozen=True)
class Recipe:
    """Which fields of view train, and which validate.

    Attributes:
        source: name for :func:`studykit.data.aneurysms.open_aneurysms`.
        fingerprint: of the prepared volumes; work on others is refused.
        spacing_mm: voxel size.
        crop_size: voxels an axis of the field of view.
        train, held_out: subject ids.
    """

    version: ClassVar[int] = 1
    """Raised when one recipe gives other training batches or validation scores than before."""

    source: str
    fingerprint: str
    spacing_mm: float
    crop_size: int
    train: tuple[str, ...]
    held_out: tuple[str, ...]

    def identity(self) -> dict[str, Any]:
        """Plain values that decide the data."""
        return asdict(self)


def ground(
    recipe: Recipe, method: Detector, training: TrainingConfig, world: World
) -> tuple[DetectionCrops, Callable[[Detector], dict[str, float]]]:
    """Training batches on the device, and the validation.

    Raises:
        ValueError: the source holds other volumes than the recipe was made for, or training subjects that all
            have an aneurysm, or none.
    """
    data, rows = open_aneurysms(recipe.source, recipe.spacing_mm)
    check_fingerprint(recipe, data)
    size = recipe.crop_size
    train, held_out = (batch_of(data.select(ids), rows, size) for ids in (recipe.train, recipe.held_out))
    truth = labels_of(data.select(recipe.held_out), rows)
    images = held_out[:, :1].to(world.device)

    def validate(method: Detector) -> dict[str, float]:
        """``error``, which is 1 - AUC of "aneurysm present", and the challenge's weighted AUC."""
        scores = scores_of(method, images)
        present = LABELS.index(PRESENT)
        return {
            "error": 1 - auc(scores[:, present].numpy(), truth[:, present].numpy()),
            "weighted_auc": weighted_auc(scores.numpy(), truth.numpy()),
        }

    return DetectionCrops(list(train), training.batch_size, world.device), validate


def batch_of(volumes: Sequence[PreparedVolume], rows: Sequence[Row], crop_size: int) -> Tensor:
    """Images and sites of whole fields of view, float32 (N, 2, D, H, W)."""
    row_of = {row.id: row for row in rows}
    return torch.stack([image_and_sites(volume, row_of[volume.subject], crop_size) for volume in volumes])


def labels_of(volumes: Sequence[PreparedVolume], rows: Sequence[Row]) -> Tensor:
    """The challenge's labels of each volume, int64 (N, 14)."""
    labels = {row.id: row.labels for row in rows}
    return torch.tensor([labels[volume.subject] for volume in volumes])


@torch.no_grad()
def scores_of(method: Detector, images: Tensor) -> Tensor:
    """Probabilities of the fourteen labels for images (N, 1, D, H, W): (N, 14) on the CPU."""
    return torch.cat([method.score(part).float().cpu() for part in images.split(VOLUMES_AT_ONCE)])


def test_rows(
    method: Detector, volumes: Sequence[PreparedVolume], rows: Sequence[Row], crop_size: int
) -> list[dict[str, Any]]:
    """A row for each volume: ``subject``, ``diameter_mm`` of its aneurysm, ``score NAME`` and ``label NAME``.

    NAME is each of :data:`studykit.data.angiography.sites.LABELS`. The diameter is NaN without an aneurysm; a
    score is a probability, a label 0 or 1.
    """
    diameters = {row.id: row.diameter_mm for row in rows}
    images = batch_of(volumes, rows, crop_size)[:, :1]
    scores = scores_of(method, images.to(next(method.parameters(), images).device))
    return [
        {"subject": volume.subject, "diameter_mm": diameters[volume.subject]}
        | {f"score {name}": float(value) for name, value in zip(LABELS, score, strict=True)}
        | {f"label {name}": int(value) for name, value in zip(LABELS, label, strict=True)}
        for volume, score, label in zip(volumes, scores, labels_of(volumes, rows), strict=True)
    ]
