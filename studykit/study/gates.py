"""Gates: what must hold for a study to be able to answer, measured on its runs and kept in ``gates.csv``."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import pandas as pd
from torch import Tensor

from studykit.claims.estimate import Estimate
from studykit.claims.stats import mean_interval
from studykit.metrics.interpolation import best_sigma, interpolate
from studykit.tasks.reconstruction import hidden_error

if TYPE_CHECKING:
    from studykit.arms.arm import Arm
    from studykit.runs.store import Run
    from studykit.study.study import Study

SIGMAS = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
"""Widths of the interpolation's Gaussian that are tried, in voxels."""

OVER_INTERPOLATION = "lead over interpolation"
"""The gate by which a network has to paint hidden patches better than the visible ones already tell."""


def lead_over_interpolation(study: "Study", arm: "Arm | str", runs: Iterable["Run"]) -> Estimate:
    """How much lower the held-out error of runs ends than that of interpolation from the visible voxels.

    Mean squared errors over hidden voxels of the study's fixed crops, standardised intensities; above 0 the
    runs paint better. The Gaussian's width is the best on these very crops, which is kind to interpolation.
    """
    crops, masks, _ = study.held_out(study.untrained(arm))
    without = interpolation_error(crops, masks)
    ends = [without - curve.error[-1] for curve in study.curves(arm, runs)]
    return mean_interval(ends, kind=study.profile.evidence)


def interpolation_error(crops: Tensor, masks: Tensor) -> float:
    """Mean squared error over the hidden voxels of crops (N, 1, D, H, W), at the best width."""
    painted = interpolate(crops, masks, best_sigma(crops, masks, SIGMAS))
    return float(hidden_error(painted, crops, masks).double().mean())


def gates_table(gates: Mapping[str, Estimate]) -> pd.DataFrame:
    """One row a gate, as readings of ``paper.toml`` find it."""
    return pd.DataFrame([{"gate": gate} | e.cells() for gate, e in gates.items()])
