"""The projections: what is drawn where."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from studykit.data.angiography.subjects import AngiographyRow
from studykit.studies.mim_masking.projections import Projected, projected, projections_figure


def bright(x, y, z):
    image = np.zeros((12, 14, 16), dtype=np.float32)
    image[x, y, z] = 1
    return image


def test_each_subject_is_seen_from_the_front_and_from_above_with_its_aneurysm_ringed():
    subjects = [
        Projected("one", bright(3, 4, 12), (-3.75, -3.75, 6.75), 5.0),
        Projected("two", bright(1, 1, 1)),
    ]
    fig = projections_figure(subjects, (1.5, 1.5, 1.5), "Title")
    axes = fig.axes
    assert len(axes) == 4 and [axis.get_title(loc="left") for axis in axes[:2]] == ["one", "two"]
    assert [len(axis.patches) for axis in axes] == [1, 0, 1, 0]
    for axis, above in ((axes[0], 6.75), (axes[2], -3.75)):
        picture = axis.images[0]
        left, _, _, top = picture.get_extent()
        row, column = np.unravel_index(int(picture.get_array().argmax()), picture.get_array().shape)
        step = 1.5
        where = (left + step * (column + 0.5), top - step * (row + 0.5))
        assert where == pytest.approx(axis.patches[0].center, abs=1e-6)
        assert axis.patches[0].center[1] == above and axis.patches[0].center[0] == 3.75, (
            "the left is on the right"
        )
    plt.close(fig)


def test_a_slab_leaves_out_what_lies_in_front_of_it():
    subject = Projected("one", bright(6, 1, 8))
    for slab, seen in ((None, 1.0), (6.0, 0.0)):
        fig = projections_figure([subject], (1.5, 1.5, 1.5), "Title", slab)
        assert fig.axes[0].images[0].get_array().max() == seen
        plt.close(fig)


def test_no_subjects_are_refused():
    with pytest.raises(ValueError, match="got no subjects"):
        projections_figure([], (1, 1, 1), "Title")


def test_who_has_no_aneurysm_is_not_ringed():
    ill = AngiographyRow("a", True, "", 5.0, (1.0, 2.0, 3.0))
    well = AngiographyRow("b", False, "", float("nan"), (float("nan"),) * 3)
    image = bright(1, 1, 1)
    assert projected("one", image, ill) == Projected("one", image, (1.0, 2.0, 3.0), 5.0)
    assert projected("two", image, well).centre_mm is None
