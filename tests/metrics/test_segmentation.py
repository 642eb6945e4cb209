"""Overlap and surface scores: against MONAI, against cubes by hand, and where masks are empty."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from studykit.metrics.segmentation import segmentation_score

SPACING = (3.0, 1.0, 0.7)
SHAPE = (18, 25, 22)


def blobs(seed, shape=SHAPE, classes=3):
    """Smooth blobs of classes 0 to ``classes`` - 1 that touch each other and the volume's border."""
    noise = np.random.default_rng(seed).normal(size=shape)
    smooth = gaussian_filter(noise, 2.0)
    return np.digitize(smooth, np.quantile(smooth, np.arange(1, classes) / classes))


def near(truth, seed):
    """``truth`` moved by a voxel and with some voxels wrong."""
    rng = np.random.default_rng(seed)
    moved = np.roll(truth, 1, axis=seed % 3)
    return np.where(rng.random(truth.shape) < 0.02, rng.integers(0, 3, truth.shape), moved)


def one_hot(labels, classes=3):
    return torch.nn.functional.one_hot(torch.from_numpy(labels), classes).movedim(-1, 0)[None]


def cube(start, side=6, shape=(20, 20, 20)):
    labels = np.zeros(shape, int)
    labels[tuple(slice(s, s + side) for s in start)] = 1
    return labels


@pytest.mark.filterwarnings("ignore:.*always_return_as_numpy:FutureWarning")
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("left_out", [False, True])
def test_agrees_with_monai_on_anisotropic_blobs(seed, left_out):
    from monai.metrics import (
        DiceHelper,
        compute_average_surface_distance,
        compute_hausdorff_distance,
        compute_iou,
        compute_surface_dice,
    )

    truth = blobs(seed)
    predicted = near(truth, seed) if seed % 2 else blobs(seed + 100)
    marked, kept = truth, np.ones(SHAPE, bool)
    if left_out:
        kept = np.random.default_rng(seed).random(SHAPE) < 0.8
        marked = np.where(kept, truth, -1)
    mine = segmentation_score(predicted, marked, SPACING, range(3), tolerance_mm=1.5)
    y_pred, y = (one_hot(labels) * torch.from_numpy(kept) for labels in (predicted, truth))
    dice = DiceHelper(include_background=True, reduction="none", get_not_nans=False, apply_argmax=False)(
        y_pred.bool(), y.bool()
    )
    hd95 = compute_hausdorff_distance(y_pred, y, include_background=True, percentile=95, spacing=SPACING)
    surface = compute_surface_dice(y_pred, y, [1.5] * 3, include_background=True, spacing=SPACING)
    asd = compute_average_surface_distance(
        y_pred, y, include_background=True, symmetric=True, spacing=SPACING
    )
    iou = compute_iou(y_pred, y, include_background=True)
    found = (y_pred.bool() & y.bool()).sum((0, 2, 3, 4)) / y.sum((0, 2, 3, 4))
    np.testing.assert_allclose(list(mine.asd.values()), asd[0], rtol=1e-6)
    np.testing.assert_allclose(list(mine.iou.values()), iou[0], rtol=1e-6)
    np.testing.assert_allclose(list(mine.accuracy.values()), found, rtol=1e-6)
    np.testing.assert_allclose(list(mine.dice.values()), dice[0], rtol=1e-6)
    np.testing.assert_allclose(list(mine.hd95.values()), hd95[0], rtol=1e-6)
    np.testing.assert_allclose(list(mine.surface_dice.values()), surface[0], rtol=1e-6)
    assert 0 < mine.mean_surface_dice < 1 and mine.mean_hd95 > 0


def test_equal_maps_score_full_and_the_sides_may_be_exchanged():
    truth, other = blobs(0), np.minimum(blobs(1), 1)
    same = segmentation_score(truth, truth, SPACING, range(3), tolerance_mm=0.0)
    assert (same.mean_dice, same.mean_hd95, same.mean_surface_dice) == (1.0, 0.0, 1.0)
    assert set(same.iou.values()) == set(same.accuracy.values()) == {1.0} and set(same.asd.values()) == {0.0}
    one, back = (
        segmentation_score(*pair, SPACING, range(3), tolerance_mm=1.0)
        for pair in ((truth, other), (other, truth))
    )
    assert one != back and one == replace(back, accuracy=one.accuracy), "of one side alone is the accuracy"


@pytest.mark.parametrize(("axis", "step"), list(enumerate(SPACING)))
def test_a_cube_moved_along_an_axis_is_off_by_so_many_mm(axis, step):
    start = [5, 5, 5]
    start[axis] += 2
    score = segmentation_score(cube(start), cube((5, 5, 5)), SPACING, [1], tolerance_mm=1e-6)
    assert score.dice[1] == pytest.approx(4 / 6)
    assert score.hd95[1] == pytest.approx(2 * step)
    # A surface has 6³ - 4³ = 152 voxels. Shared are the rims, 6² - 4² = 20 each, of the 4 slices in common.
    assert score.surface_dice[1] == pytest.approx(4 * 20 / 152)


