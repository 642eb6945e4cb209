import numpy as np
import pytest
from matplotlib.colors import to_rgba

from studykit.figures.outlines import Case, outline_grid
from studykit.figures.planes import CORONAL

SHAPE = (8, 12, 10)
CLASSES = ("ventricle", "thalamus")
SPACING = (1.0, 1.5, 2.0)


def case(place=5, shape=SHAPE):
    """Both classes are seen at ``place`` alone; the second map finds the first of them."""
    image = np.random.default_rng(place).normal(size=shape)
    truth, found = np.zeros(shape, int), np.zeros(shape, int)
    truth[1:4, place - 3 : place + 1, 2:8] = 1
    truth[5:7, place, 3:6] = 2
    found[2:4, place, 2:8] = 1
    return Case(image, {"truth": truth, "found": found})


def outlines(axis):
    return [tuple(drawn.get_edgecolor()[0]) for drawn in axis.collections]


def test_all_maps_of_a_volume_are_drawn_on_the_slice_of_the_first():
    cases = {"one": case(4), "two": case(6)}
    fig = outline_grid(cases, CLASSES, SPACING, "Heads")
    assert len(fig.axes) == 4
    for number, axis in enumerate(fig.axes):
        own = list(cases.values())[number % 2]
        expected = CORONAL.cut(own.image, 4 + 2 * (number % 2))
        np.testing.assert_array_equal(axis.images[0].get_array(), expected)
    assert [axis.get_ylabel() for axis in fig.axes] == ["truth", "", "found", ""]
    assert [axis.get_title(loc="left") for axis in fig.axes[:2]] == ["one", "two"]
    first, second = (to_rgba(line.get_color()) for line in fig.legends[0].get_lines())
    assert outlines(fig.axes[0]) == [first, second] and outlines(fig.axes[2]) == [first]
    assert fig.get_suptitle() == "Heads"


def test_volumes_of_several_sizes_share_a_scale():
    fig = outline_grid({"small": case(), "large": case(5, (16, 12, 20))}, CLASSES, SPACING, "Heads")
    assert len({(axis.get_xlim(), axis.get_ylim()) for axis in fig.axes}) == 1
    assert fig.axes[0].get_xlim() == (-8.0, 8.0) and fig.axes[0].get_ylim() == (-20.0, 20.0)


def test_more_classes_than_colours_are_told_apart_by_line_styles():
    names = [f"class {k}" for k in range(1, 9)]
    fig = outline_grid({"one": case()}, names, SPACING, "Heads")
    looks = {(line.get_color(), line.get_linestyle()) for line in fig.legends[0].get_lines()}
    assert len(looks) == 8


def test_a_long_name_goes_over_lines_and_its_own_breaks_stay():
    name = "held out\n" + "a-long-name " * 8
    fig = outline_grid({name: case(), "b": case(), "c": case(), "d": case()}, CLASSES, SPACING, "Heads")
    lines = fig.axes[0].get_title(loc="left").splitlines()
    assert lines[0] == "held out" and len(lines) > 2 and max(map(len, lines)) <= 31


def test_a_volume_without_labels_is_shown_through_its_middle():
    fig = outline_grid(
        {"one": Case(case().image, {"truth": np.zeros(SHAPE, int)})}, CLASSES, SPACING, "Heads"
    )
    np.testing.assert_array_equal(fig.axes[0].images[0].get_array(), CORONAL.cut(case().image, 6))
    assert not fig.axes[0].collections


@pytest.mark.parametrize(
    ("cases", "classes", "message"),
    [
        ({}, CLASSES, "nothing to draw"),
        ({"one": Case(np.ones(SHAPE), {})}, CLASSES, "nothing to draw"),
        ({"one": case()}, (), "nothing to draw"),
        ({"one": case(), "two": Case(np.ones(SHAPE), {"truth": np.ones(SHAPE)})}, CLASSES, "'two' has"),
        (
            {"one": Case(np.ones(SHAPE), {"truth": np.ones((2, 2, 2), int)})},
            CLASSES,
            "truth of one has shape",
        ),
    ],
)
def test_nothing_or_nonsense_is_refused(cases, classes, message):
    with pytest.raises(ValueError, match=message):
        outline_grid(cases, classes, SPACING, "t")
