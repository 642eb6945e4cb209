"""How well scores tell two classes apart, how well they are calibrated, and gains with their intervals.

The area under the ROC curve (AUROC) is a mean over pairs of a positive and a negative subject. What one
subject adds to it is its *placement*: the share of the other class that it stands on the right side of
(DeLong et al. 1988). Seeds meet the same subjects, so both vary: intervals are those of
:mod:`studykit.claims.crossed`.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from studykit.claims.crossed import crossed_interval
from studykit.claims.estimate import Estimate

LEAST_PROBABILITY = 1e-6


def log_loss(scores: ArrayLike, labels: ArrayLike) -> float:
    """Mean negative log likelihood in nats of labels (N,), 0 or 1, under probabilities (N,).

    >>> round(log_loss([0.5, 0.5], [0, 1]), 4)
    0.6931
    """
    p = np.clip(np.asarray(scores, float), LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    y = np.asarray(labels)
    return float(-np.where(y == 1, np.log(p), np.log1p(-p)).mean())


def calibration_error(scores: ArrayLike, labels: ArrayLike, bins: int = 10) -> float:
    """Expected calibration error: distance of mean score and share of positives, over bins of equal number.

    >>> calibration_error([0.25, 0.25, 0.25, 0.25], [0, 0, 0, 1], bins=1)
    0.0
    """
    p, y = np.asarray(scores, float), np.asarray(labels, float)
    order = np.argsort(p, kind="stable")
    parts = [part for part in np.array_split(order, bins) if part.size]
    return float(sum(part.size * abs(p[part].mean() - y[part].mean()) for part in parts) / p.size)


def placements(scores: ArrayLike, labels: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of each positive, and of each negative: the share of the other class on its right side; ties are half.

    >>> positives, negatives = placements([0.9, 0.3, 0.4, 0.1], [1, 1, 0, 0])
    >>> positives.tolist(), negatives.tolist()
    ([1.0, 0.5], [0.5, 1.0])

    Raises:
        ValueError: a class without a subject.
    """
    p, y = np.asarray(scores, float), np.asarray(labels)
    positive, negative = p[y == 1], p[y == 0]
    if not positive.size or not negative.size:
        raise ValueError("placements need a subject of either class")
    won = (positive[:, None] > negative) + 0.5 * (positive[:, None] == negative)
    return won.mean(axis=1), won.mean(axis=0)


def auroc_table(labels: ArrayLike, scores: ArrayLike) -> NDArray[np.float64]:
    """What each subject adds to the AUROC of each seed, float64 (seeds, subjects); a row's mean is its AUROC.

    A subject's entry is the AUROC and its own deviation from it, by placement, weighted so that the variance
    of a row over its number of subjects is DeLong's. So seeds and subjects can be crossed as for any score,
    and areas can be subtracted or averaged with other scores of the same subjects.

    >>> auroc_table([1, 1, 0, 0], [[0.9, 0.3, 0.4, 0.1]]).tolist()
    [[1.25, 0.25, 0.25, 1.25]]

    Args:
        labels: (subjects,), 0 or 1.
        scores: (seeds, subjects).

    Raises:
        ValueError: shapes that do not fit, or a class without a subject.
    """
    y, given = np.asarray(labels), np.asarray(scores, float)
    if given.ndim != 2 or given.shape[1:] != y.shape:
        raise ValueError(f"scores must be (seeds, subjects) of {y.size} subjects, got {given.shape}")
    table = np.empty_like(given)
    for row, own in zip(table, given, strict=True):
        sides = placements(own, y)
        area = sides[0].mean()
        for number, side in zip((1, 0), sides, strict=True):
            row[y == number] = area + y.size / side.size * (side - area)
    return table


def auroc_gain(
    labels: ArrayLike, baseline: ArrayLike, treatment: ArrayLike, *, kind: str = "reduced-scale"
) -> Estimate:
    """AUROC of ``treatment`` less that of ``baseline``, mean over seeds, interval over seeds × subjects.

    >>> better, worse = [[0.9, 0.6, 0.4, 0.1]] * 2, [[0.9, 0.3, 0.4, 0.1]] * 2
    >>> auroc_gain([1, 1, 0, 0], worse, better).value
    0.25

    Args:
        labels: (subjects,), 0 or 1.
        baseline, treatment: scores (seeds, subjects), paired, two seeds at least.

    Raises:
        ValueError: scores that are not paired, or what :func:`auroc_table` and
            :func:`studykit.claims.crossed.crossed_interval` refuse.
    """
    tables = [auroc_table(labels, scores) for scores in (baseline, treatment)]
    if tables[0].shape != tables[1].shape:
        raise ValueError(f"scores are paired by seed, got {tables[0].shape} and {tables[1].shape}")
    return crossed_interval(tables[1] - tables[0], kind=kind)