def test_tolerance_forgives_up_to_itself():
    pair = cube((5, 5, 7)), cube((5, 5, 5))
    within, below = (segmentation_score(*pair, (1, 1, 1), [1], tolerance_mm=t) for t in (2.0, 1.99))
    assert within.surface_dice[1] == 1.0 > below.surface_dice[1]


def test_hd95_forgives_one_far_voxel_in_a_large_surface_where_the_maximum_would_not():
    found = cube((2, 2, 2), 10)
    found[19, 19, 19] = 1
    assert segmentation_score(found, cube((2, 2, 2), 10), (1, 1, 1), [1], tolerance_mm=1).hd95[1] == 0


def test_empty_masks_follow_the_rule():
    truth, found = cube((5, 5, 5)), 2 * cube((5, 5, 5))
    score = segmentation_score(found, truth, SPACING, [0, 1, 2, 3], tolerance_mm=1.0)
    diagonal = 20 * math.hypot(*SPACING)
    for label in (1, 2):
        assert (score.dice[label], score.surface_dice[label]) == (0.0, 0.0)
        assert score.hd95[label] == pytest.approx(diagonal)
        assert (score.iou[label], score.asd[label]) == (0.0, pytest.approx(diagonal))
    assert score.accuracy[1] == 0 and math.isnan(score.accuracy[2]), "the truth has no class 2"
    for values in (score.dice, score.iou, score.accuracy, score.hd95, score.asd, score.surface_dice):
        assert math.isnan(values[3])
    assert score.mean_dice == pytest.approx(1 / 3)
    assert score.mean_hd95 == pytest.approx(2 * diagonal / 3)
    nothing = segmentation_score(found, truth, SPACING, [7], tolerance_mm=1.0)
    assert math.isnan(nothing.mean_dice) and math.isnan(nothing.mean_hd95)


def test_the_farthest_error_costs_less_than_a_missed_class():
    truth, found = np.zeros((2, 8, 9, 10), int)
    truth[0, 0, 0] = found[-1, -1, -1] = 1
    worst = segmentation_score(found, truth, SPACING, [1], tolerance_mm=1.0).hd95[1]
    assert worst < segmentation_score(0 * found, truth, SPACING, [1], tolerance_mm=1.0).hd95[1]


@pytest.mark.parametrize("ignore", [-1, 255])
def test_what_is_predicted_where_the_truth_is_left_out_changes_no_score(ignore):
    truth = blobs(0)
    truth[:, :, 8:14] = ignore
    first, second = blobs(1), blobs(1)
    second[:, :, 8:14] = np.random.default_rng(0).integers(0, 3, (18, 25, 6))
    one, other = (
        segmentation_score(p, truth, SPACING, range(3), tolerance_mm=1.0, ignore=ignore)
        for p in (first, second)
    )
    assert one == other
    assert one != segmentation_score(first, blobs(0), SPACING, range(3), tolerance_mm=1.0)


def test_a_class_only_where_voxels_are_left_out_is_empty():
    truth = cube((5, 5, 5))
    found = truth.copy()
    truth[truth == 1] = -1
    assert math.isnan(segmentation_score(found, truth, SPACING, [1], tolerance_mm=1.0).dice[1])


def test_tensors_serve_as_well():
    truth, found = blobs(0), blobs(1)
    assert segmentation_score(
        torch.from_numpy(found), torch.from_numpy(truth), SPACING, [1], tolerance_mm=1.0
    ) == segmentation_score(found, truth, SPACING, [1], tolerance_mm=1.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"predicted": np.zeros((4, 4, 5), int)}, r"one shape, got predicted \(4, 4, 5\) and truth"),
        ({"predicted": np.zeros((4, 4), int)}, r"predicted must be a label map .* got shape \(4, 4\)"),
        ({"truth": np.zeros((4, 4, 4))}, "truth must be a label map .* of float64"),
        ({"truth": np.zeros((0, 4, 4), int)}, "truth must be a label map"),
        ({"spacing_mm": (1.0, 1.0)}, r"three positive numbers, got \(1.0, 1.0\)"),
        ({"spacing_mm": (1.0, 0.0, 1.0)}, "three positive numbers"),
        ({"spacing_mm": (1.0, math.nan, 1.0)}, "three positive numbers"),
        ({"tolerance_mm": -1.0}, "tolerance_mm must be a number from 0, got -1.0"),
        ({"tolerance_mm": math.nan}, "tolerance_mm"),
        ({"classes": []}, r"distinct labels without -1 \(left out\), got \[\]"),
        ({"classes": [1, 1]}, "distinct labels"),
        ({"classes": [-1, 1]}, "distinct labels"),
    ],
)
def test_bad_input_is_refused(change, message):
    good = {
        "predicted": np.zeros((4, 4, 4), int),
        "truth": np.zeros((4, 4, 4), int),
        "spacing_mm": (1.0, 1.0, 1.0),
        "classes": [1],
        "tolerance_mm": 1.0,
    }
    with pytest.raises(ValueError, match=message):
        segmentation_score(**(good | change))
