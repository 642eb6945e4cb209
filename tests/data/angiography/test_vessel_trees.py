"""Vessel trees: Murray's law at every junction, what hangs together, and the seed."""

import numpy as np
import pytest

from studykit.data.angiography.vessel_trees import (
    LEAST_RADIUS_MM,
    STEP_MM,
    grow_branches,
    grow_ring,
    split_radii,
)


def grow_tree(rng):
    ring = grow_ring(rng)
    return ring | grow_branches(ring, rng)


@pytest.fixture(scope="module")
def tree():
    return grow_tree(np.random.default_rng(3))


def branches(tree, name):
    return [vessel for vessel in tree.values() if name in vessel.parents]


def test_cubes_of_radii_are_the_same_before_and_after_every_junction(tree):
    checked = 0
    for name in tree:
        after = branches(tree, name)
        before = {other for vessel in after for other in vessel.parents}
        if not after:
            continue
        inflow = sum(tree[other].radii[-1] ** 3 for other in before)
        outflow = sum(vessel.radii[0] ** 3 for vessel in after)
        assert outflow <= inflow * (1 + 1e-9), name
        if len(after) > 1 or len(before) > 1:
            lost = inflow - outflow
            assert lost < LEAST_RADIUS_MM**3, f"{name}: only branches too thin to draw may be missing"
            checked += 1
    assert checked > 20
    assert sum(r**3 for r in split_radii(2.0, (0.5, 0.3, 0.2))) == pytest.approx(8.0)


def test_pieces_start_where_their_parents_end(tree):
    for vessel in tree.values():
        for parent in vessel.parents:
            assert np.allclose(vessel.points[0], tree[parent].points[-1]), vessel.name


def test_the_ring_is_closed_on_both_sides(tree):
    for side, sign in (("Left", -1), ("Right", 1)):
        assert np.allclose(tree[f"{side} PCom"].points[-1], tree[f"{side} P1"].points[-1])
        assert np.sign(tree[f"{side} M1"].points[-1][0]) == sign
    ends = {tuple(np.round(tree[f"{side} A1"].points[-1], 6)) for side in ("Left", "Right")}
    assert {tuple(np.round(tree["ACom"].points[place], 6)) for place in (0, -1)} == ends


def test_centre_lines_are_smooth_and_radii_in_range(tree):
    for vessel in tree.values():
        steps = np.diff(vessel.points, axis=0)
        lengths = np.linalg.norm(steps, axis=1)
        assert lengths.max() < 3 * STEP_MM, vessel.name
        turns = (steps[1:] * steps[:-1]).sum(axis=1) / (lengths[1:] * lengths[:-1])
        assert turns.min() > 0.5, f"{vessel.name} has a kink"
        assert LEAST_RADIUS_MM <= vessel.radii.min() or vessel.name.endswith(("PCom", "AICA", "SCA"))
        assert vessel.radii.max() < 3.8


def test_two_arteries_have_a_wide_place_between_ends_as_before(tree):
    wide = [vessel for vessel in tree.values() if np.ptp(vessel.radii) > 0.01]
    assert len(wide) == 2
    for vessel in wide:
        assert vessel.radii[0] == pytest.approx(vessel.radii[-1])
        assert 1.05 < vessel.radii.max() / vessel.radii[0] <= 1.7


def test_the_seed_decides():
    one, same, other = (grow_tree(np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert one.keys() == same.keys()
    assert all(np.array_equal(one[name].points, same[name].points) for name in one)
    assert not np.allclose(one["Left M1"].points[-1], other["Left M1"].points[-1])
