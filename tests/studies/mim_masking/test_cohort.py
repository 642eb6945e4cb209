"""Rows and tensors of a cohort of which all is known."""

import math

import numpy as np
import pytest
import torch

from studykit.data.angiography.subjects import AngiographyRow
from studykit.data.volumes.cache import PreparedVolume
from studykit.studies.mim_masking.cohort import diameters, masked_out, shares_hidden, stacked

NOWHERE = (math.nan,) * 3


def row(name, size=None):
    present = size is not None
    return AngiographyRow(
        name, present, "", size if present else math.nan, (0.0,) * 3 if present else NOWHERE
    )


def test_diameters_are_of_those_who_have_an_aneurysm():
    found = diameters([row("a", 4.0), row("b"), row("c", 10.0), row("d", 5.0)])
    assert found == {
        "subjects": 4, "with an aneurysm": 3, "smallest (mm)": 4.0, "median (mm)": 5.0, "largest (mm)": 10.0,
    }  # fmt: skip


def test_volumes_are_stacked_with_their_labels_in_axes_of_tensors():
    image = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    labels = (image > 11).astype(np.int16)
    volume = PreparedVolume("a", image, labels >= 0, labels, np.eye(4), "CT", "")
    images, maps = stacked([volume, volume])
    assert images.shape == (2, 1, 4, 3, 2) and maps.shape == (2, 4, 3, 2)
    assert torch.equal(images[1, 0] > 11, maps[0] == 1)


def test_hidden_shares_by_label():
    labels = torch.zeros(1, 4, 4, 4, dtype=torch.int64)
    labels[0, 0], labels[0, 3, 3, 3] = 1, 2
    masks = torch.zeros(1, 2, 2, 2, dtype=torch.bool)
    masks[0, 0, 0] = True
    found = shares_hidden(masks, labels, {"artery": 1, "aneurysm": 2})
    assert found == {"of all patches": 0.25, "of artery voxels": 0.5, "of aneurysm voxels": 0.0}


def test_hidden_patches_get_the_mean():
    image = torch.arange(64.0).view(1, 4, 4, 4)
    mask = torch.zeros(2, 2, 2, dtype=torch.bool)
    mask[1, 1, 1] = True
    dark = masked_out(image, mask)
    assert (dark[0, 2:, 2:, 2:] == image.mean()).all()
    assert int((dark != image).sum()) == pytest.approx(8, abs=1)
