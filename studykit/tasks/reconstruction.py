"""Masked reconstruction: which crops train, which are held out, and the error over their hidden patches."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from studykit.data.crops.random_crops import RandomCrops, fixed_crops
from studykit.data.sources import prepared_source
from studykit.data.volumes.cache import Prepared, PreparedVolume
from studykit.data.volumes.vesselness import vesselness_of
from studykit.layers.patches import patchify, split_mask, take_tokens
from studykit.losses.mvc import block_components
from studykit.masking import upsample_mask
from studykit.methods.masked_modelling import MaskedModelling
from studykit.training.config import TrainingConfig
from studykit.training.distributed import World
from studykit.training.graphs import replayed


@dataclass(frozen=True)
class Recipe:
    """Which volumes train, which are held out, how they are prepared and how crops are cut from them.

    Attributes:
        source: name for :func:`studykit.data.sources.open_source`.
        fingerprint: of the prepared volumes; work on other volumes is refused.
        spacing_mm: voxel size after resampling.
        crop_size: voxels an axis.
        train, held_out: subject ids.
        crops_per_subject: fixed crops of each held-out subject.
        validation_seed: decides those crops and their masks.
        intensity: see :class:`studykit.data.volumes.volumes.VolumeSettings`.
        constant_background: whether all that is outside the foreground has one value, the smallest.
    """

    version: ClassVar[int] = 1
    """Raised when one recipe gives other training crops, held-out crops or errors than before."""

    source: str
    fingerprint: str
    spacing_mm: float
    crop_size: int
    train: tuple[str, ...]
    held_out: tuple[str, ...]
    crops_per_subject: int
    validation_seed: int
    intensity: str = "auto"
    constant_background: bool = False

    def identity(self) -> dict[str, Any]:
        """Plain values that decide the data; those that came later are left out at their default."""
        later = {"intensity": "auto", "constant_background": False}
        return {k: v for k, v in asdict(self).items() if k not in later or v != later[k]}


def check_fingerprint(recipe: Any, data: Prepared) -> None:
    """Refuse volumes that are not those of the recipe.

    Raises:
        ValueError: the source holds other volumes than the recipe was made for.
    """
    if data.fingerprint != recipe.fingerprint:
        raise ValueError(
            f"{recipe.source} holds other volumes than this run was configured for; open the study again."
        )


def held_out_crops(data: Prepared, recipe: Recipe) -> tuple[Tensor, list[str]]:
    """Fixed crops (N, 1, D, H, W) of the held-out subjects, and the subject of each."""
    volumes = data.select(recipe.held_out)
    generator = torch.Generator().manual_seed(recipe.validation_seed)
    crops = fixed_crops(
        volumes,
        recipe.crop_size,
        recipe.crops_per_subject,
        generator,
        constant_background=recipe.constant_background,
    )
    return crops, [volume.subject for volume in volumes for _ in range(recipe.crops_per_subject)]


def held_out_masks(method: MaskedModelling, recipe: Recipe, count: int) -> Tensor:
    """Fixed masks (N, d, h, w) for :func:`held_out_crops`, the same for every arm of the same patch grid."""
    generator = torch.Generator().manual_seed(recipe.validation_seed + 1)
    return method.fixed_masks(count, recipe.crop_size, generator)


@torch.no_grad()
def paint(method: MaskedModelling, crops: Tensor, masks: Tensor, batch_size: int) -> Tensor:
    """Crops (N, 1, D, H, W) with their hidden patches as the method paints them, ``batch_size`` at a time."""
    parts = zip(crops.split(batch_size), masks.split(batch_size), strict=True)
    return torch.cat([method.reconstruct(volume, mask) for volume, mask in parts])


def hidden_error(painted: Tensor, crops: Tensor, masks: Tensor) -> Tensor:
    """Mean squared error over the hidden voxels of each crop, in standardised intensities: (N,).

    The measure is the same for every arm, whatever loss it was trained with.
    """
    hidden = upsample_mask(masks, crops.shape[-1] // masks.shape[-1])
    squared = (painted - crops).square() * hidden
    return squared.sum(dim=(1, 2, 3, 4)) / hidden.sum(dim=(1, 2, 3, 4))


def hidden_parts(painted: Tensor, crops: Tensor, masks: Tensor) -> dict[str, float]:
    """What the error over hidden patches is made of, as means over all of them.

    ``brightness``, ``contrast`` and ``structure`` add up to the mean squared error; ``decorrelation`` is
    1 - ρ, the released structure term halved. Sub-patches are 8³ voxels, or the patch where that is smaller.
    """
    patch_size = crops.shape[-1] // masks.shape[-1]
    _, hidden = split_mask(masks)
    ours, truth = (take_tokens(patchify(volume, patch_size), hidden) for volume in (painted, crops))
    parts = asdict(block_components(ours, truth))
    parts["decorrelation"] = block_components(ours, truth, structure="correlation").structure / 2
    return {name: float(values.mean()) for name, values in parts.items()}


def ground(
    recipe: Recipe, method: MaskedModelling, training: TrainingConfig, world: World
) -> tuple[RandomCrops, Callable[[MaskedModelling], dict[str, float]]]:
    """Training batches on the device, and the validation.

    Raises:
        ValueError: the source holds other volumes than the recipe was made for.
    """
    data = prepared_source(recipe.source, recipe.spacing_mm, recipe.intensity)
    check_fingerprint(recipe, data)
    volumes = data.select(recipe.train)
    wants_vesselness = method.batch_channels == 2
    batches = RandomCrops(
        volumes,
        recipe.crop_size,
        training.batch_size,
        world.device,
        constant_background=recipe.constant_background,
        companions=[_vesselness(volume) for volume in volumes] if wants_vesselness else None,
        captured=replayed,
    )
    return batches, _validation(method, data, recipe, training, world)


def _vesselness(volume: PreparedVolume) -> Tensor:
    """(D, H, W), what a method that masks by vesselness reads in its second channel."""
    return torch.from_numpy(np.array(vesselness_of(volume).T, order="C"))


def _validation(
    method: MaskedModelling, data: Prepared, recipe: Recipe, training: TrainingConfig, world: World
) -> Callable[[MaskedModelling], dict[str, float]]:
    """The held-out error, that of each held-out subject, and what it is made of.

    Of a method that does not paint, its own loss on those crops, which says nothing about another method.
    """
    crops, subjects = held_out_crops(data, recipe)
    crops = crops.to(world.device)
    part = training.batch_size // (world.size * training.accumulate)
    if not method.paints:
        return _own_loss(method, crops, recipe, part)
    masks = held_out_masks(method, recipe, len(crops)).to(world.device)
    of_subject = {name: [i for i, s in enumerate(subjects) if s == name] for name in sorted(set(subjects))}

    def evaluate(method: MaskedModelling) -> dict[str, float]:
        painted = paint(method, crops, masks, part)
        errors = hidden_error(painted, crops, masks)
        means = {name: float(errors[index].mean()) for name, index in of_subject.items()}
        by_subject = {f"error/{name}": error for name, error in means.items()}
        parts = hidden_parts(painted, crops, masks)
        error = {"error": sum(means.values()) / len(means)}
        return error | by_subject | parts | method.vital_signs(crops)

    return evaluate


def _own_loss(
    method: MaskedModelling, crops: Tensor, recipe: Recipe, part: int
) -> Callable[[MaskedModelling], dict[str, float]]:
    """``error``, the mean loss of the crops under fixed draws, and each of its terms; whole batches alone."""
    generator = torch.Generator().manual_seed(recipe.validation_seed + 1)
    batches = [own for own in crops.split(part) if len(own) == part] or [crops]
    drawn = [method.draw_masks(len(own), generator, own) for own in batches]

    @torch.no_grad()
    def evaluate(method: MaskedModelling) -> dict[str, float]:
        of_batches = [method(*pair) for pair in zip(batches, drawn, strict=True)]
        terms = {
            f"loss/{name}": float(torch.stack([t[name] for t in of_batches]).mean()) for name in of_batches[0]
        }
        return {"error": sum(terms.values())} | terms | method.vital_signs(crops)

    return evaluate
