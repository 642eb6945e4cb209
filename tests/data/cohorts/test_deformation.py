"""Deformations that fold nothing, undo each other, and change volumes by what was asked."""

import numpy as np
import pytest
import torch

from studykit.data.cohorts.deformation import (
    Resizing,
    compose,
    exponential,
    identity,
    jacobian,
    sample,
    smooth_noise,
)

SHAPE = (28, 30, 26)


def ball(centre, radius):
    """Share of each voxel that a ball fills, by 3³ points a voxel."""
    fine = [np.arange(3 * side) / 3 - 1 / 3 for side in SHAPE]
    squares = [(axis - c) ** 2 for axis, c in zip(fine, centre, strict=True)]
    inside = squares[0][:, None, None] + squares[1][:, None] + squares[2] < radius**2
    for axis, side in enumerate(SHAPE):
        inside = inside.reshape(*inside.shape[:axis], side, 3, *inside.shape[axis + 1 :]).mean(axis=axis + 1)
    return inside.astype(np.float32)


def strong_velocity(seed=0):
    return torch.from_numpy(3 * smooth_noise(SHAPE, 8.0, 3, np.random.default_rng(seed)))


def grown(velocity, share):
    """Volume of a structure after the flow, as a factor."""
    factor = jacobian(exponential(velocity)).numpy()
    return float((share * factor).sum() / share.sum())


def test_a_flow_does_not_fold_where_its_velocity_as_a_displacement_does():
    velocity = strong_velocity()
    assert jacobian(velocity).min() < 0
    assert jacobian(exponential(velocity)).min() > 0
    assert jacobian(exponential(-velocity)).min() > 0


def test_the_flow_back_undoes_the_flow():
    velocity = 0.5 * strong_velocity(1)
    there = exponential(velocity)
    middle = (slice(None), *[slice(8, -8)] * 3)

    def left_over(back):
        return float(compose(there, back)[middle].square().sum(dim=0).mean().sqrt())

    assert there[middle].abs().max() > 2
    assert left_over(exponential(-velocity)) < 0.06
    assert left_over(-there) > 0.3


def test_flow_of_a_linear_velocity_is_exponential_growth():
    centre = torch.tensor([13.5, 14.5, 12.5])[:, None, None, None]
    velocity = 0.2 * (identity(SHAPE) - centre)
    moved = exponential(velocity)[:, 8:-8, 8:-8, 8:-8]
    expected = (np.exp(0.2) - 1) * (identity(SHAPE) - centre)[:, 8:-8, 8:-8, 8:-8]
    torch.testing.assert_close(moved, expected, atol=0.03, rtol=0)


def test_volume_factor_of_a_known_stretch():
    stretch = torch.tensor([0.5, -0.25, 0.0])[:, None, None, None] * identity(SHAPE)
    torch.testing.assert_close(jacobian(stretch), torch.full(SHAPE, 1.5 * 0.75), atol=1e-4, rtol=0)


def test_sampling_a_ramp_is_exact_and_stops_at_the_border():
    ramp = identity(SHAPE)
    points = torch.tensor([[3.25, -4.0], [7.5, 50.0], [11.0, 12.5]])[:, :, None, None]
    found = sample(ramp, points)[:, :, 0, 0]
    torch.testing.assert_close(found, torch.tensor([[3.25, 0.0], [7.5, 29.0], [11.0, 12.5]]))


def test_noise_is_smooth_of_unit_deviation_and_its_generators():
    noise = smooth_noise((40, 40, 40), 4.0, 3, np.random.default_rng(0))
    assert noise.shape == (3, 40, 40, 40) and noise.dtype == np.float32
    assert noise.std() == pytest.approx(1, abs=0.1)
    neighbours = [np.corrcoef(part[1:].ravel(), part[:-1].ravel())[0, 1] for part in noise]
    assert min(neighbours) > 0.9
    assert np.corrcoef(noise[0, 12:].ravel(), noise[0, :-12].ravel())[0, 1] < 0.3
    assert np.array_equal(noise, smooth_noise((40, 40, 40), 4.0, 3, np.random.default_rng(0)))
    assert not np.array_equal(noise, smooth_noise((40, 40, 40), 4.0, 3, np.random.default_rng(1)))


@pytest.mark.parametrize("factor", [0.6, 0.85, 1.0, 1.3, 1.8])
@pytest.mark.parametrize("radius", [1.8, 4.0])
def test_a_ball_changes_its_volume_by_the_factor_asked_for(radius, factor):
    share = ball((10.0, 14.0, 12.3), radius)
    velocity = Resizing([share], 1 - share).velocity([factor])
    assert grown(velocity, share) == pytest.approx(factor, rel=0.02)
    assert jacobian(exponential(velocity)).min() > 0


@pytest.mark.parametrize("factors", [(1.5, 1.0), (0.7, 1.0), (0.7, 1.4)])
def test_touching_structures_change_each_by_its_own_factor(factors):
    one, two = ball((10.0, 14.0, 12.0), 3.0), ball((15.0, 15.0, 12.0), 3.0)
    two = np.minimum(two, 1 - one)
    yielding = 1 - one - two
    velocity = Resizing([one, two], yielding).velocity(factors)
    assert grown(velocity, one) == pytest.approx(factors[0], rel=0.02)
    assert grown(velocity, two) == pytest.approx(factors[1], rel=0.02)
    alone = Resizing([one], yielding).velocity(factors[:1])
    assert abs(grown(alone, two) - 1) > 2 * abs(grown(velocity, two) - factors[1]), "the blur is made up for"


def test_a_structure_that_is_not_listed_is_hardly_changed():
    share, other = ball((9.0, 14.0, 12.0), 4.0), ball((19.0, 15.0, 13.0), 3.0)
    velocity = Resizing([share], 1 - share - other).velocity([1.8])
    assert grown(velocity, other) == pytest.approx(1, abs=0.02)


def test_what_cannot_be_resized_is_refused():
    share, nothing = ball((10.0, 14.0, 12.0), 3.0), np.zeros(SHAPE, dtype=np.float32)
    with pytest.raises(ValueError, match="needs voxels"):
        Resizing([nothing], share)
    with pytest.raises(ValueError, match="needs voxels"):
        Resizing([share], nothing)
    with pytest.raises(ValueError, match=r"positive, one for each of 1 structures; got \(0\.0,\)"):
        Resizing([share], 1 - share).velocity([0.0])
    with pytest.raises(ValueError, match=r"one for each of 1 structures; got \(1\.1, 1\.2\)"):
        Resizing([share], 1 - share).velocity([1.1, 1.2])
