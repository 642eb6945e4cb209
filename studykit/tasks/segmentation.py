"""Segmentation: labelled crops train, whole held-out volumes validate through sliding windows."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from studykit.data.crops.labelled_crops import LabelledCrops
from studykit.data.labelled import open_labelled
from studykit.data.volumes.cache import PreparedVolume
from studykit.data.volumes.tensors import label_tensor, volume_tensor
from studykit.methods.supervised import Supervised
from studykit.tasks.reconstruction import check_fingerprint
from studykit.tasks.sliding_window import likeliest_classes, score_volumes
from studykit.training.config import TrainingConfig
from studykit.training.distributed import World

SURFACE_TOLERANCE_VOXELS = 1.0
"""Tolerance of the surface Dice, in voxels: a border cannot be placed better than that."""


@dataclass(frozen=True)
class Recipe:
    """Which labelled volumes train, which validate, and how crops are cut from them.

    Attributes:
        source: name for :func:`studykit.data.labelled.open_labelled`.
        fingerprint: of the prepared volumes and their labels; work on others is refused.
        spacing_mm: voxel size after resampling.
        crop_size: voxels an axis of a crop, and of a window.
        train, held_out: subject ids.
        classes: names of the labels 1, 2, …
        constant_background: whether all that is outside the foreground has one value, the smallest.
    """

    version: ClassVar[int] = 1
    """Raised when one recipe gives other training crops or validation scores than before."""

    source: str
    fingerprint: str
    spacing_mm: float
    crop_size: int
    train: tuple[str, ...]
    held_out: tuple[str, ...]
    classes: tuple[str, ...]
    constant_background: bool = False

    def identity(self) -> dict[str, Any]:
        """Plain values that decide the data."""
        return asdict(self)


def ground(
    recipe: Recipe, method: Supervised, training: TrainingConfig, world: World
) -> tuple[LabelledCrops, Callable[[Supervised], dict[str, float]]]:
    """Training batches on the device, and the validation.

    Raises:
        ValueError: the source holds other volumes than the recipe was made for, or a label that is none of
            the classes.
    """
    data = open_labelled(recipe.source, recipe.spacing_mm).prepared
    check_fingerprint(recipe, data)
    batches = LabelledCrops(
        data.select(recipe.train),
        recipe.crop_size,
        training.batch_size,
        world.device,
        classes=1 + len(recipe.classes),
        constant_background=recipe.constant_background,
    )
    volumes = data.select(recipe.held_out)
    images = [volume_tensor(v, constant_background=recipe.constant_background) for v in volumes]
    truths = [label_tensor(volume).to(world.device) for volume in volumes]

    def validate(method: Supervised) -> dict[str, float]:
        """``error``, which is 1 - Dice meant over classes and then subjects, and Dice by class."""
        device = next(method.parameters()).device
        found = [likeliest_classes(method, image.to(device), recipe.crop_size) for image in images]
        dice = torch.stack(
            [dice_of_classes(*pair, len(recipe.classes)) for pair in zip(found, truths, strict=True)]
        ).cpu()
        by_class = dict(zip(recipe.classes, dice.nanmean(dim=0).tolist(), strict=True))
        error = 1 - float(dice.nanmean(dim=1).nanmean())
        return {"error": error, **{f"dice/{name}": value for name, value in by_class.items()}}

    return batches, validate


def dice_of_classes(found: Tensor, truth: Tensor, classes: int) -> Tensor:
    """Dice of the labels 1 to ``classes``, float64 (classes,); NaN where neither map has one.

    Args:
        found, truth: int64 (D, H, W); voxels of ``truth`` below 0 are left out.
    """
    known = truth >= 0
    found, truth = found[known], truth[known]
    both = torch.bincount(truth[found == truth], minlength=classes + 1)
    sides = torch.bincount(found, minlength=classes + 1) + torch.bincount(truth, minlength=classes + 1)
    return (2 * both.double() / sides)[1 : classes + 1]


def test_rows(method: Supervised, volumes: Sequence[PreparedVolume], recipe: Recipe) -> list[dict[str, Any]]:
    """Scores of every volume and class, see :func:`score_volumes`: rows with ``subject`` and ``class``."""
    return score_volumes(
        method,
        volumes,
        dict(enumerate(recipe.classes, start=1)),
        recipe.crop_size,
        constant_background=recipe.constant_background,
        tolerance_mm=SURFACE_TOLERANCE_VOXELS * recipe.spacing_mm,
    )
