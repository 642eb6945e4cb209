import math

import numpy as np
import pytest
import torch

from studykit.data.crops import windows
from studykit.data.crops.windows import centre_inside, copy_inside, foreground_voxels, window_size
from studykit.data.volumes.cache import PreparedVolume


def volume(foreground: np.ndarray) -> PreparedVolume:
    return PreparedVolume("s", np.zeros(foreground.shape, np.float32), foreground, None, np.eye(4), "T1w", "")


@pytest.mark.parametrize("wrong", [0, -3, 2.0, (4, 4), (4, 0, 4), "8"])
def test_a_window_has_three_positive_sides(wrong):
    assert window_size(5) == (5, 5, 5) and window_size([4, 5, 6]) == (4, 5, 6)
    with pytest.raises(ValueError, match="crop_size must be a positive integer or three of them"):
        window_size(wrong)


def test_foreground_is_numbered_in_raster_order_of_d_h_w():
    mask = np.random.default_rng(0).random((5, 6, 7)) < 0.3
    where = np.stack(np.unravel_index(foreground_voxels(volume(mask)), (7, 6, 5)), axis=1)
    assert where.tolist() == np.argwhere(mask.T).tolist()
    assert foreground_voxels(volume(np.zeros((2, 3, 4), bool))).tolist() == list(range(24))


def test_a_large_foreground_is_thinned_evenly(monkeypatch):
    monkeypatch.setattr(windows, "MOST_CENTRES", 10)
    voxels = foreground_voxels(volume(np.ones((5, 5, 5), bool)))
    assert len(voxels) <= 10 and len(set(np.diff(voxels))) == 1 and voxels[-1] > 100


@pytest.mark.parametrize("size", [3, 4])
def test_every_window_that_fits_lies_inside_and_on_voxels(size):
    shape = (8, 9, 10)
    for voxel in np.ndindex(shape):
        centre = centre_inside(voxel, shape, (size,) * 3, 1.0)
        starts = [c - (size - 1) / 2 for c in centre]
        assert all(start == int(start) for start in starts)
        assert all(0 <= start <= side - size for start, side in zip(starts, shape, strict=True))
        deep = all(size <= v < side - size for v, side in zip(voxel, shape, strict=True))
        assert not deep or math.dist(centre, voxel) <= 0.5 * math.sqrt(3)


def test_a_window_larger_than_the_volume_is_about_its_middle():
    assert centre_inside((0, 4, 4), (5, 5, 5), (9, 3, 3), 1.0) == (2.0, 3.0, 3.0)
    assert centre_inside((0, 0, 0), (10, 10, 10), (5, 5, 5), 2.0) == (4.0, 4.0, 4.0)


@pytest.mark.parametrize("starts", [(0, 0, 0), (-2, 1, 3), (3, -1, -1), (9, 0, 0), (-4, 0, 0)])
def test_what_a_window_covers_is_copied_and_nothing_else(starts):
    source, target = torch.arange(1.0, 61).view(3, 4, 5), torch.zeros(4, 4, 4)
    copy_inside(target, source, starts)
    for place in np.ndindex(4, 4, 4):
        at = [p + s for p, s in zip(place, starts, strict=True)]
        inside = all(0 <= a < side for a, side in zip(at, source.shape, strict=True))
        assert target[place] == (source[tuple(at)] if inside else 0)
