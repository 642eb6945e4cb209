"""One run from its configuration alone: data, method, training, validation.

The configuration is plain JSON, so a worker process started by ``torchrun`` builds from ``config.json`` what
the study would build in the notebook's kernel.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

from studykit import atomic
from studykit.data.files.digests import file_sha256
from studykit.data.volumes.volumes import PREPARATION_VERSION
from studykit.methods import method_versions, task_of
from studykit.runs.provenance import provenance
from studykit.runs.shares import sharers
from studykit.runs.store import CONFIG, Run
from studykit.runs.telling import telling
from studykit.runs.threads import PROVENANCE, at_threads, threads_to_go_on_with
from studykit.runs.weights import last_weights, new_method
from studykit.tasks import Recipe, task_module
from studykit.training.checkpoint import load_weights
from studykit.training.config import TrainingConfig
from studykit.training.distributed import World, distributed_world, launch
from studykit.training.loop import Outcome, train
from studykit.training.transfer import transfer_weights

OUTCOME = "outcome.json"
WORKERS_LOG = "workers.log"
TRANSFER = "transfer.json"
START = "start.safetensors"
"""A file of weights in the run's folder that it starts from, where it starts from no other run."""


def run_config(
    method: str,
    options: Mapping[str, Any],
    recipe: Recipe,
    training: TrainingConfig,
    *,
    init_seed: int,
    training_seed: int,
    starts_from: str = "",
    starts_with: str = "",
    parts: Sequence[str] = (),
) -> dict[str, Any]:
    """Everything that decides a run's numbers: its identity.

    Args:
        starts_from: key of the run whose weights it starts from, empty for weights of its own.
        starts_with: SHA-256 of the file of weights that it starts from, :data:`START` in its folder.
        parts: of the model, which are taken from that run or file.

    Raises:
        ValueError: unknown method or loss; the message lists the known ones.
    """
    versions = {
        **method_versions(method, options),
        "recipe": recipe.version,
        "preparation": PREPARATION_VERSION,
        "training": training.version,
    }
    config = {
        "method": {"name": method, "options": dict(options)},
        "data": recipe.identity(),
        "training": training.identity(),
        "seeds": {"init": init_seed, "training": training_seed},
        "versions": versions,
    }
    if starts_from:
        return config | {"start": {"run": starts_from, "parts": list(parts)}}
    if starts_with:
        return config | {"start": {"weights": starts_with, "parts": list(parts)}}
    return config


def work(run: Run, *, nproc: int = 1, show: bool = False) -> Outcome:
    """Train ``run`` to its end, here or in ``nproc`` processes under torchrun.

    Here it takes the threads that :mod:`studykit.runs.threads` says; torchrun's processes share the cores.

    Args:
        show: whether a training here tells how far it is, as :class:`studykit.runs.board.Board` does.

    Raises:
        ValueError: the source holds other volumes than the run was configured for, or torch's default dtype
            is not float32.
        RuntimeError: a worker failed; the message ends with its last words.
    """
    if torch.get_default_dtype() != torch.float32:
        raise ValueError(
            f"torch's default dtype is {torch.get_default_dtype()}, runs have float32 (or bf16, by profile): "
            "call torch.set_default_dtype(torch.float32) first"
        )
    if nproc == 1:
        with distributed_world() as world, at_threads(threads_to_go_on_with(run)):
            return _train(run, world, show=show)
    outcome = run.folder / OUTCOME
    outcome.unlink(missing_ok=True)
    arguments = ["-m", "studykit.runs.training_run", str(run.folder)]
    by_themselves = launch(arguments, nproc, log=run.folder / WORKERS_LOG)
    if outcome.exists():
        return Outcome(**json.loads(outcome.read_text(encoding="utf-8")))
    if not by_themselves:
        return Outcome("interrupted", 0, 0.0, "stopped by a signal before it could save")
    raise RuntimeError(
        f"{run.label}: the workers ended without an outcome; {WORKERS_LOG} in {run.folder} says why"
    )


def _train(run: Run, world: World, *, show: bool) -> Outcome:
    config, folder = run.config, run.folder
    task = task_module(task_of(config["method"]["name"]))
    recipe = task.Recipe(**config["data"])
    training = TrainingConfig.from_dict(config["training"])
    method = new_method(config)
    batches, evaluate = task.ground(recipe, method, training, world)
    facts = provenance() | _devices(world)
    if world.is_main:
        atomic.write_json(folder / PROVENANCE, facts)

    def note(steps: str) -> None:
        if world.is_main:
            atomic.write_json(folder / PROVENANCE, facts | {"steps": steps})

    if "start" in config:
        _start_from(method, folder, **config["start"])
    with telling(run, show=show) if world.is_main else nullcontext() as tell:
        return train(
            method,
            batches,
            training,
            folder=folder,
            seed=config["seeds"]["training"],
            evaluate=evaluate,
            device=world.device,
            world=world,
            tell=tell,
            note=note,
        )


def _start_from(
    method: nn.Module, folder: Path, parts: Sequence[str], run: str = "", weights: str = ""
) -> None:
    """Take over parts of the weights of a run beside ``folder``, or of a file in it of a known digest.

    What was taken is told in a file.
    """
    if run:
        config = json.loads((folder.parent / run / CONFIG).read_text(encoding="utf-8"))
        given = last_weights(Run(folder.parent, run, config, run))
    else:
        found = file_sha256(folder / START)
        if found != weights:
            raise ValueError(f"{folder / START} is another file than the run was configured for: {found}")
        given = load_weights(folder / START)[0]
    report = transfer_weights(method, given, tuple(parts))
    atomic.write_json(folder / TRANSFER, asdict(report))


def _devices(world: World) -> dict[str, Any]:
    """What the run's seconds were spent on: GPUs or a share of one, or cores."""
    cuda = world.device.type == "cuda"
    count = world.size / sharers() if cuda else world.size * torch.get_num_threads()
    return {"device": world.device.type, "devices": count}


def main(folder: str) -> None:
    """Entry of a torchrun worker: train the run in ``folder``; rank 0 leaves its outcome there."""
    path = Path(folder)
    run = Run(path.parent, path.name, json.loads((path / CONFIG).read_text(encoding="utf-8")), path.name)
    run.label = run.status.label if run.status else run.label
    with distributed_world() as world:
        outcome = _train(run, world, show=False)
        if world.is_main:
            atomic.write_json(path / OUTCOME, asdict(outcome))


if __name__ == "__main__":
    main(sys.argv[1])
