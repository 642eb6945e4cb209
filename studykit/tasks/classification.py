"""Classification: whole fields of view train and validate, with a trait of each subject as the class."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from studykit.data.crops.whole_volumes import WholeVolumes, whole_volume
from studykit.data.files.digests import text_sha256
from studykit.data.sources import prepared_source
from studykit.data.traits import Traits, open_traits
from studykit.data.volumes.cache import Prepared, PreparedVolume
from studykit.methods.classification import Classifier
from studykit.metrics.classification import log_loss
from studykit.metrics.detection import auc
from studykit.training.config import TrainingConfig
from studykit.training.distributed import World

VOLUMES_AT_ONCE = 8
TEST_COLUMNS = ("subject", "score", "label")


@dataclass(frozen=True)
class Recipe:
    """Which subjects train, which validate, and by which of their traits.

    Attributes:
        source: of volumes, for :func:`studykit.data.sources.prepared_source`.
        fingerprint: of the prepared volumes and the trait of each, see :func:`fingerprint`.
        spacing_mm: voxel size after resampling.
        crop_size: voxels an axis of the field of view.
        train, held_out: subject ids.
        trait: what is told apart.
        classes: its two values; a score is the probability of the second.
        constant_background: whether all that is outside the foreground has one value, the smallest.
    """

    version: ClassVar[int] = 1
    """Raised when one recipe gives other training batches or validation scores than before."""

    source: str
    fingerprint: str
    spacing_mm: float
    crop_size: int
    train: tuple[str, ...]
    held_out: tuple[str, ...]
    trait: str
    classes: tuple[str, ...]
    constant_background: bool = False

    def identity(self) -> dict[str, Any]:
        """Plain values that decide the data."""
        return asdict(self)


def fingerprint(data: Prepared, traits: Traits, trait: str) -> str:
    """Of the volumes, and of what each subject is."""
    truth = [traits.of.get(volume.subject, {}).get(trait) for volume in data.volumes]
    return text_sha256(json.dumps([data.fingerprint, trait, list(traits.values[trait]), truth]))


def ground(
    recipe: Recipe, method: Classifier, training: TrainingConfig, world: World
) -> tuple[WholeVolumes, Callable[[Classifier], dict[str, float]]]:
    """Training batches on the device, and the validation.

    Raises:
        ValueError: the source holds other volumes or traits than the recipe was made for, or training or
            held-out subjects that are all of one class.
    """
    data, traits = prepared_source(recipe.source, recipe.spacing_mm), open_traits(recipe.source)
    if fingerprint(data, traits, recipe.trait) != recipe.fingerprint:
        raise ValueError(
            f"{recipe.source} holds other volumes, or another {recipe.trait} of a subject, than this run was "
            "configured for; open the study again."
        )
    train, held_out = (data.select(ids) for ids in (recipe.train, recipe.held_out))
    known, truth = (classes_of(volumes, traits, recipe) for volumes in (train, held_out))
    background = {"constant_background": recipe.constant_background}
    seen, images = (images_of(volumes, recipe.crop_size, **background) for volumes in (train, held_out))
    batches, images = (
        WholeVolumes(seen, known.tolist(), training.batch_size, world.device),
        images.to(world.device),
    )

    def validate(method: Classifier) -> dict[str, float]:
        """``error``, the log loss in nats, and ``auroc``."""
        scores = scores_of(method, images)
        return {"error": log_loss(scores, truth.numpy()), "auroc": auc(scores, truth.numpy())}

    return batches, validate


def images_of(
    volumes: Sequence[PreparedVolume], crop_size: int, *, constant_background: bool = False
) -> Tensor:
    """Whole fields of view, float32 (N, 1, crop_size, crop_size, crop_size)."""
    options = {"constant_background": constant_background}
    return torch.stack([whole_volume(volume, crop_size, **options) for volume in volumes])


def classes_of(volumes: Sequence[PreparedVolume], traits: Traits, recipe: Recipe) -> Tensor:
    """Class number of each volume, int64 (N,).

    Raises:
        ValueError: a subject whose trait is not known, or one class only.
    """
    return torch.tensor(traits.numbers(recipe.trait, [volume.subject for volume in volumes]))


@torch.no_grad()
def scores_of(method: Classifier, images: Tensor) -> np.ndarray:
    """Probability of the second class for images (N, 1, D, H, W): float64 (N,)."""
    parts = [method.score(part)[:, 1].double().cpu() for part in images.split(VOLUMES_AT_ONCE)]
    return torch.cat(parts).numpy()


def test_rows(
    method: Classifier, volumes: Sequence[PreparedVolume], traits: Traits, recipe: Recipe
) -> list[dict[str, Any]]:
    """A row for each volume: ``subject``, ``score`` (probability of the second class), ``label`` (0 or 1).

    Volumes whose trait is not known are left out.
    """
    known = set(traits.having(recipe.trait, [volume.subject for volume in volumes]))
    volumes = [volume for volume in volumes if volume.subject in known]
    device = next(method.parameters()).device
    images = images_of(volumes, recipe.crop_size, constant_background=recipe.constant_background)
    scores = scores_of(method, images.to(device))
    labels = classes_of(volumes, traits, recipe).tolist()
    return [
        {"subject": volume.subject, "score": float(score), "label": label}
        for volume, score, label in zip(volumes, scores, labels, strict=True)
    ]
