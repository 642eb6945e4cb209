"""Detection scores of several runs: AUC by the aneurysm's size, intervals over subjects and runs at once.

A table of scores is what ``Study.detection_scores`` gives. The area under the ROC curve is a mean over pairs
of a positive and a negative subject, so drawing runs and subjects anew weights those pairs (pigeonhole
bootstrap, Owen, Annals of Applied Statistics 2007).
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from studykit.claims.estimate import Estimate
from studykit.data.angiography.sites import LABELS, PRESENT
from studykit.metrics.detection import auc, weighted_auc

RESAMPLES = 4999


def present_auc(scores: pd.DataFrame) -> float:
    """AUC of "aneurysm present"; NaN where all subjects have one, or none.

    >>> table = {f"score {PRESENT}": [0.9, 0.2, 0.4], f"label {PRESENT}": [1, 0, 0]}
    >>> present_auc(pd.DataFrame(table))
    1.0
    """
    return auc(scores[f"score {PRESENT}"], scores[f"label {PRESENT}"])


def challenge_score(scores: pd.DataFrame) -> float:
    """The challenge's weighted mean of AUCs, see :func:`studykit.metrics.detection.weighted_auc`.

    >>> scores = {f"score {name}": [0.9, 0.2] for name in LABELS}
    >>> labels = {f"label {name}": [1, 0] for name in LABELS}
    >>> challenge_score(pd.DataFrame(scores | labels))
    1.0
    """
    said, true = ([f"{kind} {name}" for name in LABELS] for kind in ("score", "label"))
    return weighted_auc(scores[said].to_numpy(), scores[true].to_numpy())


def auc_by_size(scores: pd.DataFrame, edges_mm: Sequence[float]) -> dict[tuple[float, float], float]:
    """AUC of "aneurysm present" of the aneurysms of each range of diameters, against all negatives.

    >>> table = {f"score {PRESENT}": [0.9, 0.1, 0.4], f"label {PRESENT}": [1, 1, 0]}
    >>> auc_by_size(pd.DataFrame(table | {"diameter_mm": [8.0, 2.0, math.nan]}), (0, 5, 10))
    {(0, 5): 0.0, (5, 10): 1.0}

    Args:
        edges_mm: rising ends of the ranges, in mm; an upper end is not within, but for the last.

    Returns:
        (low, high) → AUC; a range without an aneurysm, or all of them without a negative, is left out.

    Raises:
        ValueError: edges that do not rise, or fewer than two.
    """
    if len(edges_mm) < 2 or any(a >= b for a, b in pairwise(edges_mm)):
        raise ValueError(f"edges_mm must be at least two rising diameters, got {tuple(edges_mm)}")
    size = scores["diameter_mm"]
    found = {}
    for low, high in pairwise(edges_mm):
        inside = (size >= low) & ((size < high) | ((size == high) & (high == edges_mm[-1])))
        value = present_auc(scores[inside | size.isna()]) if inside.any() else math.nan
        if not math.isnan(value):
            found[low, high] = value
    return found


def auc_bootstrap(
    labels: ArrayLike,
    scores: ArrayLike,
    baseline: ArrayLike | None = None,
    confidence: float = 0.95,
    *,
    kind: str = "reduced-scale",
    seed: int = 0,
) -> Estimate:
    """Mean AUC over runs, or its gain over a baseline, with a percentile bootstrap of runs and subjects.

    Positive and negative subjects are drawn apart, so that no draw lacks one of them. With few runs the
    interval is too narrow; one run, one positive or one negative bounds nothing.

    >>> found = auc_bootstrap([1, 1, 0, 0], [[0.9, 0.8, 0.1, 0.2], [0.9, 0.1, 0.2, 0.3]])
    >>> found.value, found.low < found.value
    (0.75, True)

    Args:
        labels: (subjects,), 0 or 1, some of each.
        scores: (runs, subjects).
        baseline: (runs, subjects) of other runs, paired with ``scores`` by run and by subject.

    Raises:
        ValueError: shapes that do not fit, a score that is NaN, or labels that are all the same.
    """
    pairs = _pairs_won(labels, scores)
    if baseline is not None:
        other = _pairs_won(labels, baseline)
        if other.shape != pairs.shape:
            raise ValueError(f"runs are paired, got {len(pairs)} and {len(other)}")
        pairs = pairs - other
    low, high, method = -math.inf, math.inf, "one run or one subject of a kind, unbounded"
    if min(pairs.shape) > 1:
        rng = np.random.default_rng(seed)
        runs, positive, negative = (rng.multinomial(n, [1 / n] * n, RESAMPLES) / n for n in pairs.shape)
        means = np.einsum("br,rpn,bp,bn->b", runs, pairs, positive, negative, optimize=True)
        tail = (1 - confidence) / 2
        low, high = map(float, np.quantile(means, [tail, 1 - tail]))
        method = f"percentile bootstrap of {len(pairs)} runs and {sum(pairs.shape[1:])} subjects"
    return Estimate(float(pairs.mean()), low, high, len(pairs), kind, confidence, method=method)


def surest_cells(cells: ArrayLike, cell_mm: float) -> NDArray[np.float64]:
    """Middle of the cell with the largest value, in mm from the volume's middle: (N, 3) along X, Y, Z.

    >>> cells = np.zeros((1, 4, 4, 4))
    >>> cells[0, 0, 1, 3] = 0.9  # Z, Y, X
    >>> surest_cells(cells, cell_mm=2.0)  # mm from the centre, X, Y, Z
    array([[ 3., -1., -3.]])

    Args:
        cells: (N, d, h, w), which are (Z, Y, X), as of :meth:`studykit.methods.detection.Detector.cell_map`.
        cell_mm: side of a cell.
    """
    values = np.asarray(cells)
    sides = values.shape[1:]
    places = np.stack(np.unravel_index(values.reshape(len(values), -1).argmax(axis=1), sides), axis=1)
    return ((places + 0.5 - np.array(sides) / 2) * cell_mm)[:, ::-1]


def _pairs_won(labels: ArrayLike, scores: ArrayLike) -> NDArray[np.float64]:
    """Whether a positive outscores a negative, half for a tie: (runs, positives, negatives)."""
    label, score = np.asarray(labels), np.asarray(scores, float)
    if label.ndim != 1 or score.ndim != 2 or score.shape[1] != len(label) or not len(score):
        raise ValueError(
            f"labels must be (subjects,) and scores (runs, subjects), got {label.shape} and {score.shape}"
        )
    if np.isnan(score).any():
        raise ValueError(f"{int(np.isnan(score).sum())} of {score.size} scores are NaN")
    if set(np.unique(label)) != {0, 1}:
        raise ValueError(f"labels must be 0 or 1, some of each, got {np.unique(label).tolist()}")
    difference = score[:, label == 1][:, :, None] - score[:, label == 0][:, None, :]
    return (np.sign(difference) + 1) / 2
