"""Figures of the study draw what they are given, and refuse what cannot be drawn."""

import numpy as np
import pytest

from studykit.studies.volta_transfer.figures import reliability, slices_grid, token_maps

RNG = np.random.default_rng(0)
VOLUME, MAP = RNG.normal(size=(8, 8, 8)), RNG.normal(size=(2, 2, 2))
SPACING = (1.0, 1.0, 1.0)


def test_a_row_for_each_kind_of_view():
    figure = slices_grid(
        {"teacher": {"1": VOLUME, "2": VOLUME}, "student": {"1": VOLUME[:4, :4, :4]}}, SPACING, "t"
    )
    assert len(figure.axes) == 4 and figure.axes[2].get_ylabel() == "student"
    assert not figure.axes[3].axison
    with pytest.raises(ValueError, match="no pictures"):
        slices_grid({}, SPACING, "t")


def test_maps_are_drawn_over_their_own_range_with_the_cross_in_place():
    figure = token_maps(VOLUME, {"random": {"attention": MAP}}, SPACING, "t", (1, 4, 6))
    picture, mapped = figure.axes[:2]
    cross = picture.lines[0]
    assert (float(cross.get_xdata()[0]), float(cross.get_ydata()[0])) == (
        6.5,
        1.5,
    )  # R is on the left, head up
    shown = mapped.images[0].get_array()
    assert float(shown.max()) == pytest.approx(MAP[:, 1].max()) and shown.shape == (8, 8)
    with pytest.raises(ValueError, match="no maps"):
        token_maps(VOLUME, {}, SPACING, "t", (0, 0, 0))


def test_a_calibrated_score_lies_on_the_diagonal():
    scores = np.repeat([0.1, 0.5, 0.9], 200)
    labels = np.concatenate([np.arange(200) < share * 200 for share in (0.1, 0.5, 0.9)])
    figure = reliability({"sex": {"scratch": (scores, labels)}}, "t", bins=3)
    line = figure.axes[0].lines[1]
    assert np.allclose(line.get_xdata(), [0.1, 0.5, 0.9]) and np.allclose(line.get_ydata(), [0.1, 0.5, 0.9])
    with pytest.raises(ValueError, match="nothing to draw"):
        reliability({}, "t")
