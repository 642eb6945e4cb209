"""Area under the ROC curve, and the score of RSNA 2025 Intracranial Aneurysm Detection made of fourteen.

Hanley and McNeil (Radiology 1982): the share of pairs of a positive and a negative case in which the positive
one has the higher score, ties counting half.
"""

import math
from typing import TYPE_CHECKING

import numpy as np

from studykit.data.angiography.sites import LABELS, PRESENT

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

PRESENT_WEIGHT = 13.0
"""Of "aneurysm present" in the weighted mean, where each of the thirteen places weighs 1."""


def auc(scores: "ArrayLike", labels: "ArrayLike") -> float:
    """Area under the ROC curve, by ranks; NaN where all cases are of one class.

    >>> auc([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
    0.75

    Args:
        scores: (N,), the higher the more likely positive; any monotone scale.
        labels: (N,), 0 or 1.

    Raises:
        ValueError: shapes that differ or are not (N,), a score that is NaN, or a label other than 0 and 1.
    """
    from scipy.stats import rankdata

    score, label = np.asarray(scores, dtype=np.float64), np.asarray(labels)
    if score.ndim != 1 or score.shape != label.shape:
        raise ValueError(f"scores and labels must both be (N,), got {score.shape} and {label.shape}")
    if np.isnan(score).any():
        raise ValueError(f"{int(np.isnan(score).sum())} of {score.size} scores are NaN")
    if not np.isin(label, (0, 1)).all():
        raise ValueError(f"labels must be 0 or 1, got {np.unique(label).tolist()}")
    positive = label.astype(bool)
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    if not n_positive or not n_negative:
        return math.nan
    above = rankdata(score)[positive].sum() - n_positive * (n_positive + 1) / 2
    return float(above / (n_positive * n_negative))


def label_aucs(scores: "ArrayLike", labels: "ArrayLike") -> dict[str, float]:
    """AUC of each of the challenge's labels; NaN for one that all cases or none have.

    >>> labels = np.eye(len(LABELS), dtype=int)
    >>> set(label_aucs(labels.astype(float), labels).values())
    {1.0}

    Args:
        scores, labels: (N, 14), columns as in :data:`studykit.data.angiography.sites.LABELS`.

    Raises:
        ValueError: other shapes, or what :func:`auc` refuses.
    """
    score, label = np.asarray(scores), np.asarray(labels)
    if score.ndim != 2 or score.shape != label.shape or score.shape[1] != len(LABELS):
        raise ValueError(
            f"scores and labels must both be (N, {len(LABELS)}), got {score.shape} and {label.shape}"
        )
    return {name: auc(score[:, place], label[:, place]) for place, name in enumerate(LABELS)}


def weighted_auc(scores: "ArrayLike", labels: "ArrayLike") -> float:
    """Mean AUC of the fourteen labels, "aneurysm present" weighing 13 and each place 1.

    A label that all cases or none have is left out with its weight: a small test set lacks some places. NaN
    where no label is left.

    >>> labels = np.eye(len(LABELS), dtype=int)
    >>> weighted_auc(labels.astype(float), labels)
    1.0

    Args:
        scores, labels: as :func:`label_aucs`.

    Raises:
        ValueError: as :func:`label_aucs`.
    """
    pairs = [
        (value, PRESENT_WEIGHT if name == PRESENT else 1.0)
        for name, value in label_aucs(scores, labels).items()
        if not math.isnan(value)
    ]
    total = sum(weight for _, weight in pairs)
    return sum(value * weight for value, weight in pairs) / total if pairs else math.nan
