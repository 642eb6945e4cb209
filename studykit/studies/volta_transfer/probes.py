"""What frozen probes say, and who the subjects are that they are asked about."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from studykit.data.traits import Traits
from studykit.runs.store import Run
from studykit.studies.volta_transfer.frozen import VALIDATION

LEAST = 1e-6
"""Probability below which a log loss does not look."""


def people_row(traits: Traits, subjects: Sequence[str]) -> dict[str, int]:
    """How many subjects there are, and how many of each class of each trait."""
    of = pd.DataFrame([traits.of[subject] for subject in subjects])
    counts = {
        value: int((of[trait] == value).sum()) for trait in traits.names for value in traits.values[trait]
    }
    return {"subjects": len(of)} | counts


def probe_loss(scores: pd.DataFrame, share: float) -> float:
    """Log loss of probes on the validation subjects, mean over traits and features.

    Args:
        scores: as :func:`~studykit.studies.volta_transfer.frozen.frozen_scores` gives them.
        share: of labels that the probes had.
    """
    own = scores[(scores["test"] == VALIDATION) & (scores["labels"] == share)]
    p = np.where(own["label"] == 1, own["score"], 1 - own["score"]).clip(LEAST)
    return float(-np.log(p).mean())


def probes_of(scores: pd.DataFrame, test: str, trait: str, features: str, share: float) -> pd.DataFrame:
    """``subject``, ``score`` and ``label`` of one probe, of the table of all."""
    wanted = {"test": test, "trait": trait, "features": features, "labels": share}
    here = np.logical_and.reduce([scores[column] == value for column, value in wanted.items()])
    return scores.loc[here, ["subject", "score", "label"]]


def traced(runs: Iterable[Run], column: str) -> list[tuple[pd.Series, pd.Series]]:
    """Steps and values of a metric for each run that recorded it, where it did."""
    recorded = (run.metrics[["step", column]].dropna() for run in runs if column in run.metrics)
    return [(own["step"], own[column]) for own in recorded]
