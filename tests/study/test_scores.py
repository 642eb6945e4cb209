"""A study of detection: test subjects are scored once, with their truth beside the scores."""

from dataclasses import replace

import numpy as np
import pytest
from tiny_labelled import UNET, tiny_transfer_profile

from studykit.arms import profiles
from studykit.data.angiography import cohort
from studykit.data.angiography.sites import LABELS, PRESENT
from studykit.data.cohorts.regions import REGIONS
from studykit.data.cohorts.templates import Template
from studykit.study import open_study, scores


def ball_of_brain():
    """5 mm voxels of cortex, with an amygdala on both sides of the middle."""
    grid = np.stack(np.meshgrid(*[np.arange(36) - 17.5] * 3, indexing="ij"))
    place = {region: k for k, region in enumerate(REGIONS["head"])}
    regions = np.zeros(grid.shape[1:], dtype=np.uint8)
    for region, x, radius in (("cortex", 0, 16), ("amygdala", 4, 2), ("amygdala", -4, 2)):
        middle = np.reshape((x, 0, 0), (3, 1, 1, 1))
        regions[((grid - middle) ** 2).sum(axis=0) < radius**2] = place[region, "grey matter"]
    return regions


@pytest.fixture
def study(results, tmp_path, monkeypatch):
    template = Template("toy", "head", ball_of_brain(), 5.0, "toy")
    monkeypatch.setattr(cohort, "load_template", lambda name, cache=None: template)
    monkeypatch.setenv("STUDYKIT_DATA", str(tmp_path / "volumes"))
    tiny = replace(tiny_transfer_profile(), spacing_mm=4.5, train=4, val=2, test=4, steps=2, repetitions=1)
    monkeypatch.setitem(profiles.DETECTION, "smoke", tiny)
    return open_study("mim-masking")


def test_every_test_subject_is_scored_by_the_best_weights_beside_its_truth(study, monkeypatch):
    study.arm("scratch", "detection", **UNET)
    run = study.run("scratch")
    found = study.detection_scores(run)
    truth = {row.id: row for row in cohort.open_angiography(study.source, 4.5)[1]}
    assert set(found["subject"]) == set(study.split.test) and len(found) == 4
    for row in found.to_dict("records"):
        known = truth[row["subject"]]
        assert tuple(row[f"label {name}"] for name in LABELS) == known.labels
        assert row["diameter_mm"] == pytest.approx(known.diameter_mm, nan_ok=True)
        assert all(0 < row[f"score {name}"] < 1 for name in LABELS)
    assert found["diameter_mm"].isna().tolist() == (found[f"label {PRESENT}"] == 0).tolist()

    monkeypatch.setattr(scores, "best_method", None)
    again = study.detection_scores(run)
    assert again.equals(found) and (again.dtypes == found.dtypes).all(), "worked out once, kept with the run"


def test_kept_scores_of_other_subjects_are_not_taken(study, monkeypatch):
    study.arm("scratch", "detection", **UNET)
    run = study.run("scratch")
    first = study.detection_scores(run)
    study.ground.split = replace(study.split, test=study.split.test[:2])
    assert list(study.detection_scores(run)["subject"]) == list(first["subject"][:2])
