"""The real spines as a cohort's subjects are: where they lie, and that vertebrae are bright."""

import numpy as np
import pytest
from scipy import ndimage

from studykit.data.cohorts.designs import DESIGNS
from studykit.data.cohorts.real_spines import prepare_real_spines
from studykit.data.labelled import open_labelled

pytestmark = pytest.mark.network


def test_they_have_the_field_of_view_and_the_classes_of_the_cohort():
    spines, cohort = open_labelled("real-spines", 6.0), open_labelled("cohort:spines/ct:2", 6.0)
    assert spines.classes == cohort.classes == DESIGNS["spines"].classes
    assert [volume.subject for volume in spines.prepared.volumes] == list(DESIGNS["spines"].templates)
    for real, made in zip(spines.prepared.volumes, cohort.prepared.volumes, strict=True):
        assert real.array.shape == made.array.shape == DESIGNS["spines"].shape(6.0)
        assert set(np.unique(real.labels)) == set(np.unique(made.labels)), "the same part of the same spine"


def test_vertebrae_are_bright_and_in_turn():
    for volume in prepare_real_spines(4.0).volumes:
        odd, even = (volume.labels == label for label in (1, 2))
        assert (
            min(volume.array[odd].mean(), volume.array[even].mean()) > volume.array[volume.foreground].mean()
        )
        heights = [z for mask in (odd, even) for z in _heights(mask)]
        assert np.diff(sorted(heights)).min() > 2.5, "pieces of both classes lie one above the other"


def _heights(mask):
    pieces, count = ndimage.label(mask)
    sizes = np.bincount(pieces.ravel())[1:]
    middles = ndimage.center_of_mass(mask, pieces, range(1, count + 1))
    return [middle[2] for middle, size in zip(middles, sizes, strict=True) if size > 40]
