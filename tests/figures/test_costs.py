"""Bars of cost: parts that add up, units, quoted totals."""

import pytest
from matplotlib.colors import to_hex

from studykit.figures.costs import cost_bars

PANELS = {
    "224³": {"BertsWin": {"stem": 1e9, "MLP": 3e9}, "MAE-ViT": {"stem": 1e9, "MLP": 1e9}},
    "512³": {"BertsWin": {"stem": 1e12, "MLP": 5e12}, "MAE-ViT": {"stem": 1e12, "MLP": 10e12}},
}


def legend(fig):
    return [text.get_text() for text in fig.legends[0].get_texts()]


def test_bars_stack_to_the_total_in_the_unit_of_their_panel():
    small, large = cost_bars(PANELS, "Parts", {"224³": {"BertsWin": 2e9}}).axes
    assert (small.get_ylabel(), large.get_ylabel()) == ("forward GFLOP", "forward TFLOP")
    assert [(bar.get_y(), bar.get_height()) for bar in small.patches] == [(0, 1), (1, 3), (0, 1), (1, 1)]
    assert [text.get_text() for text in small.texts] == ["4.00", "2.00"]
    assert [text.get_text() for text in large.texts] == ["6.00", "11.0"]
    assert [tick.get_text() for tick in small.get_xticklabels()] == ["BertsWin", "MAE-ViT"]


def test_a_part_has_one_look_everywhere_and_the_quoted_total_lies_on_its_bar():
    fig = cost_bars(PANELS, "Parts", {"224³": {"MAE-ViT": 2e9}})
    looks = {(to_hex(bar.get_facecolor()), bar.get_hatch()) for axis in fig.axes for bar in axis.patches}
    assert len(looks) == 2
    (line,) = fig.axes[0].collections
    assert line.get_segments()[0].tolist() == [[0.55, 2.0], [1.45, 2.0]]
    assert not fig.axes[1].collections
    assert legend(fig) == ["stem", "MLP", "quoted"]
    assert legend(cost_bars(PANELS, "Parts")) == ["stem", "MLP"]


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (lambda: cost_bars({}, "t"), "no sizes"),
    ],
)
def test_nothing_to_draw_is_refused(draw, words):
    with pytest.raises(ValueError, match=words):
        draw()
