"""Rows of tables over runs of optimizers: rates tried, ratios, conflicts, memory held."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from torch import Tensor

from studykit.claims.estimate import Estimate
from studykit.methods.method import Method
from studykit.metrics.compute import count_parameters
from studykit.runs.store import Run
from studykit.training.gcond import GradientConductor
from studykit.training.sign_momentum import SignMomentum

FP32, BF16 = 4, 2
"""Bytes of a number."""


def tried(table: pd.DataFrame, chosen: float) -> dict[str, str | int | float]:
    """Learning rates that a tuning tried, the one chosen, whether it lies at an edge, and how many diverged.

    Args:
        table: of the tuning runs, with ``learning rate``, ``state`` and ``error``.
    """
    rates = sorted(table["learning rate"])
    return {
        "rates tried": ", ".join(f"{rate:.3g}" for rate in rates),
        "chosen": f"{chosen:.3g}",
        "at the edge": "yes" if chosen in (rates[0], rates[-1]) else "no",
        "diverged": int((table["state"] == "diverged").sum()),
        "own loss": table["error"].min(),
    }


def ratio_cells(estimate: Estimate) -> dict[str, float]:
    """A ratio with its interval and its seeds, and how many of them never arrived."""
    cells = {"ratio": estimate.value, "low": estimate.low, "high": estimate.high}
    return cells | {"seeds": estimate.n, "seeds that never arrived": estimate.censored}


def recorded(runs: Iterable[Run], column: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """Steps and values of a metric, for each run, where it was recorded."""
    return [tuple(run.metrics[["step", column]].dropna().to_numpy().T) for run in runs]


def conflict_means(runs: Iterable[Run]) -> dict[str, float | None]:
    """Means over training and runs: smallest cosine of a pair, pairs resolved a step, each loss's norm.

    Of a conductor that resolves no pairs, there is none to count.
    """
    means = pd.concat([run.metrics for run in runs]).mean()
    counted = {
        "smallest cosine": means["conflict/cosine"],
        "resolutions a step": means.get("conflict/resolutions"),
    }
    parts = ("brightness", "contrast", "structure")
    return counted | {f"norm of {part}": means[f"grad_norm/{part}"] for part in parts}


def memory_held(method: Method, crops: Tensor, masks: Tensor, apart: bool) -> dict[str, float]:
    """Bytes a parameter that a conductor holds besides its optimizer, measured and by formula.

    It holds two gradients a loss where they are taken apart, and one of their sum, with one vector more.

    Args:
        method: freshly made; a backward pass goes through it.
        crops: (B, 1, D, H, W).
        masks: as the method takes them.
        apart: whether losses are conducted each apart or as their sum.
    """
    conductor = GradientConductor(SignMomentum(method.parameters(), lr=1e-5, momentum=0.0))
    terms = method(crops, masks)
    conductor.backward(terms if apart else {"total": sum(terms.values())})
    gradients = 2 * len(terms) if apart else 1
    return {
        "losses": len(terms) if apart else 1,
        "bytes a parameter": conductor.memory_bytes() / count_parameters(method),
        "by formula": FP32 * gradients + FP32,
        "gradients in bf16": BF16 * gradients + FP32,
    }
