import numpy as np
import pytest

from studykit.studies.gradient_conductor.conflict_figures import Example, conflict_rule, twin_curves

COSINES = np.linspace(-1, 1, 21)
SHARES = {"winner": COSINES * 0, "loser": np.clip(-COSINES, 0, 1)}
OPPOSED = Example("180° apart", [[1, 0], [-2, 0]], [[0, 0], [-2, 0]])


def ends(axis):
    return [(line.get_xdata()[0], line.get_ydata()[0]) for line in axis.lines if line.get_marker() == "o"]


def test_shares_have_their_thresholds_and_examples_their_vectors_and_sums():
    fig = conflict_rule(COSINES, SHARES, {"critical": -0.8, "weak": 0.0}, [OPPOSED], "t")
    rule, example = fig.axes
    assert [line.get_label() for line in rule.lines[:2]] == ["winner", "loser"]
    assert [line.get_xdata()[0] for line in rule.lines[2:]] == [-0.8, 0.0]
    assert [text.get_text() for text in rule.texts] == ["critical", "weak"]
    assert ends(example) == [(1, 0), (-2, 0), (0, 0), (-2, 0), (-1, 0), (-2, 0)]
    assert example.get_title(loc="left") == "180° apart" and example.get_aspect() == 1
    assert [text.get_text() for text in fig.legends[0].get_texts()] == [
        "gradients",
        "resolved",
        "plain sum",
        "their sum",
    ]
    left, right = example.get_xlim()
    assert left < -2 and right > 1


def test_twins_lie_on_each_other_and_their_gap_is_relative():
    x, one = [0, 10, 20], np.array([4.0, 2.0, 1.0])
    fig = twin_curves({"a": (x, one), "b": (x, one * [1, 1.001, 0.99])}, "steps", "loss", "t")
    left, right = fig.axes
    assert [line.get_label() for line in left.lines] == ["a", "b"]
    (gap,) = right.lines
    assert list(gap.get_xdata()) == [10, 20] and gap.get_ydata() == pytest.approx([0.001, 0.01])
    assert right.get_yscale() == "log"


def test_twins_without_a_gap_say_so():
    curve = ([0, 10], [2.0, 1.0])
    _, right = twin_curves({"a": curve, "b": curve}, "steps", "loss", "t").axes
    assert [text.get_text() for text in right.texts] == ["no difference at all"]
    assert right.get_yscale() == "linear"


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (
            lambda: conflict_rule(COSINES, {}, {}, [OPPOSED], "t"),
            "at least one curve of shares and one example",
        ),
        (lambda: conflict_rule(COSINES, SHARES, {}, [], "t"), "at least one curve of shares and one example"),
        (lambda: twin_curves({"a": ([0], [1])}, "x", "y", "t"), "draws two curves, got 1"),
        (
            lambda: twin_curves({"a": ([0, 1], [1, 1]), "b": ([0, 2], [1, 1])}, "x", "y", "t"),
            r"different x: \[0.0, 1.0\] and \[0.0, 2.0\]",
        ),
    ],
)
def test_nothing_or_nonsense_is_refused(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()
