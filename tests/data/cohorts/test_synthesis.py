"""From regions to labels and an image."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from studykit.data.cohorts.regions import REGIONS
from studykit.data.cohorts.scanners import find_scanner
from studykit.data.cohorts.synthesis import (
    Pose,
    acquire,
    largest_share,
    mean_intensity,
    region_means,
    template_points,
)

CLEAN = replace(find_scanner("t1"), texture=0.0, bias=0.0, noise=0.0, resolution_mm=(1.0, 1.0, 1.0))
CLEAN_CT = replace(find_scanner("ct"), texture=0.0, noise=0.0, resolution_mm=(1.0, 1.0, 1.0))
UNIT_VOXEL = np.ones(3)


def at(shape, offset=(0.0, 0.0, 0.0), displacement=None):
    pose = Pose(np.eye(3), np.array(offset))
    displacement = torch.zeros(3, 4, 4, 4) if displacement is None else displacement
    return template_points(pose, shape, displacement, field_step=3)


def some_regions(shape=(12, 12, 12)):
    return np.random.default_rng(0).integers(0, 5, shape).astype(np.uint8)


def test_an_undeformed_subject_has_the_templates_voxels():
    regions = some_regions()
    assert np.array_equal(largest_share(regions, at((12, 12, 12))), regions)
    assert np.array_equal(
        largest_share(regions, at((9, 9, 9), offset=(2.3, 1.0, 2.8))), regions[2:11, 1:10, 3:12]
    )


def test_a_pose_turns_and_stretches():
    regions = some_regions()
    quarter = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 2.0]])
    points = template_points(
        Pose(quarter, np.array([0.0, 11.0, 0.0])), (12, 12, 6), torch.zeros(3, 4, 4, 4), 3
    )
    expected = np.swapaxes(regions, 0, 1)[::-1, :, ::2]
    assert np.array_equal(largest_share(regions, points), expected)


def test_displacements_are_in_voxels_of_the_field():
    regions = some_regions()
    displacement = torch.zeros(3, 4, 4, 4)
    displacement[1] = 1.0
    assert np.array_equal(
        largest_share(regions, at((12, 9, 12), displacement=displacement)), regions[:, 3:]
    ), "one field voxel is three of the template's"


def test_a_field_lies_where_its_blocks_of_template_voxels_do():
    ramp = torch.zeros(3, 4, 4, 4)
    ramp[0] = torch.arange(4.0)[:, None, None] * 0.01
    points = at((12, 1, 1), displacement=ramp)[0, :, 0, 0]
    assert points[1] == pytest.approx(1.0) and points[4] == pytest.approx(4 + 3 * 0.01)


def test_outside_the_template_its_border_goes_on():
    regions = some_regions()
    beyond = largest_share(regions, at((3, 12, 12), offset=(-5.0, 0.0, 0.0)))
    assert np.array_equal(beyond, np.broadcast_to(regions[:1], (3, 12, 12)))


@pytest.mark.parametrize("size", [0.9, 1.04, 1.5])
def test_a_balls_volume_follows_its_size_wherever_it_falls_on_the_grid(size):
    ball = (((np.indices((24, 24, 24)) - 11.5) ** 2).sum(axis=0) < 64).astype(np.uint8)
    volumes = []
    for shift in np.random.default_rng(0).uniform(-0.5, 0.5, (8, 3)):
        pose = Pose(np.eye(3) / size, 11.5 - (15.5 + shift) / size)
        points = template_points(pose, (32, 32, 32), torch.zeros(3, 8, 8, 8), 3)
        volumes.append(largest_share(ball, points).sum())
    assert np.mean(volumes) / ball.sum() == pytest.approx(size**3, rel=0.02)


def test_the_region_with_most_weight_wins_even_where_it_is_not_nearest():
    regions = np.zeros((4, 4, 4), dtype=np.uint8)
    regions[1, 1, 1] = 1
    regions[2:] = 2
    point = np.array([1.4, 1.4, 1.4], dtype=np.float32).reshape(3, 1, 1, 1)
    assert largest_share(regions, point).item() == 2 - 2 * (0.6 * (1 - 0.36) > 0.4)


def test_a_voxel_across_a_border_has_the_mean_of_both_sides():
    regions = np.zeros((12, 12, 12), dtype=np.uint8)
    regions[6:] = 1
    means = np.array([10.0, 30.0], dtype=np.float32)
    coarse = template_points(Pose(2 * np.eye(3), np.full(3, 1.5)), (5, 5, 5), torch.zeros(3, 4, 4, 4), 3)
    image = mean_intensity(regions, coarse, means, 2 * UNIT_VOXEL)
    assert image[:, 2, 2].tolist() == [10.0, 10.0, 20.0, 30.0, 30.0]


@pytest.mark.parametrize("anatomy", REGIONS)
def test_means_follow_the_scanner_and_differ_between_subjects(anatomy):
    scanner = find_scanner("t1")
    wanted = np.array([dict(scanner.means)[tissue] for _, tissue in REGIONS[anatomy]])
    drawn = np.stack([region_means(anatomy, scanner, np.random.default_rng(seed)) for seed in range(200)])
    assert np.allclose(drawn.mean(axis=0), wanted, atol=0.01)
    tissue = wanted > 0
    assert np.allclose(drawn[:, tissue].std(axis=0), np.sqrt(2) * scanner.spread, rtol=0.3)
    assert (drawn[:, ~tissue] == 0).all()


def test_any_contrast_draws_every_region_anew():
    drawn = [region_means("head", find_scanner("any-contrast"), np.random.default_rng(s)) for s in range(100)]
    drawn = np.stack(drawn)
    assert (drawn[:, 0] == 0).all() and drawn.min() >= 0 and drawn.max() <= 1
    assert np.abs(np.corrcoef(drawn[:, 1:].T) - np.eye(drawn.shape[1] - 1)).max() < 0.5
    assert np.allclose(drawn[:, 1:].std(axis=0), 1 / np.sqrt(12), rtol=0.3)


@pytest.mark.parametrize("scanner", [CLEAN, CLEAN_CT], ids=["MR", "CT"])
def test_a_perfect_scanner_shows_the_means(scanner):
    means = np.random.default_rng(1).uniform(0, 50, (8, 8, 8)).astype(np.float32)
    image = acquire(means, means > 0, (2.0, 2.0, 2.0), scanner, np.random.default_rng(0))
    np.testing.assert_allclose(image, means, rtol=1e-6)


def test_noise_is_gaussian_in_ct_and_rician_in_mr():
    air = np.full((24, 24, 24), -1000.0, dtype=np.float32)
    nothing = np.zeros_like(air, dtype=bool)
    rng = np.random.default_rng
    ct = acquire(air, nothing, (2.0,) * 3, replace(CLEAN_CT, noise=20.0), rng(0))
    assert ct.mean() == pytest.approx(-1000, abs=1) and ct.std() == pytest.approx(20, rel=0.05)
    mr = acquire(0 * air, nothing, (2.0,) * 3, replace(CLEAN, noise=0.1), rng(0))
    assert mr.min() >= 0 and mr.mean() == pytest.approx(0.1 * np.sqrt(np.pi / 2), rel=0.03)
    bright = acquire(0 * air + 2, nothing, (2.0,) * 3, replace(CLEAN, noise=0.1), rng(0))
    assert bright.std() == pytest.approx(0.1, rel=0.05)


def test_texture_is_in_the_body_alone():
    means = np.zeros((16, 16, 16), dtype=np.float32)
    body = np.zeros_like(means, dtype=bool)
    body[8:] = True
    image = acquire(means + 5, body, (2.0,) * 3, replace(CLEAN, texture=0.3), np.random.default_rng(0))
    assert (image[:8] == 5).all() and image[8:].std() == pytest.approx(0.3, rel=0.1)


def test_the_bias_field_multiplies_smoothly():
    means = np.full((48, 48, 48), 3.0, dtype=np.float32)
    fields = [
        np.log(acquire(means, means > 9, (4.0,) * 3, replace(CLEAN, bias=0.2), np.random.default_rng(s)) / 3)
        for s in range(6)
    ]
    assert np.std(fields) == pytest.approx(0.2, rel=0.25)
    assert max(np.abs(np.diff(field, axis=axis)).max() for field in fields for axis in range(3)) < 0.1


def test_thick_slices_blur_one_axis_and_keep_what_is_even():
    means = np.ones((20, 20, 30), dtype=np.float32)
    thick = replace(CLEAN, resolution_mm=(1.0, 1.0, 6.0))
    even = acquire(means, means > 9, (2.0,) * 3, thick, np.random.default_rng(0))
    np.testing.assert_allclose(even, 1, rtol=1e-5)
    means[:10] = 0
    along_x = acquire(means, means > 9, (2.0,) * 3, thick, np.random.default_rng(0))
    np.testing.assert_allclose(along_x, means, atol=1e-5)
    means[:] = 0
    means[:, :, 15:] = 1
    along_z = acquire(means, means > 9, (2.0,) * 3, thick, np.random.default_rng(0))[10, 10]
    between = (along_z > 0.05) & (along_z < 0.95)
    assert between.sum() >= 3 and between[12:18].any() and not between[:10].any() and not between[20:].any()
    assert (np.diff(along_z) > -1e-6).all()


def test_the_generator_decides_everything_random():
    means = np.ones((10, 10, 10), dtype=np.float32)
    scanner = find_scanner("t1-old")
    one, same, other = (
        acquire(means, means > 0, (2.0,) * 3, scanner, np.random.default_rng(seed)) for seed in (0, 0, 1)
    )
    assert np.array_equal(one, same) and not np.array_equal(one, other)
