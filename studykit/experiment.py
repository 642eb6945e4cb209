"""One run from its configuration alone: data, method, training, validation.

The configuration is plain JSON, so a worker process started by ``torchrun`` builds from ``config.json`` what
the study would build in the notebook's kernel.
"""

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from studykit import atomic
from studykit.data.cache import Prepared, prepare
from studykit.data.loading import RandomCrops, fixed_crops
from studykit.data.sources import open_source
from studykit.data.volumes import PREPARATION_VERSION, VolumeSettings
from studykit.layers.patches import patchify, split_mask, take_tokens
from studykit.losses.mvc import block_components
from studykit.masking import upsample_mask
from studykit.methods import build_method, method_versions
from studykit.report.provenance import provenance
from studykit.runs import CONFIG, Run
from studykit.training.checkpoint import CHECKPOINT, load_checkpoint
from studykit.training.config import TrainingConfig
from studykit.training.distributed import World, distributed_world, launch
from studykit.training.loop import Outcome, train

OUTCOME = "outcome.json"
PROVENANCE = "provenance.json"
WORKERS_LOG = "workers.log"


@dataclass(frozen=True)
class DataRecipe:
    """Which volumes train, which are held out, how they are prepared and how crops are cut from them.

    Attributes:
        source: name for :func:`studykit.data.sources.open_source`.
        fingerprint: of the prepared volumes; work on other volumes is refused.
        spacing_mm: voxel size after resampling.
        crop_size: voxels an axis.
        train, held_out: subject ids.
        crops_per_subject: fixed crops of each held-out subject.
        validation_seed: decides those crops and their masks.
        intensity: see :class:`studykit.data.volumes.VolumeSettings`.
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


def prepared_source(source: str, spacing_mm: float, intensity: str = "auto") -> Prepared:
    """The volumes of a source at a spacing: decoded the first time, mapped from the cache afterwards."""
    return prepare(open_source(source), VolumeSettings(spacing_mm=spacing_mm, intensity=intensity))


def run_config(
    method: str,
    options: Mapping[str, Any],
    recipe: DataRecipe,
    training: TrainingConfig,
    *,
    init_seed: int,
    training_seed: int,
) -> dict[str, Any]:
    """Everything that decides a run's numbers: its identity.

    Raises:
        ValueError: unknown method or loss; the message lists the known ones.
    """
    versions = {
        **method_versions(method, options),
        "recipe": recipe.version,
        "preparation": PREPARATION_VERSION,
        "training": training.version,
    }
    return {
        "method": {"name": method, "options": dict(options)},
        "data": recipe.identity(),
        "training": training.identity(),
        "seeds": {"init": init_seed, "training": training_seed},
        "versions": versions,
    }


def new_method(config: Mapping[str, Any]) -> nn.Module:
    """The method of a run as its initialisation seed makes it; torch's generators are left as they were."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(config["seeds"]["init"])
        return build_method(config["method"]["name"], **config["method"]["options"])


def trained_method(run: Run) -> nn.Module:
    """The method with the weights of the run's last checkpoint, on the CPU, in evaluation mode.

    That is the end of a run that is done, and the last good step of one that diverged.

    Raises:
        FileNotFoundError: the run has no checkpoint.
    """
    training = TrainingConfig.from_dict(run.config["training"])
    configuration = {"seed": run.config["seeds"]["training"], **training.identity()}
    saved = load_checkpoint(run.folder / CHECKPOINT, configuration)
    if saved is None:
        raise FileNotFoundError(
            f"{run.label} has no checkpoint ({run.state or 'not run yet'}): choose a run that is done"
        )
    method = new_method(run.config)
    method.load_state_dict(saved["method"])
    return method.eval()


def held_out_crops(data: Prepared, recipe: DataRecipe) -> tuple[Tensor, list[str]]:
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


def held_out_masks(method: nn.Module, recipe: DataRecipe, count: int) -> Tensor:
    """Fixed masks (N, d, h, w) for :func:`held_out_crops`, the same for every arm of the same patch grid."""
    return method.draw_masks(count, torch.Generator().manual_seed(recipe.validation_seed + 1))


