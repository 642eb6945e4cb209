"""Shares of voxels against the volumes of a cylinder, a sphere and an ellipsoid."""

import numpy as np
import pytest

from studykit.data.angiography.aneurysms import Aneurysm
from studykit.data.angiography.rendering import blood_shares, sac_distance, vessel_distance
from studykit.data.angiography.vessel_trees import STEP_MM, Vessel


def tube(radius, length=60.0, tilt=0.3):
    way = np.array([1.0, tilt, 0.2])
    places = np.arange(-length / 2, length / 2, STEP_MM)
    points = places[:, None] * way / np.linalg.norm(way)
    return Vessel("tube", points, np.full(len(points), radius))


def sphere(diameter, centre):
    return Aneurysm("Basilar Tip", np.asarray(centre, dtype=float), np.eye(3) * diameter / 2)


@pytest.mark.parametrize("spacing", [1.0, 1.5, 2.0])
@pytest.mark.parametrize("radius", [0.6, 1.2, 2.2])
def test_a_tube_has_its_volume_at_every_resolution(spacing, radius):
    side = round(48 / spacing)
    share, _ = blood_shares([tube(radius)], None, (side,) * 3, spacing)
    axis = np.linalg.norm([1, 0.3, 0.2]) * side * spacing
    assert share.sum() * spacing**3 == pytest.approx(np.pi * radius**2 * axis, rel=0.1)
    assert 0 <= share.min() and share.max() <= 1


@pytest.mark.parametrize("diameter", [4.0, 7.0, 12.0])
def test_a_sac_has_its_volume(diameter):
    far = tube(0.6, length=4.0)
    sac = sphere(diameter, (8.3, -7.1, 5.2))
    _, share = blood_shares([far], sac, (32, 32, 32), 1.5)
    assert share.sum() * 1.5**3 == pytest.approx(np.pi / 6 * diameter**3, rel=0.05)
    centre = (np.argwhere(share > 0) * share[share > 0][:, None]).sum(axis=0) / share.sum()
    assert np.allclose((centre - 15.5) * 1.5, sac.centre, atol=0.1)


def test_blood_is_counted_once_where_sac_and_vessel_meet():
    vessel, sac = blood_shares([tube(2.0)], sphere(8.0, (0, 3.5, 0)), (32, 32, 32), 1.5)
    both = vessel + sac
    assert both.max() <= 1 + 1e-6 and sac.min() >= -1e-6
    alone, _ = blood_shares([tube(2.0)], None, (32, 32, 32), 1.5)
    assert np.array_equal(vessel, alone)
    assert 0 < sac.sum() * 1.5**3 < np.pi / 6 * 8**3


def test_distances_are_those_of_the_shapes():
    field = vessel_distance([tube(1.5)], (24, 24, 24), 1.0)
    near = np.abs(field) < 1
    place = np.argwhere(near) - 11.5
    way = np.array([1, 0.3, 0.2]) / np.linalg.norm([1, 0.3, 0.2])
    away = np.linalg.norm(place - (place @ way)[:, None] * way, axis=1) - 1.5
    assert np.allclose(field[near], away, atol=0.05)
    ball = sac_distance(sphere(8.0, (0, 0, 0)), (24, 24, 24), 1.0)
    where = np.argwhere(np.abs(ball) < 1)
    assert np.allclose(ball[tuple(where.T)], np.linalg.norm(where - 11.5, axis=1) - 4, atol=1e-4)


def test_what_lies_outside_the_grid_is_left_out():
    outside = Vessel("far", np.array([[200.0, 0, 0], [201.0, 0, 0]]), np.ones(2))
    share, sac = blood_shares([outside], sphere(6.0, (0, 300, 0)), (8, 8, 8), 1.5)
    assert not share.any() and not sac.any()
