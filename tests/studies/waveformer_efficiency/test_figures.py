import numpy as np
import pytest

from studykit.claims.stats import mean_interval
from studykit.studies.waveformer_efficiency.figures import attention_growth, band_pictures, measured_costs

RNG = np.random.default_rng(0)
IMAGE = RNG.normal(size=(8, 6, 4))
BANDS = {name: RNG.normal(size=(4, 3, 2)) for name in ("LLL", "LLH", "LHL", "HHH")}
SPACING = (2.0, 2.0, 3.0)
PEAK = {"whole": {8: [2e6, 4e6], 4: [1e6, 1e6]}, "low": {8: [1e6, 1e6], 4: [5e5, 7e5]}}
SECONDS = {name: {side: [0.1, 0.3] for side in own} for name, own in PEAK.items()}


def words(fig):
    return [text.get_text() for text in fig.legends[0].get_texts()]


def pictures(fig):
    """Name → image of the axes that hold one."""
    return {axis.get_title(loc="left"): axis.images[0] for axis in fig.axes if axis.images}


def test_bands_are_cut_where_the_volume_is_and_drawn_to_its_scale():
    fig = band_pictures(IMAGE, BANDS, SPACING, "t")
    shown = pictures(fig)
    assert list(shown) == ["volume", "LLH", "LLL", "LHL", "HHH"]
    np.testing.assert_array_equal(shown["volume"].get_array(), IMAGE[:, :, 2].T[::-1, ::-1])
    np.testing.assert_array_equal(shown["HHH"].get_array(), BANDS["HHH"][:, :, 1].T[::-1, ::-1])
    assert shown["volume"].get_extent() == shown["HHH"].get_extent()


def test_details_share_one_window_around_zero_and_the_smooth_band_has_its_own():
    shown = pictures(band_pictures(IMAGE, BANDS, SPACING, "t"))
    windows = {shown[name].get_clim() for name in ("LLH", "LHL", "HHH")}
    reach = np.percentile(np.abs([band for name, band in BANDS.items() if name != "LLL"]), 99.5)
    assert windows == {(-reach, reach)}
    assert shown["LLL"].get_clim() == pytest.approx(np.percentile(BANDS["LLL"], (0.5, 99.5)))


def test_growth_is_drawn_in_billions_with_the_ratio_the_mark_and_the_limit():
    lines = {"whole": ([8, 64], [1e9, 64e9]), "low": ([8, 64], [5e8, 2e9])}
    fig = attention_growth(lines, ([8, 64], [2, 32]), "t", marked=(64, 32, "here"), limit=64)
    left, right = fig.axes
    assert [list(line.get_ydata()) for line in left.lines] == [[1, 64], [0.5, 2]]
    drawn = [np.atleast_1d(line.get_ydata()).tolist() for line in right.lines]
    assert drawn == [[2, 32], [32], [64, 64]]
    assert [text.get_text() for text in right.texts] == ["here", "limit: 64"]
    assert (left.get_xscale(), left.get_yscale(), right.get_yscale()) == ("log", "log", "log")
    assert words(fig) == ["whole", "low"]


def test_a_growth_without_limit_and_mark_has_neither():
    _, right = attention_growth({"a": ([8], [1e9])}, ([8], [2]), "t").axes
    assert len(right.lines) == 1 and not right.texts


def test_measurements_have_means_points_intervals_and_counted_lines():
    fig = measured_costs(PEAK, SECONDS, "t", {"whole": ([4, 8], [5e5, 2e6]), "weights": ([4, 8], [1e6, 9e6])})
    memory, time = fig.axes
    drawn = [np.asarray(line.get_ydata(), float).tolist() for line in memory.lines]
    assert [0.5, 2] in drawn and [1, 9] in drawn, "counted lines, in MB"
    assert [2, 4] in drawn, "single measurements"
    assert [3, 1] in drawn, "means of the sides as given"
    interval = mean_interval([0.5, 0.7])
    assert interval.low < 0, "which a logarithmic axis cannot show"
    assert not any(value <= 0 for line in drawn for value in line)
    assert words(fig) == ["whole (n = 2 a size)", "low (n = 2 a size)", "weights"]
    assert (memory.get_title(loc="left"), time.get_title(loc="left")) == ("Memory (lines: counted)", "Time")
    assert [tick.get_text() for tick in time.get_xticklabels()] == ["4", "8"]


def test_an_interval_above_zero_is_drawn():
    values = [1.00e6, 1.02e6, 1.01e6]
    memory, _ = measured_costs({"a": {8: values}}, {"a": {8: [1, 1.1, 1.2]}}, "t").axes
    expected = mean_interval(np.divide(values, 1e6))
    bars = [list(line.get_ydata()) for line in memory.lines if list(line.get_xdata()) == [8, 8]]
    assert bars == [pytest.approx([expected.low, expected.high])]
    assert memory.get_title(loc="left") == "Memory"


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: band_pictures(IMAGE, {"LLL": BANDS["LLL"]}, SPACING, "t"), "a smooth band and a detail"),
        (lambda: band_pictures(IMAGE, BANDS | {"HHL": IMAGE}, SPACING, "t"), "HHL has shape"),
        (lambda: attention_growth({}, ([8], [2]), "t"), "got no lines"),
        (lambda: measured_costs({}, {}, "t"), "no measurement"),
    ],
)
def test_nothing_or_nonsense_is_refused(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()
