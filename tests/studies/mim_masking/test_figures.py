"""The figures of study 08: what is drawn where, what is said beside it, what is refused."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from studykit.claims.paper import find_claim
from studykit.claims.stats import mean_interval
from studykit.studies.mim_masking.figures import (
    Masked,
    Pointed,
    auc_by_diameter,
    contrastive_floors,
    curve_panels,
    found_and_missed,
    judged_panel,
    masking_pictures,
)

RNG = np.random.default_rng(0)
IMAGE, SPACING = RNG.normal(size=(8, 8, 8)), (2.0, 2.0, 2.0)
HIDDEN = np.zeros((2, 2, 2), bool)
HIDDEN[0, 0, 1] = True
RANGES = {(4, 6): 3, (6, 8): 2}
AUCS = {
    "a": {(4, 6): [0.5, 0.6, 0.7], (6, 8): [0.8, 0.9, 0.9]},
    "b": {(4, 6): [0.5], (6, 8): [0.7]},
}


def words(fig):
    return [text.get_text() for text in fig.legends[0].get_texts()]


def test_a_mask_is_painted_where_it_hides_and_its_share_is_told():
    opened = np.zeros_like(HIDDEN)
    opened[1, 1, 1] = True
    pictures = {"volume": Masked(IMAGE, SPACING), "nested": Masked(IMAGE, SPACING, HIDDEN, opened)}
    fig = masking_pictures(pictures, "t", columns=2)
    left, right = fig.axes
    assert left.get_title(loc="left") == "volume" and right.get_title(loc="left") == "nested\n12% hidden"
    assert [len(axis.images) for axis in (left, right)] == [1, 3]
    shown, hidden = (image.get_array()[..., 3] > 0 for image in right.images[1:])
    assert hidden[4:, 4:].all() and hidden.sum() == 16, "low X is on the right, low Y below"
    assert shown[:4, :4].all() and shown.sum() == 16
    assert words(fig) == ["hidden", "opened again"]


def test_pictures_of_other_sizes_have_their_own_scale():
    fig = masking_pictures(
        {"up": Masked(IMAGE[::2, ::2, ::2], (4.0,) * 3), "down": Masked(IMAGE, (0.5,) * 3)}, "t"
    )
    up, down, *empty = fig.axes
    assert np.ptp(up.get_xlim()) == 16 and np.ptp(down.get_xlim()) == 4
    assert not any(axis.axison for axis in empty)


def test_losses_and_floors_are_drawn_as_given_and_the_shown_number_is_marked():
    fig = contrastive_floors(
        [0, 1], {"x": [5, 1], "y": [4, 0.1]}, [16, 64], {"x": [1, 1], "y": [0.1, 0.2]}, "t", 64
    )
    left, right = fig.axes
    assert [list(line.get_ydata()) for line in left.lines] == [[5, 1], [4, 0.1]]
    assert [list(line.get_xdata()) for line in right.lines] == [[16, 64], [16, 64], [64, 64]]
    assert left.get_title(loc="left") == "64 places" and words(fig) == ["x", "y"]


def test_arms_stand_side_by_side_in_each_range_with_their_intervals_and_counts():
    fig = auc_by_diameter(AUCS, RANGES, "t")
    (axis,) = fig.axes
    assert [tick.get_text() for tick in axis.get_xticklabels()] == ["4 to 6 mm\n(3)", "6 to 8 mm\n(2)"]
    means = [line for line in axis.lines if line.get_markersize() == 6]
    assert [line.get_ydata()[0] for line in means] == pytest.approx([0.6, 2.6 / 3, 0.5, 0.7])
    places = [line.get_xdata()[0] for line in means]
    assert places[0] < 0 < places[2] and places[1] < 1 < places[3]
    e = mean_interval(AUCS["a"][4, 6])
    bars = [list(line.get_ydata()) for line in axis.lines if list(line.get_xdata()) == [places[0]] * 2]
    assert bars == [pytest.approx([max(e.low, axis.get_ylim()[0]), e.high])]
    assert words(fig) == ["a", "b"] and "n = 1, 3 seeds" in fig.legends[0].get_title().get_text()


def test_curves_have_a_mean_a_band_and_each_seed():
    curves = {"a": [([0, 2], [1.0, 3.0]), ([0, 2], [3.0, 5.0])], "b": [([0, 1], [2.0, 2.0])]}
    fig = curve_panels({"error": curves, "other": curves}, "steps", "t")
    axis = fig.axes[0]
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("steps", "error")
    assert [2.0, 4.0] in [list(line.get_ydata()) for line in axis.lines]
    assert len(axis.lines) == 5 and len(axis.collections) == 1, "one seed has no band"
    assert axis.get_ylim() == pytest.approx((0.68, 5.32)), "a wide band does not squeeze the seeds"
    assert words(fig) == ["a (n = 2)", "b (n = 1)"]


def test_the_ring_is_at_the_aneurysm_and_the_square_round_the_surest_cell():
    subject = Pointed("ill", IMAGE, (2.0, 4.0, -6.0), 5.0, (-3.0, 1.0, 5.0), 4.0)
    healthy = Pointed("healthy", IMAGE, cell_mm=(0.0, 0.0, 0.0), cell_side_mm=4.0)
    fig = found_and_missed([subject, healthy], SPACING, "t")
    front, front_healthy, above, _ = fig.axes
    for axis, ring, corner in ((front, (-2.0, -6.0), (1.0, 3.0)), (above, (-2.0, 4.0), (1.0, -1.0))):
        circle, square = axis.patches
        assert circle.center == ring
        assert (square.get_xy(), square.get_width(), square.get_height()) == (corner, 4.0, 4.0)
    assert len(front_healthy.patches) == 1
    assert "surest cell" in fig.get_supxlabel()
    plt.close(fig)


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: masking_pictures({}, "t"), "nothing to draw"),
        (
            lambda: masking_pictures({"a": Masked(IMAGE, SPACING, np.zeros((3, 3, 3)))}, "t"),
            "does not divide",
        ),
        (lambda: contrastive_floors([0], {"x": [1]}, [4], {"y": [1]}, "t", 4), "the same forms"),
        (lambda: auc_by_diameter({}, RANGES, "t"), "nothing to draw"),
        (lambda: auc_by_diameter({"a": {(4, 6): [1.0]}}, RANGES, "t"), "'a' has others"),
        (lambda: curve_panels({}, "x", "t"), "the same arms"),
        (lambda: curve_panels({"p": {"a": []}, "q": {"b": []}}, "x", "t"), "the same arms"),
        (lambda: found_and_missed([], SPACING, "t"), "got no subjects"),
    ],
)
def test_what_cannot_be_drawn_is_refused(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()


def test_a_panel_holds_a_comparison_against_its_rule():
    rule = find_claim("rsna-pipeline/alignment-helps").rule
    panel = judged_panel(rule, "nested, aligned", "nested and more", {"all": [0.1, 0.2]})
    assert panel.title.replace("\n", " ") == "nested, aligned − nested and more" and "\n" in panel.title
    assert set(panel.levels.values()) == {rule.null, rule.least_effect} and panel.judged == "all"
