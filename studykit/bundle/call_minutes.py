"""Minutes of one call on a card beside products: kernels, starts, validations, scores, cohorts, packing.

Of small networks these decide, not arithmetic. What no count tells is assumed, see :class:`Assumed`: no card
has been timed by us yet. Seconds on a CPU were measured by us on one core of an AMD EPYC.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from studykit.arms.profiles import Profile, TransferProfile
from studykit.arms.setups import Setup
from studykit.data.angiography.subjects import FIELD_MM
from studykit.data.cohorts.designs import ANGIO, COHORT, DESIGNS, read_cohort_name
from studykit.methods import task_of
from studykit.metrics.kernels import count_kernels
from studykit.runs.effort import gradients_of_step, operations_of_crop
from studykit.runs.weights import new_method

OVERLAP = 0.5
"""Of the windows of a whole volume that is segmented."""


@dataclass(frozen=True)
class Assumed:
    """Seconds that no operations tell.

    Attributes:
        kernel: from one kernel of a replayed graph to the next, however little it computes.
        launch: from one eager kernel to the next, which a host launches: validations, scores.
        optimizer: kernels of the optimizer, the clipping and the sums of a step.
        run: of a run's start: network, volumes to the card, kernels chosen, eager steps, the capture.
        save: of a checkpoint or a copy of the weights.
        read: of a validation, that the host waits for its numbers, and writes them down.
        notebook: start of a kernel, imports, looking at data, figures, verdict.
        voxel_scored: of one voxel and class of a segmentation's scores, on one core of a CPU: 1.34 s for
            seven classes of 128³.
        outlined: most volumes of a test that outlines beside another task are scored on.
        voxel_made: of one voxel of a cohort's volume, on one core: 1.4 s for 96³ on two.
        cores: of the machine.
    """

    kernel: float = 3e-6
    launch: float = 1e-5
    optimizer: int = 30
    run: float = 2.0
    save: float = 0.1
    read: float = 0.01
    notebook: float = 40.0
    voxel_scored: float = 1.34 / 128**3 / 7
    outlined: int = 96
    voxel_made: float = 1.4 / 96**3
    cores: int = 16


ASSUMED = Assumed()


@dataclass(frozen=True)
class Counted:
    """What one training step, and one forward pass of a batch, take: operations and kernels."""

    operations: int
    kernels: int
    forward_operations: int
    forward_kernels: int


def counted(config: Mapping[str, Any]) -> Counted:
    """Counts of a run's step; a conductor that takes loss terms apart goes back through all for each."""
    method, batch = new_method(config), config["training"]["batch_size"]
    least, side = method.least_batch, config["data"]["crop_size"]
    mask = method.draw_masks(least, torch.Generator().manual_seed(0))
    shape = (least, method.batch_channels, side, side, side)
    forward, whole = (count_kernels(method, shape, backward=way, mask=mask) for way in (False, True))
    ways, gradients = (False, True), gradients_of_step(config)
    once, both = (operations_of_crop(config, backward=way).total for way in ways)
    return Counted(
        (once + gradients * (both - once)) * batch,
        forward + gradients * (whole - forward) + ASSUMED.optimizer,
        once * batch,
        forward,
    )


def step_seconds(own: Counted, reached: float) -> float:
    """Of a step: its operations at the rate ``reached``, or its kernels one after the other."""
    return max(own.operations / reached, own.kernels * ASSUMED.kernel)


def around_seconds(config: Mapping[str, Any], own: Counted, reached: float) -> float:
    """Of a run, beside its steps: its start, its validations, what it writes."""
    training = config["training"]
    records = training["steps"] // training["eval_every"] + 1
    saves = training["steps"] // training["checkpoint_every"]
    if training.get("snapshot_every"):
        saves += training["steps"] // training["snapshot_every"]
    batches = validation_crops(config) / training["batch_size"]
    one = (
        math.ceil(batches) * own.forward_kernels * ASSUMED.launch + batches * own.forward_operations / reached
    )
    return ASSUMED.run + saves * ASSUMED.save + records * (one + ASSUMED.read)


def validation_crops(config: Mapping[str, Any]) -> int:
    """Crops that go through the network in a validation: fixed ones, whole fields, or windows of volumes."""
    data = config["data"]
    volumes = len(data["held_out"])
    if task_of(config["method"]["name"]) == "segmentation":
        return volumes * windows(sides_of(data["source"], data["spacing_mm"]), data["crop_size"])
    return volumes * data.get("crops_per_subject", 1)


def score_seconds(
    config: Mapping[str, Any], own: Counted, reached: float, setup: Setup, sizes: Profile
) -> float:
    """Of the scores of a run with labels on every test of its study; 0 of a run without."""
    task = task_of(config["method"]["name"])
    if task == "reconstruction" or not isinstance(sizes, TransferProfile):
        return 0.0
    seconds = 0.0
    for source in (setup.source_at(sizes), *setup.tests_at(sizes).values()):
        sides = sides_of(source, sizes.spacing_mm)
        volumes = sizes.test if _is_made(source) else 2
        if task != setup.labels:
            volumes = min(volumes, ASSUMED.outlined)
        crops = volumes * (windows(sides, config["data"]["crop_size"]) if task == "segmentation" else 1)
        batches = crops / config["training"]["batch_size"]
        seconds += batches * max(own.forward_operations / reached, own.forward_kernels * ASSUMED.launch)
        if task == "segmentation":
            classes = config["method"]["options"]["num_classes"] - 1
            seconds += classes * volumes * math.prod(sides) * ASSUMED.voxel_scored / ASSUMED.cores
    return seconds


def cohort_seconds(setups: Iterable[tuple[Setup, Profile]]) -> float:
    """Of the cohorts that are made on the machine, each once."""
    made: dict[str, tuple[float, float]] = {}
    for setup, sizes in setups:
        for source in (setup.source_at(sizes), *setup.tests_at(sizes).values()):
            if _is_made(source):
                made[source] = int(source.rpartition(":")[2]), math.prod(sides_of(source, sizes.spacing_mm))
    return sum(count * voxels * ASSUMED.voxel_made / ASSUMED.cores for count, voxels in made.values())


def windows(sides: tuple[int, ...], crop_size: int) -> int:
    """Windows that cover a volume of these sides.

    >>> windows((96, 96, 96), 64)
    8
    """
    step = crop_size * (1 - OVERLAP)
    return math.prod(math.ceil(max(side - crop_size, 0) / step) + 1 for side in sides)


def sides_of(source: str, spacing_mm: float) -> tuple[int, int, int]:
    """Voxels an axis of a source's volumes; those of real people have the field of view of their cohorts."""
    if source.startswith(COHORT):
        return read_cohort_name(source).design.shape(spacing_mm)
    if source.startswith(ANGIO):
        return (round(FIELD_MM / spacing_mm),) * 3
    return DESIGNS["spines" if "spines" in source else "heads"].shape(spacing_mm)


def _is_made(source: str) -> bool:
    return source.startswith((COHORT, ANGIO))
