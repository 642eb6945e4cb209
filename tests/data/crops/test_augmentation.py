"""Changes of a crop: exact where they can be, like MONAI's and SciPy's where they cannot."""

import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from studykit.data.crops.augmentation import NUMBERS, Change, change_from, change_intensities, warp


def noise(seed=0, size=(8, 9, 10)):
    return torch.randn(size, generator=torch.Generator().manual_seed(seed))


def changes(count=2000):
    rows = torch.rand(count, NUMBERS, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return [change_from(row, 0) for row in rows.tolist()]


def test_no_change_changes_nothing():
    image = noise()
    assert torch.equal(change_intensities(image, Change()), image)


@pytest.mark.parametrize(
    ("part", "share", "low", "high"),
    [
        ("noise", 0.1, 0.0, math.sqrt(0.1)),
        ("smooth", 0.1, 0.5, 1.0),
        ("brightness", 0.15, 0.75, 1.25),
        ("contrast", 0.15, 0.75, 1.25),
        ("gamma", 0.3, 0.7, 1.5),
    ],
)
def test_each_part_is_drawn_as_often_and_as_wide_as_stated(part, share, low, high):
    drawn = [getattr(change, part) for change in changes()]
    chosen = np.array([value for value in drawn if value is not None])
    assert len(chosen) / len(drawn) == pytest.approx(share, abs=0.03)
    assert (
        low <= chosen.min() < low + 0.25 * (high - low) and high - 0.25 * (high - low) < chosen.max() <= high
    )


def test_parts_are_drawn_apart_from_one_another():
    drawn = changes()
    both = np.mean([c.gamma is not None and c.contrast is not None for c in drawn])
    assert both == pytest.approx(0.3 * 0.15, abs=0.02)
    assert np.mean([c.mirrored for c in drawn], axis=0) == pytest.approx([0.5] * 3, abs=0.05)


def test_turns_are_rotations_times_scale():
    turned = [change for change in changes(300) if change.turn is not None]
    assert 0.2 < len(turned) / 300 < 0.55
    for change in turned:
        matrix = np.array(change.turn)
        np.testing.assert_allclose(matrix @ matrix.T, change.scale**2 * np.eye(3), atol=1e-12)
        assert np.linalg.det(matrix) > 0
    assert any(change.scale == 1 for change in turned) and any(change.scale != 1 for change in turned)


def test_warp_is_scipys_affine_transform():
    turn = next(c for c in changes(50) if c.turn is not None and c.scale != 1).turn
    window = torch.stack([noise(size=(14, 15, 16)), torch.randint(-1, 4, (14, 15, 16)).float()])
    centre, size = [6.3, 7.2, 7.6], (5, 6, 7)
    offset = np.array(centre) - np.array(turn) @ ((np.array(size) - 1) / 2)
    image, classes = warp(window, turn, centre, size).numpy()
    expected = ndimage.affine_transform(window[0].numpy(), turn, offset, size, order=1, mode="nearest")
    np.testing.assert_allclose(image, expected, atol=1e-4)
    nearest = ndimage.affine_transform(window[1].numpy(), turn, offset, size, order=0, mode="nearest")
    assert (classes == nearest).mean() > 0.98, "but for places between two voxels"
    assert set(np.unique(classes)) <= {-1.0, 0.0, 1.0, 2.0, 3.0}


def test_gamma_is_monais_with_retained_statistics():
    from monai.transforms import AdjustContrast

    image = noise()
    expected = AdjustContrast(0.8, retain_stats=True)(image[None])[0].as_tensor()
    torch.testing.assert_close(change_intensities(image, Change(gamma=0.8)), expected, atol=1e-5, rtol=1e-5)


def test_contrast_keeps_the_mean_and_the_range():
    image = noise()
    less, more = (change_intensities(image, Change(contrast=factor)) for factor in (0.8, 1.2))
    torch.testing.assert_close(less, image.mean() + 0.8 * (image - image.mean()))
    assert more.min() == image.min() and more.max() == image.max() and more.std() > image.std()


def test_noise_has_its_deviation_and_its_seed_decides_it():
    image = torch.zeros(20, 20, 20)
    one, again, other = (change_intensities(image, Change(noise=0.3, noise_seed=s)) for s in (1, 1, 2))
    assert torch.equal(one, again) and not torch.equal(one, other)
    assert float(one.std()) == pytest.approx(0.3, rel=0.03)


def test_smoothing_is_a_gaussian():
    image = torch.zeros(15, 15, 15)
    image[7, 7, 7] = 1.0
    ours = change_intensities(image, Change(smooth=0.9)).numpy()
    np.testing.assert_allclose(ours, ndimage.gaussian_filter(image.numpy(), 0.9), atol=0.015)
    assert ours.sum() == pytest.approx(1, abs=1e-3)


def test_a_constant_image_stays_finite():
    every = Change(noise=None, smooth=0.7, brightness=1.2, contrast=0.8, gamma=0.7)
    assert change_intensities(torch.full((6, 6, 6), -1.5), every).isfinite().all()
