"""AUC by size and over runs and subjects at once, and where a detector points."""

import math

import numpy as np
import pandas as pd
import pytest

from studykit.data.angiography.sites import LABELS, PRESENT
from studykit.metrics.detection import auc
from studykit.studies.mim_masking.detection_scores import (
    auc_bootstrap,
    auc_by_size,
    challenge_score,
    present_auc,
    surest_cells,
)

DIAMETERS = [5.0, 6.0, 12.0, math.nan, math.nan]
SCORES = [0.1, 0.6, 0.9, 0.2, 0.5]


def table(scores=SCORES, diameters=DIAMETERS):
    columns = {"subject": [f"s{n}" for n in range(len(scores))], "diameter_mm": diameters}
    ill = [int(not math.isnan(size)) for size in diameters]
    for name in LABELS:
        columns[f"score {name}"] = scores if name == PRESENT else [0.5] * len(scores)
        columns[f"label {name}"] = ill if name == PRESENT else [0] * len(scores)
    return pd.DataFrame(columns)


def test_the_auc_of_a_table_is_that_of_its_last_label():
    assert present_auc(table()) == auc(SCORES, [1, 1, 1, 0, 0]) == 4 / 6
    assert challenge_score(table()) == pytest.approx(4 / 6), "no other label has both kinds"


def test_each_range_of_diameters_is_held_against_all_healthy():
    assert auc_by_size(table(), (4, 6, 8, 12)) == {(4, 6): 0.0, (6, 8): 1.0, (8, 12): 1.0}
    assert auc_by_size(table(), (1, 2, 7)) == {(2, 7): 0.5}, "a range without an aneurysm is left out"
    assert auc_by_size(table().iloc[:3], (4, 12)) == {}, "and so is all without the healthy"


@pytest.mark.parametrize("edges", [(4,), (4, 4), (6, 4)])
def test_edges_must_rise(edges):
    with pytest.raises(ValueError, match="at least two rising diameters"):
        auc_by_size(table(), edges)


def test_the_bootstrap_is_about_the_mean_auc_and_the_mean_gain():
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 2
    good, poor = (strength * labels + rng.normal(size=(5, 40)) for strength in (2.0, 0.3))
    means = [np.mean([auc(run, labels) for run in scores]) for scores in (good, poor)]
    one, gain = auc_bootstrap(labels, good), auc_bootstrap(labels, good, poor)
    assert one.value == pytest.approx(means[0]) and gain.value == pytest.approx(means[0] - means[1])
    assert one.low < one.value < one.high <= 1 and one.n == 5
    assert 0 < gain.low < gain.value < gain.high
    assert auc_bootstrap(labels, good, good).high == 0


def test_the_interval_over_subjects_narrows_with_more_of_them(monkeypatch):
    monkeypatch.setattr("studykit.studies.mim_masking.detection_scores.RESAMPLES", 499)
    rng = np.random.default_rng(1)

    def width(subjects):
        labels = np.arange(subjects) % 2
        shared = labels + rng.normal(size=subjects)
        estimate = auc_bootstrap(labels, np.stack([shared, shared, shared]))
        return estimate.high - estimate.low

    assert width(400) < 0.5 * width(40), "runs that agree on all subjects are still tested on few"


def test_one_run_or_one_healthy_subject_bounds_nothing():
    for labels, scores in (([0, 0, 1, 1], [[1, 2, 3, 4]]), ([0, 1, 1], [[1, 2, 3], [3, 2, 1]])):
        estimate = auc_bootstrap(labels, scores)
        assert (estimate.low, estimate.high) == (-math.inf, math.inf)


@pytest.mark.parametrize(
    ("labels", "scores", "other", "message"),
    [
        ([0, 1], [1, 2], None, r"\(runs, subjects\)"),
        ([0, 1], [[1, 2, 3]], None, r"\(runs, subjects\)"),
        ([0, 1], [[1, math.nan]], None, "1 of 2 scores are NaN"),
        ([1, 1], [[1, 2]], None, r"some of each, got \[1\]"),
        ([0, 1], [[1, 2]], [[1, 2], [2, 1]], "runs are paired, got 1 and 2"),
    ],
)
def test_scores_that_do_not_fit_are_refused(labels, scores, other, message):
    with pytest.raises(ValueError, match=message):
        auc_bootstrap(labels, scores, other)


def test_the_surest_cell_is_told_in_mm_along_x_y_z():
    cells = np.zeros((2, 2, 4, 8))
    cells[0, 1, 0, 7], cells[1, 0, 2, 4] = 1, 1
    assert surest_cells(cells, 10.0).tolist() == [[35.0, -15.0, 5.0], [5.0, 5.0, -5.0]]
