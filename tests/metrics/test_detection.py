"""AUC against scikit-learn, the challenge's weights, and classes that are missing."""

import math

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from studykit.data.angiography.sites import LABELS
from studykit.metrics.detection import auc, label_aucs, weighted_auc


@pytest.mark.parametrize("levels", [3, 1000])
def test_auc_is_scikit_learns_with_and_without_ties(levels):
    rng = np.random.default_rng(levels)
    for _ in range(20):
        labels = rng.integers(0, 2, 31)
        labels[:2] = 0, 1
        scores = rng.integers(0, levels, 31) / levels
        assert auc(scores, labels) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)


def test_ties_count_half_and_order_is_all_that_matters():
    assert auc([1, 1, 1, 1], [0, 1, 0, 1]) == 0.5
    assert auc([0.1, 0.2, 0.3], [0, 0, 1]) == 1.0 == auc([-9, -1, 40], [0, 0, 1])
    assert auc([3, 2, 1], [0, 0, 1]) == 0.0


def test_one_class_is_nan_and_left_out_of_the_mean():
    assert math.isnan(auc([1, 2], [1, 1])) and math.isnan(auc([1, 2], [0, 0]))
    labels, scores = np.zeros((4, 14), dtype=int), np.zeros((4, 14))
    labels[:2, 13] = 1
    scores[:, 13] = [3, 2, 1, 0]
    assert weighted_auc(scores, labels) == 1.0
    assert math.isnan(weighted_auc(scores, np.zeros((4, 14), dtype=int)))


def test_present_weighs_as_much_as_all_places():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, (40, 14))
    scores = rng.normal(size=(40, 14))
    each = [roc_auc_score(labels[:, k], scores[:, k]) for k in range(14)]
    assert weighted_auc(scores, labels) == pytest.approx((np.mean(each[:13]) + each[13]) / 2)
    assert list(label_aucs(scores, labels)) == list(LABELS)
    assert label_aucs(scores, labels)["Basilar Tip"] == pytest.approx(each[11])


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        ([1.0, 2.0], [0, 1, 1], r"must both be \(N,\), got \(2,\) and \(3,\)"),
        ([1.0, math.nan], [0, 1], "1 of 2 scores are NaN"),
        ([1.0, 2.0], [0, 2], r"must be 0 or 1, got \[0, 2\]"),
    ],
)
def test_bad_input_is_refused(scores, labels, message):
    with pytest.raises(ValueError, match=message):
        auc(scores, labels)


def test_fourteen_columns_are_needed():
    with pytest.raises(ValueError, match=r"must both be \(N, 14\), got \(4, 13\)"):
        weighted_auc(np.zeros((4, 13)), np.zeros((4, 13)))
