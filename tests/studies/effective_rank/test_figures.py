import numpy as np
import pytest

from studykit.studies.effective_rank.figures import activation_histograms, quality_against_rank


def words(fig):
    return [text.get_text() for text in fig.legends[0].get_texts()]


def test_a_run_is_a_line_of_rings_that_ends_in_a_full_mark():
    fig = quality_against_rank({"released": {"MAE": [([5, 4, 3], [0.2, 0.3, 0.4])]}}, "rank", "accuracy", "t")
    (axis,) = fig.axes
    line, rings, last = axis.lines
    assert list(line.get_xdata()) == [5, 4, 3] and line.get_linestyle() == "-"
    assert (list(rings.get_xdata()), list(last.get_xdata())) == ([5, 4], [3])
    assert rings.get_markerfacecolor() == "white" != last.get_markerfacecolor()
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("rank", "accuracy")
    assert words(fig) == ["MAE, end of training", "before it"]


def test_densities_integrate_to_one_and_the_deviation_is_named():
    values = np.random.default_rng(0).normal(0, 2, (50, 40))
    fig = activation_histograms({"MAE": {"untrained": values, "trained": values / 2}}, "activation", "t")
    (axis,) = fig.axes
    for patch in axis.patches:
        heights, edges, _ = patch.get_data()
        assert (heights * np.diff(edges)).sum() == pytest.approx(1)
    labels = [text.get_text() for text in axis.get_legend().get_texts()]
    assert labels == [
        f"untrained (deviation {values.std():.2g})",
        f"trained (deviation {values.std() / 2:.2g})",
    ]
    assert axis.get_yscale() == "log"


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: quality_against_rank({}, "x", "y", "t"), "nothing to draw"),
        (lambda: activation_histograms({}, "x", "t"), "nothing to draw"),
        (
            lambda: activation_histograms({"a": {"b": [0.0, np.nan]}}, "x", "t"),
            "a has activations that are NaN",
        ),
    ],
)
def test_nothing_or_nonsense_is_refused(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()
