"""Aneurysms by their place, from a series of the challenge: image and sites lie on one another."""

import numpy as np
import pytest

from studykit.data.aneurysms import has_aneurysms, image_and_sites, open_aneurysms
from studykit.data.angiography.sites import label_vector
from studykit.data.angiography.subjects import SeriesRow
from studykit.data.volumes.cache import PreparedVolume


@pytest.mark.parametrize(
    ("source", "known"), [("rsna:/a/b", True), ("angio:mra:8", True), ("folder:/a", False)]
)
def test_sources_that_know_them(source, known):
    assert has_aneurysms(source) is known


def test_a_source_without_them_is_refused_by_name():
    with pytest.raises(ValueError, match="folder:/a says nothing of aneurysms"):
        open_aneurysms("folder:/a", 2.0)


@pytest.mark.parametrize("side", [4, 7, 12])
def test_image_and_sites_keep_their_places_whatever_the_field_of_view(side):
    image = np.zeros((6, 8, 9), np.float32)
    labels = np.zeros(image.shape, np.int16)
    image[3, 4, 4], labels[3, 4, 4] = 5.0, 7
    volume = PreparedVolume("1.2", image, image >= 0, labels, np.eye(4), "CT", "key")
    both = image_and_sites(volume, SeriesRow("1.2", label_vector("Basilar Tip")), side)
    assert both.shape == (2, side, side, side)
    assert both[1].max() == 7 and (both[0] == 5).equal(both[1] == 7)
