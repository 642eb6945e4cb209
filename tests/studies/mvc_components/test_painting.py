"""Crops and masks that are drawn once, painting at a step, and a share of variance by hand."""

import pytest
import torch
from tiny_study import two_arms

from studykit.runs.weights import kept_steps, method_at
from studykit.studies.mvc_components.painting import crops_and_masks, explained, painted_at
from studykit.tasks.reconstruction import paint


def test_crops_and_masks_repeat_by_seed_and_hide_three_quarters(tiny):
    study = tiny()
    volumes = study.data.select(study.split.test)
    crops, masks = crops_and_masks(volumes, study.profile, 3, seed=0)
    assert crops.shape == (3 * len(volumes), 1, 16, 16, 16) and masks.shape == (len(crops), 4, 4, 4)
    assert masks.float().mean() == 0.75
    again, other = (
        crops_and_masks(volumes, study.profile, 3, seed=0),
        crops_and_masks(volumes, study.profile, 3, seed=1),
    )
    assert torch.equal(crops, again[0]) and torch.equal(masks, again[1])
    assert not torch.equal(masks, other[1])


def test_between_kept_steps_the_last_one_before_paints(tiny):
    study = tiny()
    run = study.run(two_arms(study)[0], study.seeds[0])
    crops, masks = crops_and_masks(study.data.select(study.split.test), study.profile, 1, seed=0)
    kept = kept_steps(run)
    assert len(kept) > 1
    between = painted_at(run, kept[-1] - 1, crops, masks)
    assert torch.equal(between, paint(method_at(run, kept[-2]), crops, masks, 16))
    assert not torch.equal(between, painted_at(run, kept[-1], crops, masks))


def test_crops_of_a_subject_have_one_mean():
    crops = torch.cat([torch.zeros(1, 1, 4, 4, 4), torch.ones(1, 1, 4, 4, 4)])
    masks = torch.ones(2, 2, 2, 2, dtype=torch.bool)
    assert explained(crops, crops, masks) == pytest.approx(1)
    assert explained(torch.full_like(crops, 0.5), crops, masks) == pytest.approx(0), (
        "their mean explains nothing"
    )
