"""Dice + cross-entropy against MONAI and PyTorch, by hand, and blind to voxels left out."""

import math

import pytest
import torch
import torch.nn.functional as F

from studykit.losses.dice_cross_entropy import class_weights, dice_and_cross_entropy, dice_cross_entropy


def draws(seed=0, classes=4):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(3, classes, 4, 5, 6, generator=generator, dtype=torch.float64)
    return logits, torch.randint(0, classes, (3, 4, 5, 6), generator=generator)


def test_agrees_with_monai_where_every_class_is_there():
    from monai.losses import DiceLoss

    logits, classes = draws()
    dice = DiceLoss(softmax=True, to_onehot_y=True, batch=True, smooth_nr=0, smooth_dr=0)
    weights = torch.tensor([0.5, 1.0, 2.0, 3.0], dtype=torch.float64)
    expected = dice(logits, classes[:, None]) + F.cross_entropy(logits, classes, weights)
    torch.testing.assert_close(
        dice_cross_entropy(logits, classes, weights), expected, rtol=1e-6, atol=0, check_dtype=False
    )


def test_voxels_left_out_change_neither_value_nor_gradient():
    logits, classes = draws()
    classes[:, :2] = -1
    values, gradients = [], []
    for shift in (0.0, 50.0):
        moved = logits.clone()
        moved[:, 1, :2] += shift
        moved.requires_grad_()
        loss = dice_cross_entropy(moved, classes, torch.ones(4))
        loss.backward()
        values.append(loss.detach())
        gradients.append(moved.grad)
    assert values[0] == values[1]
    assert not gradients[1][:, :, :2].any() and gradients[1][:, :, 2:].all()
    kept = dice_cross_entropy(logits[:, :, 2:], classes[:, 2:], torch.ones(4))
    torch.testing.assert_close(values[0], kept)


def test_a_sure_and_right_answer_costs_nothing_and_an_absent_class_is_not_asked_for():
    _, classes = draws(classes=3)
    sure = 100.0 * F.one_hot(classes, 5).movedim(-1, 1).double()
    assert float(dice_cross_entropy(sure, classes, torch.ones(5))) == pytest.approx(0.0, abs=1e-6)


def test_no_idea_costs_the_logarithm_of_the_classes_and_their_dice():
    classes = torch.tensor([0, 1]).repeat(30).view(1, 3, 4, 5)
    value = dice_cross_entropy(torch.zeros(1, 2, 3, 4, 5), classes, torch.ones(2))
    assert float(value) == pytest.approx(0.5 + math.log(2))


def test_weights_fall_with_the_square_root_of_a_class():
    classes = torch.tensor([0] * 64 + [2] * 16 + [-1] * 50)
    weights = class_weights(classes, 4)
    assert weights.tolist() == pytest.approx([math.sqrt(80 / 64), 0.0, math.sqrt(5), 0.0])


def test_terms_agree_with_monai_where_every_class_is_in_every_sample():
    from monai.losses import DiceCELoss

    logits, classes = draws()
    expected = DiceCELoss(include_background=False, softmax=True, to_onehot_y=True, smooth_nr=0, smooth_dr=0)
    ours = sum(dice_and_cross_entropy(logits, classes))
    torch.testing.assert_close(ours, expected(logits, classes[:, None]), check_dtype=False)


def test_terms_are_means_over_samples():
    logits, classes = draws()
    classes[0, :2], classes[1] = -1, 0
    whole = torch.stack(dice_and_cross_entropy(logits, classes))
    rows = [dice_and_cross_entropy(*row) for row in zip(logits.split(1), classes.split(1), strict=True)]
    torch.testing.assert_close(whole, torch.tensor(rows).mean(dim=0))


def test_terms_are_blind_to_voxels_left_out():
    logits, classes = draws()
    classes[:, :2] = -1
    moved = logits.clone()
    moved[:, 1, :2] += 50.0
    kept = dice_and_cross_entropy(logits[:, :, 2:], classes[:, 2:])
    torch.testing.assert_close(dice_and_cross_entropy(moved, classes), kept)


def test_a_sample_without_a_class_has_no_dice_and_one_without_labels_no_loss():
    logits, classes = draws()
    dice, cross_entropy = dice_and_cross_entropy(logits, torch.zeros_like(classes))
    assert dice == 0 and cross_entropy > 0
    logits.requires_grad_()
    sum(dice_and_cross_entropy(logits, torch.full_like(classes, -1))).backward()
    assert not logits.grad.any()


def test_a_missed_class_costs_its_share_of_the_dice():
    classes = torch.tensor([0, 1, 2]).repeat(20).view(1, 3, 4, 5)
    found = classes.where(classes < 2, 0)
    sure = 100.0 * F.one_hot(found, 3).movedim(-1, 1)
    assert float(dice_and_cross_entropy(sure, classes)[0]) == pytest.approx(0.5)


def test_half_precision_logits_are_scored_in_single():
    logits, classes = draws()
    ours = dice_and_cross_entropy(logits.bfloat16(), classes)
    assert all(term.dtype == torch.float32 for term in ours)
    torch.testing.assert_close(ours, dice_and_cross_entropy(logits, classes), atol=0.01, rtol=0)
