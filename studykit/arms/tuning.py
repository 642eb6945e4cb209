"""The training of an arm at a profile, and the choice of its learning rate."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from studykit.arms.arm import Arm
from studykit.arms.profiles import Profile
from studykit.runs.store import Run
from studykit.training.config import TrainingConfig

ALIKE = 0.015
"""Share of the lowest error within which a tuning run counts as good as the best."""


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
    diverged or collapsed counts as an infinite error; where all did, the first rate is taken.
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
