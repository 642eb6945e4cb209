"""Scores of one test as tables of seeds × subjects, whatever the task, and gains of one arm over another."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from studykit.claims.crossed import crossed_interval
from studykit.claims.estimate import Estimate
from studykit.metrics.classification import auroc_table

AUROC = "AUROC"


def subject_table(
    tables: Sequence[pd.DataFrame], measure: str = "dice", structure: str = "hippocampus"
) -> NDArray[np.float64]:
    """Test scores (seeds, subjects), subjects by name.

    Of classifications what each subject adds to the AUROC, see
    :func:`studykit.metrics.classification.auroc_table`; of segmentations ``measure`` of a ``structure``.

    Args:
        tables: of ``Study.test_scores``, one a seed.

    Raises:
        ValueError: no table, or seeds that were tested on other subjects.
    """
    if not tables:
        raise ValueError("no scores: pass one table a seed")
    of_class = "label" in tables[0]
    column = "score" if of_class else measure
    rows = [table if of_class else table[table["class"] == structure] for table in tables]
    rows = [own.set_index("subject").sort_index() for own in rows]
    if any(not own.index.equals(rows[0].index) for own in rows):
        raise ValueError("seeds were tested on other subjects")
    found = np.stack([own[column].to_numpy(float) for own in rows])
    return auroc_table(rows[0]["label"].to_numpy(), found) if of_class else found


def crossed_gain(baseline: NDArray, treatment: NDArray, *, kind: str) -> Estimate:
    """Mean of ``treatment - baseline``, both (seeds, subjects), with an interval over both.

    Raises:
        ValueError: tables that are not paired.
    """
    if baseline.shape != treatment.shape:
        raise ValueError(f"scores are paired by seed and subject, got {baseline.shape} and {treatment.shape}")
    return crossed_interval(treatment - baseline, kind=kind)


def best_on_validation(errors: dict[str, Sequence[float]]) -> str:
    """The arm with the lowest mean validation error, errors of tasks added.

    >>> best_on_validation({"a": [0.3, 0.5], "b": [0.2, 0.4]})
    'b'
    """
    return min(errors, key=lambda arm: float(np.mean(errors[arm])))


def gain_row(
    treatment: str, baseline: str, task: str, labels: str, test: str, estimate: Estimate
) -> dict[str, str | float]:
    """A row of the table that verdicts are read from."""
    numbers = {"gain": estimate.value, "low": estimate.low, "high": estimate.high, "n": estimate.n}
    return {"gain of": treatment, "over": baseline, "task": task, "labels": labels, "test": test} | numbers
