"""AUROC gains with their intervals, log loss and calibration, each against its plain definition."""

import numpy as np
import pytest
from sklearn.metrics import log_loss as sklearn_log_loss
from sklearn.metrics import roc_auc_score

from studykit.metrics.classification import auroc_gain, auroc_table, calibration_error, log_loss, placements


def drawn(seed: int, seeds: int = 5, subjects: int = 60, lift: float = 0.0, own: float = 0.6):
    """Labels, and scores (seeds, subjects) with the subjects' difficulty in common and noise of their own."""
    rng = np.random.default_rng(seed)
    labels = np.arange(subjects) % 2
    shared = labels + rng.standard_normal(subjects)
    noise = rng.standard_normal((2, seeds, subjects))
    weak, strong = (shared + own * part for part in noise)
    return labels, weak, strong + lift * labels


def difference(labels, weak, strong) -> float:
    return float((auroc_table(labels, strong) - auroc_table(labels, weak)).mean())


def test_against_scikit_learn():
    labels, scores, _ = drawn(0)
    p = 1 / (1 + np.exp(-scores[0]))
    assert log_loss(p, labels) == pytest.approx(sklearn_log_loss(labels, p))
    for side in placements(p, labels):
        assert side.mean() == pytest.approx(roc_auc_score(labels, p))
    areas = auroc_table(labels, scores).mean(axis=1)
    assert areas == pytest.approx([roc_auc_score(labels, row) for row in scores])


def test_a_gain_is_the_difference_of_the_areas():
    labels, weak, strong = drawn(1, lift=0.8)
    areas = [[roc_auc_score(labels, row) for row in rows] for rows in (weak, strong)]
    gain = auroc_gain(labels, weak, strong)
    assert gain.value == pytest.approx(np.mean(areas[1]) - np.mean(areas[0]))
    mirrored = auroc_gain(labels, strong, weak)
    assert (mirrored.low, mirrored.high) == pytest.approx((-gain.high, -gain.low))
    assert auroc_gain(labels, weak, weak).high == 0.0


def test_the_interval_covers_what_new_seeds_and_new_subjects_would_give():
    """The truth is the mean over many draws; at a nominal 95 % nine in ten at least, over 200 studies."""
    lift = 0.5
    truth = np.mean([difference(*drawn(10_000 + i, 1, 400, lift)) for i in range(60)])
    inside = 0
    for study in range(200):
        gain = auroc_gain(*drawn(study, 5, 60, lift))
        inside += gain.low <= truth <= gain.high
    assert 0.9 <= inside / 200 <= 0.995


def test_the_spread_of_a_row_is_that_of_delong():
    labels, weak, strong = drawn(3, seeds=1)
    first, second = placements(weak[0], labels), placements(strong[0], labels)
    delong = sum((b - a).var() / len(a) for a, b in zip(first, second, strict=True))
    table = auroc_table(labels, strong) - auroc_table(labels, weak)
    assert table.var() / table.size == pytest.approx(delong)


def test_calibration_error_by_hand():
    scores = [0.1, 0.2, 0.8, 0.9]
    assert calibration_error(scores, [0, 0, 1, 1], bins=2) == pytest.approx(0.15)
    assert calibration_error(scores, [1, 1, 0, 0], bins=2) == pytest.approx(0.85)


def test_what_is_refused():
    with pytest.raises(ValueError, match="either class"):
        placements([0.1, 0.2], [1, 1])
    with pytest.raises(ValueError, match="paired"):
        auroc_gain([0, 1], np.zeros((2, 2)), np.zeros((3, 2)))
