"""Rank against probe over encoders: the paths of runs, and the views of their correlation."""

import pandas as pd
from numpy.typing import NDArray

from studykit.claims.estimate import Estimate
from studykit.claims.stats import mean_interval, rank_correlation_interval


def paths(encoders: pd.DataFrame, x: str, y: str) -> dict[str, list[tuple[NDArray, NDArray]]]:
    """Arm → the two columns of each of its runs, in the order of training.

    Args:
        encoders: a row an encoder, with its ``arm``, ``seed`` and step, runs in order.
        x, y: columns.
    """
    arms = encoders.groupby("arm", sort=False)
    return {
        arm: [(run[x].to_numpy(), run[y].to_numpy()) for _, run in own.groupby("seed")] for arm, own in arms
    }


def correlations(encoders: pd.DataFrame, x: str, y: str, kind: str) -> dict[str, Estimate]:
    """Views of the rank correlation of two columns; a repetition is an encoder, a run, or a seed.

    Over all encoders, within a run (the mean of runs), and over the seeds of each arm at its last step.

    Args:
        encoders: as for :func:`paths`, with the ``step`` of each.
        kind: of evidence.
    """

    def of(part: pd.DataFrame) -> Estimate:
        return rank_correlation_interval(part[x], part[y], kind=kind)

    ends = encoders[encoders["step"] == encoders["step"].max()]
    by_run = [of(run).value for _, run in encoders.groupby(["arm", "seed"])]
    return {
        "all encoders": of(encoders),
        "within a run (mean over runs)": mean_interval(by_run, kind=kind),
        **{f"at the end, {arm}": of(own) for arm, own in ends.groupby("arm", sort=False) if len(own) > 1},
    }
