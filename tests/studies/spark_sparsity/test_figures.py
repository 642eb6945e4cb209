"""Figures of masked convolution draw what they are given, and refuse what cannot be drawn."""

import warnings

import numpy as np
import pytest

from studykit.studies.spark_sparsity.figures import NOTHING, effects_by_layer, stage_pictures, times_by_share

RNG = np.random.default_rng(0)
LAYERS = ["stem", "1.1", "1.2"]
COLUMNS = ["input", "stage 1"]
VOLUME, MAP = RNG.normal(size=(8, 6, 4)), np.abs(RNG.normal(size=(4, 3, 2)))
HOLED = np.where(np.arange(4)[:, None, None] < 2, MAP, 0)
SECONDS = {
    0.25: {"dense": [0.1, 0.2, 0.3], "halo": [0.01, 0.02, 0.03]},
    1.0: {"dense": [0.1, 0.1, 0.1], "halo": [0.2, 0.2, 0.2]},
}


def table(*rows):
    return np.array(rows, float)


FLAT = {"dense": table([0.2, 0.2, 0.2], [0.2, 0.2, 0.2]), "sparse": table([0, 0, 0], [0, 0, 0])}
SPREAD = {"dense": table([0.1, 0.2, 0.3], [0.1, 0.2, 0.5]), "sparse": table([0, 0.1, 0.1], [0, 0.1, 0.1])}
PANELS = {"random": SPREAD, "trained": FLAT, "bare": FLAT}


def lines(axis):
    """Values of the lines, without the dots of single repetitions."""
    return [list(line.get_ydata()) for line in axis.lines if line.get_linestyle() not in ("None", "none", "")]


def test_pictures_of_a_column_share_a_window_and_exact_zeros_are_painted():
    fig = stage_pictures({"whole": [VOLUME, MAP], "sparse": [VOLUME, HOLED]}, COLUMNS, (2.0, 2.0, 2.0), "t")
    axes = [axis for axis in fig.axes if axis.images]
    assert [axis.get_title(loc="left") for axis in axes] == ["input", "stage 1", "", ""]
    assert [axis.get_ylabel() for axis in axes] == ["whole", "", "sparse", ""]
    whole, holed = axes[1].images[0], axes[3].images[0]
    assert whole.get_clim() == holed.get_clim() and whole.get_clim() != axes[0].images[0].get_clim()
    np.testing.assert_array_equal(holed.get_array(), HOLED[:, :, 1].T[::-1, ::-1])
    assert whole.get_extent() == axes[0].images[0].get_extent()
    painted = axes[3].images[1].get_array()
    np.testing.assert_array_equal(painted[..., 3] == 1, HOLED[:, :, 1].T[::-1, ::-1] == 0)
    red = int(NOTHING[1:3], 16) / 255
    np.testing.assert_allclose(painted[painted[..., 3] == 1][:, 0], red)
    assert not axes[1].images[1].get_array().any()


def test_pictures_of_another_number_are_refused():
    with pytest.raises(ValueError, match="needs 2 pictures; 'sparse' has 1"):
        stage_pictures({"whole": [VOLUME, MAP], "sparse": [VOLUME]}, COLUMNS, (2.0, 2.0, 2.0), "t")
    with pytest.raises(ValueError, match="got no rows"):
        stage_pictures({}, COLUMNS, (2.0, 2.0, 2.0), "t")


def test_means_over_repetitions_are_drawn_by_layer_on_one_scale():
    fig = effects_by_layer(PANELS, LAYERS, "shift", "t")
    axes = [axis for axis in fig.axes if axis.lines]
    assert [axis.get_title(loc="left") for axis in axes] == ["random", "trained", "bare"]
    np.testing.assert_allclose(lines(axes[0]), [[0.1, 0.2, 0.4], [0, 0.1, 0.1]])
    assert len({axis.get_ylim() for axis in axes}) == 1
    assert [tick.get_text() for tick in axes[2].get_xticklabels()] == LAYERS
    assert [text.get_text() for text in fig.legends[0].get_texts()] == ["dense", "sparse"]
    assert "n = 2" in fig.legends[0].get_title().get_text()


def test_an_interval_beyond_the_axis_ends_in_an_arrow_and_leaves_the_scale_alone():
    fig = effects_by_layer(PANELS, LAYERS, "shift", "t")
    top = fig.axes[0].get_ylim()[1]
    assert top == pytest.approx(1.3 * 0.5)
    arrows = [line for line in fig.axes[0].lines if line.get_marker() == "^"]
    assert [float(line.get_ydata()[0]) for line in arrows] == [top]
    assert float(arrows[0].get_xdata()[0]) == pytest.approx(2, abs=0.1)


def test_a_share_is_shown_from_nothing_to_all():
    low, high = effects_by_layer(PANELS, LAYERS, "share", "t", share=True).axes[0].get_ylim()
    assert low < 0 and 1 < high < 1.1


def test_one_repetition_has_no_interval_and_lays_out_without_a_warning():
    panels = {"random": {"dense": table([0.1, 0.2, 0.3])}}
    fig = effects_by_layer(panels, LAYERS, "shift", "t")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fig.canvas.draw()
    assert not fig.axes[0].collections


def test_values_that_do_not_fit_the_layers_are_refused():
    with pytest.raises(ValueError, match="nothing to draw"):
        effects_by_layer({}, LAYERS, "shift", "t")
    with pytest.raises(ValueError, match=r"a, dense: expected \(repetitions, 3 layers\), got \(1, 2\)"):
        effects_by_layer({"a": {"dense": table([1, 2])}}, LAYERS, "shift", "t")


def test_times_are_medians_in_ms_and_ratios_are_of_paired_rounds():
    fig = times_by_share(SECONDS, "t", marked=0.25)
    left, right = fig.axes
    drawn = [line for line in left.lines if len(line.get_xdata()) == 2 and line.get_marker() != "None"]
    np.testing.assert_allclose([line.get_ydata() for line in drawn], [[200, 100], [20, 200]])
    ratio = [line for line in right.lines if line.get_marker() != "None"]
    np.testing.assert_allclose([line.get_ydata() for line in ratio], [[10, 0.5]])
    assert [tick.get_text() for tick in left.get_xticklabels()] == ["25 %", "100 %"]
    words = [text.get_text() for text in fig.legends[0].get_texts()]
    assert words == ["dense", "halo", "where the claim is judged"]
    assert "n = 3 rounds" in fig.legends[0].get_title().get_text()


def test_times_need_two_backends_and_the_same_everywhere():
    with pytest.raises(ValueError, match="needs a backend and another"):
        times_by_share({0.5: {"dense": [1.0]}}, "t")
    with pytest.raises(ValueError, match="every share needs the backends dense, halo; 1 has others"):
        times_by_share({0.25: SECONDS[0.25], 1.0: {"halo": [1.0], "dense": [1.0]}}, "t")
