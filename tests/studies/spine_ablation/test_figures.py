"""Figures of the spine ablation: what is drawn, where, and what is refused."""

import numpy as np
import pytest

from studykit.studies.spine_ablation.figures import banded_lines, sagittal_maps


def test_lines_have_a_panel_a_measure_and_bars_over_seeds():
    panels = {
        "Dice": {"plain": {0.0: [0.7, 0.8], 1.0: [0.5, 0.6]}, "both": {0.0: [0.8, 0.8], 1.0: [0.7, 0.7]}},
        "HD95 (mm)": {"plain": {"L5": [3.0, 4.0], "L4": [2.0, 2.0]}},
    }
    fig = banded_lines(panels, "noise", "A title")
    dice, distance = fig.axes
    assert dice.get_ylabel() == "Dice" and dice.get_xlabel() == "noise"
    lines = [line.get_ydata() for line in dice.lines]
    assert any(np.allclose(y, [0.75, 0.55]) for y in lines) and any(np.allclose(y, [0.8, 0.7]) for y in lines)
    assert distance.lines[-1].get_linestyle() == "None", "names are not joined"
    assert [tick.get_text() for tick in distance.get_xticklabels()] == ["L5", "L4"]
    assert "n = 2 seeds" in fig.legends[0].get_title().get_text()


def test_a_wide_interval_does_not_flatten_the_values():
    fig = banded_lines({"Dice": {"plain": {0.0: [0.5, 0.6], 1.0: [0.55, 0.6]}}}, "noise", "A title")
    low, high = fig.axes[0].get_ylim()
    assert 0.25 < low < 0.5 and 0.6 < high < 0.85


def test_counted_numbers_have_no_bars_and_may_be_logarithmic():
    fig = banded_lines({"GFLOP": {"U-Net": {48: [1.0], 96: [8.0]}}}, "crop", "A title", log=True)
    assert fig.axes[0].get_xscale() == fig.axes[0].get_yscale() == "log" and len(fig.axes[0].lines) == 1


def test_maps_stand_side_by_side_with_their_ranges():
    maps = {"image": np.arange(64.0).reshape(4, 4, 4), "attention": np.ones((2, 2, 2))}
    fig = sagittal_maps({"ann": maps, "bob": maps}, "A title")
    assert len(fig.axes) == 4 and fig.axes[0].get_ylabel() == "ann"
    assert np.array_equal(fig.axes[0].images[0].get_array(), maps["image"][:, ::-1, 2]), "the front is left"
    assert fig.axes[1].get_xlabel() == "1 to 1"


@pytest.mark.parametrize("nothing", [{}, {"Dice": {}}])
def test_nothing_to_draw_is_refused(nothing):
    with pytest.raises(ValueError, match="nothing to draw"):
        banded_lines(nothing, "x", "A title")
    with pytest.raises(ValueError, match="the same maps of each"):
        sagittal_maps({"ann": {"a": np.ones((2, 2, 2))}, "bob": {"b": np.ones((2, 2, 2))}}, "A title")
