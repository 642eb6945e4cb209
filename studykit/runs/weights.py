"""The network of a run: as it was initialised, at a kept step, at its best, at its end."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from studykit.methods import build_method
from studykit.methods.method import Method
from studykit.runs.store import Run
from studykit.training.checkpoint import (
    BEST,
    CHECKPOINT,
    SNAPSHOTS,
    load_checkpoint,
    load_weights,
    snapshot_name,
)
from studykit.training.config import TrainingConfig


def new_method(config: Mapping[str, Any]) -> Method:
    """The method of a run as its initialisation seed makes it; torch's generators are left as they were."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(config["seeds"]["init"])
        return build_method(config["method"]["name"], **config["method"]["options"])


def networks_device() -> torch.device:
    """Where networks of this process run: the card of a training, the CPU where there is none."""
    return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")


def trained_method(run: Run, device: str | torch.device = "cpu") -> Method:
    """The method with the weights of the run's last checkpoint, in evaluation mode.

    That is the end of a run that is done, and the last good step of one that diverged.

    Raises:
        FileNotFoundError: the run has no checkpoint.
    """
    method = new_method(run.config)
    method.load_state_dict(last_weights(run))
    return method.to(device).eval()


def best_method(run: Run, device: str | torch.device = "cpu") -> Method:
    """The method with the weights that validated best, of a run whose training kept them.

    Raises:
        FileNotFoundError: the run kept none.
    """
    path = run.folder / BEST
    if not path.exists():
        raise FileNotFoundError(f"{run.label} kept no best weights ({run.state or 'not run yet'}).")
    method = new_method(run.config)
    method.load_state_dict(load_weights(path)[0])
    return method.to(device).eval()


def last_weights(run: Run) -> dict[str, Tensor]:
    """The weights of a run's last checkpoint, on the CPU.

    Raises:
        FileNotFoundError: the run has no checkpoint.
    """
    saved = _checkpoint(run)
    if saved is None:
        raise FileNotFoundError(
            f"{run.label} has no checkpoint ({run.state or 'not run yet'}): choose a run that is done"
        )
    return saved["method"]


def last_step(run: Run) -> int:
    """Optimizer steps that a run's last checkpoint holds, 0 where there is none."""
    saved = _checkpoint(run)
    return saved["step"] if saved else 0


def _checkpoint(run: Run) -> dict[str, Any] | None:
    training = TrainingConfig.from_dict(run.config["training"])
    configuration = {"seed": run.config["seeds"]["training"], **training.identity()}
    return load_checkpoint(run.folder / CHECKPOINT, configuration)


def kept_steps(run: Run) -> tuple[int, ...]:
    """Optimizer steps after which the run kept its weights, growing; empty where it kept none."""
    return tuple(sorted(int(path.stem) for path in (run.folder / SNAPSHOTS).glob("*.safetensors")))


def method_at(run: Run, step: int, device: str | torch.device = "cpu") -> Method:
    """A run's method as it was after ``step`` optimizer steps, in evaluation mode; step 0 is untrained.

    Raises:
        FileNotFoundError: the run kept no weights of that step; the message lists the steps it kept.
    """
    method = new_method(run.config)
    if step:
        path = run.folder / SNAPSHOTS / snapshot_name(step)
        if not path.exists():
            kept = ", ".join(map(str, kept_steps(run))) or "none"
            raise FileNotFoundError(f"{run.label} kept no weights of step {step}. Steps kept: {kept}.")
        weights, _ = load_weights(path)
        method.load_state_dict(weights)
    return method.to(device).eval()
