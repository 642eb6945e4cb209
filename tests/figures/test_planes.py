import numpy as np
import pytest

from studykit.figures.planes import AXIAL, CORONAL, PLANES, SAGITTAL, planes_grid, slice_of_most, three_planes

SPACING = (1.0, 1.5, 2.0)
SHAPE = (8, 12, 10)


@pytest.fixture
def volume():
    return np.random.default_rng(0).normal(size=(12, 16, 8)).astype(np.float32)


def texts(fig):
    return [text.get_text() for axis in fig.axes for text in axis.texts]


def marked(x, y, z):
    volume = np.zeros((4, 6, 8))
    volume[x, y, z] = 1
    return volume


def labels(place=5):
    """A slab of each class; both are seen at ``place`` alone."""
    made = np.zeros(SHAPE, int)
    made[1:4, place - 3 : place + 1, 2:8] = 1
    made[5:7, place, 3:6] = 2
    return made


def test_the_patients_right_is_on_the_left_and_the_front_and_head_are_up():
    right_front_head = marked(3, 5, 7)
    assert AXIAL.cut(right_front_head, 7).shape == (6, 4)
    assert AXIAL.cut(right_front_head, 7)[0, 0] == 1
    assert CORONAL.cut(right_front_head, 5).shape == (8, 4)
    assert CORONAL.cut(right_front_head, 5)[0, 0] == 1
    assert SAGITTAL.cut(right_front_head, 3).shape == (8, 6)
    assert SAGITTAL.cut(right_front_head, 3)[0, 0] == 1
    left_back_foot = marked(0, 0, 0)
    assert all(plane.cut(left_back_foot, 0)[-1, -1] == 1 for plane in PLANES)


def test_three_planes_states_sides_scale_and_convention(volume):
    fig = three_planes(volume, SPACING, "A head", unit="HU", window=(-100, 300))
    assert [text for text in texts(fig) if len(text) == 1] == ["R", "L", "R", "L", "A", "P"]
    assert "2 mm" in texts(fig)
    assert fig.get_suptitle() == "A head"
    assert "radiological" in fig.get_supxlabel() and "-100 to 300 HU" in fig.get_supxlabel()
    assert [axis.get_title(loc="left") for axis in fig.axes] == [
        "axial, z = 4",
        "coronal, y = 8",
        "sagittal, x = 6",
    ]
    left, right, bottom, top = fig.axes[2].images[0].get_extent()
    assert (right - left, top - bottom) == (16 * 1.5, 8 * 2.0)


def test_slices_go_where_the_mask_is(volume):
    mask = np.zeros(volume.shape, int)
    mask[2, 3, 1:3] = 1
    mask[2, 3:5, 1] = 2
    fig = three_planes(volume, SPACING, "A lesion", mask=mask)
    assert [axis.get_title(loc="left") for axis in fig.axes] == [
        "axial, z = 1",
        "coronal, y = 3",
        "sagittal, x = 2",
    ]
    assert all(len(axis.images) == 3 for axis in fig.axes)


@pytest.mark.parametrize("count", [1, 3, 5])
def test_subjects_share_a_scale_and_none_is_lost(volume, count):
    volumes = {f"sub-{i}": volume[: 12 - i] for i in range(count)}
    fig = planes_grid(volumes, SPACING, "Heads")
    titles = [axis.get_title(loc="left") for axis in fig.axes]
    assert [title for title in titles if title] == list(volumes)
    drawn = [axis for axis in fig.axes if axis.images]
    assert len(drawn) == 3 * count
    assert len({axis.get_xlim() for axis in drawn[::3]}) == 1


def test_each_subject_keeps_its_own_spacing(volume):
    fig = planes_grid({"a": volume, "b": volume}, {"a": (1, 1, 1), "b": (2, 2, 2)}, "Heads")
    extents = [np.ptp(axis.images[0].get_extent()[:2]) for axis in fig.axes[::3]]
    assert extents == [12, 24]


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (lambda v: three_planes(v[None], SPACING, "t"), r"3-D.*\(1, 12, 16, 8\)"),
        (lambda v: three_planes(v, SPACING, "t", mask=v[1:]), "mask has shape"),
        (lambda v: planes_grid({}, SPACING, "t"), "no volumes"),
    ],
)
def test_bad_input_is_named(volume, draw, words):
    with pytest.raises(ValueError, match=words):
        draw(volume)


def test_the_slice_shows_most_structures_and_then_the_most_of_them():
    made = labels(5)
    assert slice_of_most(made, CORONAL) == (4, 5, 5)
    made[0, 2, :] = 1
    assert slice_of_most(made, CORONAL)[1] == 5, "more of one class is less than both"
    made[5:7, 3, 3:7] = 2
    assert slice_of_most(made, CORONAL)[1] == 3, "both, and larger"
    assert slice_of_most(np.zeros(SHAPE, int), AXIAL) == (4, 6, 5)