@torch.no_grad()
def paint(method: nn.Module, crops: Tensor, masks: Tensor, batch_size: int) -> Tensor:
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


def work(run: Run, *, nproc: int = 1, progress: str | None = None) -> Outcome:
    """Train ``run`` to its end, here or in ``nproc`` processes under torchrun.

    Raises:
        ValueError: the source holds other volumes than the run was configured for.
        RuntimeError: a worker failed; the message ends with its last words.
    """
    if nproc == 1:
        with distributed_world() as world:
            return _train(run.config, run.folder, world, progress)
    outcome = run.folder / OUTCOME
    outcome.unlink(missing_ok=True)
    arguments = ["-m", "studykit.experiment", str(run.folder)]
    by_themselves = launch(arguments, nproc, log=run.folder / WORKERS_LOG)
    if outcome.exists():
        return Outcome(**json.loads(outcome.read_text(encoding="utf-8")))
    if not by_themselves:
        return Outcome("interrupted", 0, 0.0, "stopped by a signal before it could save")
    raise RuntimeError(
        f"{run.label}: the workers ended without an outcome; {WORKERS_LOG} in {run.folder} says why"
    )


def _train(config: Mapping[str, Any], folder: Path, world: World, progress: str | None = None) -> Outcome:
    recipe = DataRecipe(**config["data"])
    training = TrainingConfig.from_dict(config["training"])
    data = prepared_source(recipe.source, recipe.spacing_mm, recipe.intensity)
    if data.fingerprint != recipe.fingerprint:
        raise ValueError(
            f"{recipe.source} holds other volumes than this run was configured for; open the study again."
        )
    if world.is_main:
        atomic.write_json(folder / PROVENANCE, provenance() | _devices(world))
    method = new_method(config)
    batches = RandomCrops(
        data.select(recipe.train),
        recipe.crop_size,
        training.batch_size,
        world.device,
        constant_background=recipe.constant_background,
    )
    return train(
        method,
        batches,
        training,
        folder=folder,
        seed=config["seeds"]["training"],
        evaluate=_validation(method, data, recipe, training, world),
        device=world.device,
        world=world,
        progress=progress,
    )


def _devices(world: World) -> dict[str, Any]:
    """What the run's seconds were spent on: GPUs, or cores."""
    cuda = world.device.type == "cuda"
    count = world.size if cuda else world.size * torch.get_num_threads()
    return {"device": world.device.type, "devices": count}


def _validation(
    method: nn.Module, data: Prepared, recipe: DataRecipe, training: TrainingConfig, world: World
) -> Callable[[nn.Module], dict[str, float]]:
    """The held-out error, that of each held-out subject, and what it is made of."""
    crops, subjects = held_out_crops(data, recipe)
    crops, masks = crops.to(world.device), held_out_masks(method, recipe, len(crops)).to(world.device)
    of_subject = {name: [i for i, s in enumerate(subjects) if s == name] for name in sorted(set(subjects))}
    part = training.batch_size // (world.size * training.accumulate)

    def evaluate(method: nn.Module) -> dict[str, float]:
        painted = paint(method, crops, masks, part)
        errors = hidden_error(painted, crops, masks)
        means = {name: float(errors[index].mean()) for name, index in of_subject.items()}
        by_subject = {f"error/{name}": error for name, error in means.items()}
        parts = hidden_parts(painted, crops, masks)
        return {"error": sum(means.values()) / len(means), **by_subject, **parts}

    return evaluate


def main(folder: str) -> None:
    """Entry of a torchrun worker: train the run in ``folder``; rank 0 leaves its outcome there."""
    path = Path(folder)
    config = json.loads((path / CONFIG).read_text(encoding="utf-8"))
    with distributed_world() as world:
        outcome = _train(config, path, world)
        if world.is_main:
            atomic.write_json(path / OUTCOME, asdict(outcome))


if __name__ == "__main__":
    main(sys.argv[1])
