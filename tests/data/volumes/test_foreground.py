import numpy as np

from studykit.data.volumes.foreground import air_threshold, bounding_box, find_foreground


def scene():
    """A shell with a hollow and a smaller thing beside it, over noise."""
    array = np.abs(np.random.default_rng(0).normal(0, 3, (40, 40, 40))).astype(np.float32)
    array[5:25, 5:25, 5:25] = 200
    array[10:20, 10:20, 10:20] = 0
    array[32:37, 32:37, 32:37] = 250
    return array


def test_largest_part_with_its_holes():
    mask = find_foreground(scene())
    expected = np.zeros_like(mask)
    expected[5:25, 5:25, 5:25] = True
    assert (mask == expected).mean() > 0.995
    assert mask[15, 15, 15] and not mask[34, 34, 34]


def test_threshold_lies_between_air_and_tissue():
    assert 9 < air_threshold(scene()) < 200


def test_an_explicit_threshold_is_used():
    assert find_foreground(scene(), 220.0)[34, 34, 34], "only the small thing is above 220"


def test_nothing_found_means_everything():
    assert find_foreground(np.zeros((5, 5, 5), np.float32), 1.0).all()


def test_box_grows_by_the_margin_inside_the_array():
    mask = np.zeros((10, 12, 14), bool)
    mask[1:3, 5:7, 12:14] = True
    assert bounding_box(mask, [2, 1, 3]) == (slice(0, 5), slice(4, 8), slice(9, 14))
