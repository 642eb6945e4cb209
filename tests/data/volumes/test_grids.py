import numpy as np
import pytest
from tiny_volumes import affine, blob

from studykit.data.volumes.grids import resample, resample_by_label, resample_labels, spacing


def ramp(shape, matrix):
    """3 x + 2 y - z in mm at every voxel."""
    grid = np.stack(np.meshgrid(*[np.arange(n) for n in shape], [1], indexing="ij"))[..., 0]
    return np.tensordot(np.array([3, 2, -1, 0]) @ matrix, grid, 1).astype(np.float32)


@pytest.mark.parametrize("target", [(2.0, 2.0, 2.0), (0.7, 1.3, 3.1), (1.0, 0.5, 2.5)])
def test_a_linear_ramp_in_mm_stays_itself(target):
    shape, matrix = (40, 44, 48), affine((1.0, 0.9, 1.2), (-20, 7, 3))
    array, moved = resample(ramp(shape, matrix), matrix, target)
    assert spacing(moved) == pytest.approx(target)
    inner = tuple(slice(n // 5, n - n // 5) for n in array.shape)
    np.testing.assert_allclose(array[inner], ramp(array.shape, moved)[inner], atol=2e-3)


def test_the_field_of_view_keeps_its_centre():
    matrix = affine((1.0, 0.9, 1.2))
    array, moved = resample(blob(), matrix, (2.0, 2.0, 2.0))
    before, after = (m @ [*(np.array(a.shape) - 1) / 2, 1] for m, a in ((matrix, blob()), (moved, array)))
    np.testing.assert_allclose(before, after, atol=1e-9)
    np.testing.assert_allclose(np.array(array.shape) * 2, np.array(blob().shape) * [1, 0.9, 1.2], atol=1.0)


def test_same_spacing_changes_nothing():
    array, moved = resample(blob(), affine(), (1.0, 1.0, 1.0))
    np.testing.assert_array_equal(array, blob())
    np.testing.assert_array_equal(moved, affine())


def test_shrinking_removes_what_the_grid_cannot_hold():
    stripes = np.tile(np.array([0, 100], np.float32), (24, 24, 12))
    array, _ = resample(stripes, affine(), (1.0, 1.0, 3.0))
    assert np.abs(array[:, :, 1:-1] - 50).max() < 15, "without a filter, every third stripe stays at 0 or 100"


def test_labels_follow_the_image_grid_and_keep_their_values():
    labels = np.zeros((30, 30, 30), np.int32)
    labels[10:20, 8:22, 5:25] = 1035
    image, _ = resample(labels.astype(np.float32), affine(), (2.0, 1.5, 0.8))
    moved = resample_labels(labels, affine(), (2.0, 1.5, 0.8))
    assert moved.shape == image.shape
    assert set(np.unique(moved)) == {0, 1035}
    agree = (moved > 0) == (image > 517)
    assert agree.mean() > 0.97


def test_resampling_by_label_keeps_volumes_and_the_same_grid():
    grid = np.meshgrid(*[np.arange(side) - (side - 1) / 2 for side in (24, 22, 20)], indexing="ij")
    r = np.sqrt(sum(axis**2 for axis in grid))
    labels = np.select([r < 5, r < 8], [7, 3], 0).astype(np.uint8)
    assert np.array_equal(resample_by_label(labels, (1.0, 1.0, 1.0), labels.shape), labels)
    fine = resample_by_label(labels, (0.5, 0.5, 0.5), (48, 44, 40))
    coarse = resample_by_label(fine, (2.0, 2.0, 2.0), (24, 22, 20))
    for label in (3, 7):
        assert (fine == label).sum() / 8 == pytest.approx((labels == label).sum(), rel=0.05)
        assert (coarse == label).sum() == pytest.approx((labels == label).sum(), rel=0.07)
    assert set(np.unique(fine)) == {0, 3, 7}


def test_resampling_by_label_rounds_off_what_nearest_neighbour_leaves_in_steps():
    corner = np.zeros((6, 6, 6), dtype=np.uint8)
    corner[:3, :3, :3] = 1
    fine = resample_by_label(corner, (0.25, 0.25, 0.25), (24, 24, 24))
    assert fine[5, 5, 5] == 1 and fine[11, 11, 11] == 0 and fine[11, 5, 5] == 1


@pytest.mark.parametrize("target", [2.0, 3.0, 1.5, 0.5, 0.7, 1.1])
def test_a_labelled_ball_keeps_its_centre_and_its_volume(target):
    grid = np.stack(np.meshgrid(*[np.arange(48.0)] * 3, indexing="ij"), -1)
    centre = np.array([22.8, 21.3, 25.4])
    labels = (np.linalg.norm(grid - centre, axis=-1) < 9).astype(np.int32) * 1035
    found = resample_labels(labels, np.eye(4), (target,) * 3)
    _, matrix = resample(labels.astype(np.float32), np.eye(4), (target,) * 3)
    places = np.argwhere(found == 1035) @ matrix[:3, :3].T + matrix[:3, 3]
    assert np.abs(places.mean(axis=0) - np.argwhere(labels).mean(axis=0)).max() < 0.1 * target
    assert len(places) * target**3 == pytest.approx((labels > 0).sum(), rel=0.07)
    assert set(np.unique(found)) == {0, 1035} and found.dtype == labels.dtype


def test_a_label_map_without_background_and_with_negative_values_stays_itself():
    labels = np.where(np.arange(12)[:, None, None] < 6, -1, 70000) * np.ones((12, 8, 8), int)
    found = resample_labels(labels.astype(np.int32), np.eye(4), (2.0, 2.0, 2.0))
    assert found[:3].tolist() == np.full((3, 4, 4), -1).tolist() and (found[3:] == 70000).all()
