import numpy as np
import pytest
from matplotlib.colors import to_rgba

from studykit.figures.planes import CORONAL
from studykit.studies.tour.figures import scanner_grid

SPACING = (1.0, 1.5, 2.0)
SHAPE = (8, 12, 10)
CLASSES = ("ventricle", "thalamus")


def labels(place=5):
    """A slab of each class; both are seen at ``place`` alone."""
    made = np.zeros(SHAPE, int)
    made[1:4, place - 3 : place + 1, 2:8] = 1
    made[5:7, place, 3:6] = 2
    return made


def cohort(scanners=("t1", "t2"), subjects=3):
    rng = np.random.default_rng(0)
    names = [f"s{k}" for k in range(subjects)]
    images = {scanner: {name: rng.normal(size=SHAPE) for name in names} for scanner in scanners}
    return images, {name: labels(4 + k) for k, name in enumerate(names)}


def drawn(fig):
    return [axis for axis in fig.axes if axis.images]


def titles(fig):
    return [axis.get_title(loc="left") for axis in fig.axes if axis.get_title(loc="left")]


@pytest.mark.parametrize(("subjects", "blocks"), [(1, 1), (3, 1), (5, 1), (7, 2)])
def test_every_subject_is_shown_once_by_every_scanner(subjects, blocks):
    fig = scanner_grid(*cohort(subjects=subjects), CLASSES, SPACING, "Some heads")
    assert len(drawn(fig)) == 2 * subjects
    assert titles(fig) == [f"s{k}" for k in range(subjects)]
    assert [a.get_ylabel() for a in fig.axes if a.get_ylabel()] == ["t1", "t2"] * blocks
    assert fig.get_suptitle() == "Some heads"


def test_a_picture_is_the_slice_of_its_own_subject_and_scanner():
    images, maps = cohort()
    fig = scanner_grid(images, maps, CLASSES, SPACING, "Some heads")
    for place, axis in enumerate(drawn(fig)):
        scanner, subject = ("t1", "t2")[place // 3], place % 3
        expected = CORONAL.cut(images[scanner][f"s{subject}"], 4 + subject)
        np.testing.assert_array_equal(axis.images[0].get_array(), expected)


def test_outlines_lie_on_the_picture_where_the_class_is():
    images, maps = cohort(subjects=1)
    fig = scanner_grid(images, maps, CLASSES, SPACING, "One head")
    first, second = drawn(fig)[0].collections
    keys = [line.get_color() for line in fig.legends[0].get_lines()]
    for outline, label, colour in ((first, 1, keys[0]), (second, 2, keys[1])):
        (path,) = outline.get_paths()
        inside = np.argwhere((maps["s0"] == label)[:, 4])
        # Picture coordinates run from the patient's right (left of the picture) and from below, in mm.
        across = -((inside[:, 0] + 0.5) * 1.0 - 4.0)
        up = (inside[:, 1] + 0.5) * 2.0 - 10.0
        assert path.vertices[:, 0].min() == pytest.approx(across.min() - 0.5)
        assert path.vertices[:, 0].max() == pytest.approx(across.max() + 0.5)
        assert path.vertices[:, 1].min() == pytest.approx(up.min() - 1.0)
        assert path.vertices[:, 1].max() == pytest.approx(up.max() + 1.0)
        assert outline.get_edgecolor()[0] == pytest.approx(to_rgba(colour))
    assert [text.get_text() for text in fig.legends[0].get_texts()] == list(CLASSES)


def test_a_class_that_a_subject_lacks_has_no_outline():
    images, maps = cohort(subjects=1)
    maps["s0"][maps["s0"] == 2] = 0
    fig = scanner_grid(images, maps, CLASSES, SPACING, "One head")
    assert len(drawn(fig)[0].collections) == 1 and len(fig.legends[0].get_lines()) == 2


def test_what_does_not_belong_together_is_refused():
    images, maps = cohort()
    with pytest.raises(ValueError, match="got no images"):
        scanner_grid({}, {}, CLASSES, SPACING, "None")
    with pytest.raises(ValueError, match="1 to 6 classes, got 7"):
        scanner_grid(images, maps, [str(k) for k in range(7)], SPACING, "Too many")
    with pytest.raises(ValueError, match="the labels reach 2, the classes are 1: ventricle"):
        scanner_grid(images, maps, CLASSES[:1], SPACING, "Too few")
    with pytest.raises(ValueError, match=r"t2 must show the subjects with labels .*got \['s0'\]"):
        scanner_grid({**images, "t2": {"s0": maps["s0"]}}, maps, CLASSES, SPACING, "One missing")
    with pytest.raises(ValueError, match="labels has shape"):
        scanner_grid(images, {name: m[:4] for name, m in maps.items()}, CLASSES, SPACING, "Another grid")
