"""Arms: what a study compares. A method with its settings, its training settings at a profile, its tuning."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from studykit.profiles import Profile
from studykit.runs import Run
from studykit.training.config import TrainingConfig

ALIKE = 0.015
"""Share of the lowest error within which a tuning run counts as good as the best."""


@dataclass(frozen=True)
class Arm:
    """One method with its settings.

    Attributes:
        name: for people, and for the seeds.
        method: name for :func:`studykit.methods.build_method`.
        options: of the method, sizes of the model and its loss among them.
        training: changes to the study's training settings, the learning rate among them.
        rate_scale: the learning rates that it is tuned over, over those of the profile; an optimizer that
            does not divide by the gradient's size needs other rates than AdamW.
        tuned_by: held-out values with their weights, whose sum picks the learning rate: the arm's own loss.
        starts_as: name of the arm whose initial weights it has, empty for weights of its own.
        starts_from: name of the arm whose trained weights it takes over, empty for none.
        parts: of the model, which it takes over.
        subjects: that it trains on, empty for all of the study's training subjects.
    """

    name: str
    method: str
    options: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    rate_scale: float = 1.0
    tuned_by: Mapping[str, float] = field(default_factory=lambda: {"error": 1.0})
    starts_as: str = ""
    starts_from: str = ""
    parts: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()

    def at_rate(self, learning_rate: float) -> "Arm":
        """The arm at another peak learning rate."""
        return replace(self, training={**self.training, "lr": learning_rate})


def candidate_rates(arm: Arm, profile: Profile) -> tuple[float, ...]:
    """Learning rates that an arm is tuned over."""
    return tuple(float(f"{rate * arm.rate_scale:.6g}") for rate in profile.learning_rates)


def rate_past_the_edge(rates: Sequence[float], best: float) -> float | None:
    """The next rate beyond the largest or smallest, in their own step, where that one is the best so far."""
    ordered = sorted(rates)
    if len(ordered) < 2 or best not in (ordered[0], ordered[-1]):
        return None
    neighbour = ordered[1] if best == ordered[0] else ordered[-2]
    return float(f"{best * best / neighbour:.6g}")


def training_of(arm: Arm, profile: Profile, *, tuning: bool) -> TrainingConfig:
    """The training of an arm: the profile's, the same for every arm, but for the arm's own changes.

    Sign momentum has neither weight decay nor a limit on the gradient's norm, as released: its trust ratio
    limits the step.

    Raises:
        ValueError: an unknown setting (the message lists the known ones), or a value that is out of range.
    """
    steps = profile.tuning_steps if tuning else profile.steps
    settings: dict[str, Any] = {
        "steps": steps,
        "batch_size": profile.batch_size,
        "lr": candidate_rates(arm, profile)[0],
        "warmup_steps": min(profile.warmup_steps, steps - 1),
        "clip_norm": 1.0,
        "eval_every": min(profile.eval_every, steps),
        "checkpoint_every": profile.checkpoint_every,
        "snapshot_every": None if tuning else profile.snapshot_every,
        "precision": profile.precision,
        "compile": profile.compile,
    }
    if arm.training.get("optimizer", "adamw") != "adamw":
        settings |= {"clip_norm": None, "weight_decay": 0.0}
    return TrainingConfig.from_dict(settings | dict(arm.training))


def tuned(arm: Arm, runs: Sequence[Run]) -> tuple[Arm, pd.DataFrame]:
    """The arm at its best rate, and the error, as ``tuned_by`` defines it, at each.

    Of rates whose runs ended alike, within :data:`ALIKE` of the lowest error, the smallest is taken: one
    tuning run cannot tell them apart, and a training is the more stable the smaller its rate. A run that
    diverged counts as an infinite error; where all did, the first rate is taken.
    """
    rows = [
        {
            "arm": arm.name,
            "learning rate": run.config["training"]["lr"],
            "error": _final(run, arm.tuned_by) if run.state == "done" else float("inf"),
            "state": run.state,
        }
        for run in runs
    ]
    table = pd.DataFrame(rows)
    if not np.isfinite(table["error"]).any():
        return arm.at_rate(float(table["learning rate"].iloc[0])), table
    alike = table[table["error"] <= (1 + ALIKE) * table["error"].min()]
    return arm.at_rate(float(alike["learning rate"].min())), table


def _final(run: Run, of: Mapping[str, float]) -> float:
    return float(sum(weight * run.metrics[f"val/{name}"].iloc[-1] for name, weight in of.items()))
