"""Distillation against public values and by hand; centres however a batch is cut, and of two ranks."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from toy_rows import rows, see_a_half
from two_ranks import run_ranks

from studykit.losses.distillation import (
    Centre,
    class_token_loss,
    koleo,
    patch_token_loss,
    sharpened,
    soft_cross_entropy,
)


def test_patch_tokens_give_the_published_value():
    """lightly's own example of iBOT's loss: masks [[T, F], [T, F]] and [[F, F], [F, T]] of two images."""
    teacher = torch.tensor([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]])
    student = torch.tensor([[0.7, 0.8], [0.9, 1.0], [1.1, 1.2]])
    masked = torch.tensor([[True, False, True, False], [False, False, False, True]])
    places = masked.flatten().nonzero()[:, 0]
    whole = [torch.zeros(8, 2).index_copy(0, places, x).view(2, 4, 2) for x in (student, teacher)]
    loss = patch_token_loss(whole[0], sharpened(whole[1], 0.0, 0.1), masked, 0.2)
    assert loss.item() == pytest.approx(0.6085, abs=1e-4)


@pytest.mark.parametrize(("features", "value"), [([[1.0]], 17.7275), ([[1.0, 1.0]], 17.5393)])
def test_koleo_gives_the_published_values(features, value):
    assert koleo(torch.tensor(features)).item() == pytest.approx(value, abs=1e-4)


def test_koleo_by_brute_force_and_its_gradient_parts_what_is_close():
    features = F.normalize(rows(6)[0], dim=1).requires_grad_()
    loss = koleo(features)
    nearest = [min((a - b).norm() for j, b in enumerate(features) if j != i) for i, a in enumerate(features)]
    assert loss.item() == pytest.approx(-sum(d.log().item() for d in nearest) / 6, rel=1e-4)
    loss.backward()
    moved = F.normalize(features.detach() - 0.01 * features.grad, dim=1)
    assert koleo(moved) < loss


def test_of_a_teacher_that_the_student_equals_the_loss_is_the_entropy():
    logits = torch.randn(5, 16, generator=torch.Generator().manual_seed(0))
    entropy = torch.special.entr((logits / 0.1).softmax(-1)).sum(-1)
    target = sharpened(logits, 0.0, 0.1)
    same = soft_cross_entropy(logits, target)
    torch.testing.assert_close(same, entropy)
    other = soft_cross_entropy(logits.flip(0), target)
    assert (other >= entropy - 1e-5).all()


def test_no_gradient_reaches_the_teacher_and_bf16_is_summed_in_float32():
    student, teacher = (x.clone().requires_grad_() for x in rows(4))
    with torch.autocast("cpu", torch.bfloat16):
        loss = soft_cross_entropy(student, sharpened(teacher, 0.1 * torch.ones(5), 0.04)).mean()
    loss.backward()
    assert loss.dtype == torch.float32
    assert teacher.grad is None and student.grad.abs().sum() > 0


def test_class_tokens_are_compared_over_pairs_of_different_views():
    generator = torch.Generator().manual_seed(0)
    student, target = torch.randn(4, 3, 8, generator=generator), torch.rand(2, 3, 8, generator=generator)
    by_hand = [soft_cross_entropy(student[s], target[t]).mean() for s in range(4) for t in range(2) if s != t]
    torch.testing.assert_close(class_token_loss(student, target), torch.stack(by_hand).mean())
    with pytest.raises(ValueError, match="there is no pair of views"):
        class_token_loss(student[:1], target[:1])


def test_what_does_not_count_has_neither_loss_nor_gradient():
    student, teacher = torch.randn(2, 3, 5, 8, generator=torch.Generator().manual_seed(0))
    student.requires_grad_()
    counted = torch.zeros(3, 5, dtype=torch.bool)
    assert patch_token_loss(student, teacher, counted).item() == 0
    counted[1, 2] = True
    patch_token_loss(student, teacher, counted).backward()
    assert student.grad[1, 2].abs().sum() > 0
    student.grad[1, 2] = 0
    assert student.grad.abs().sum() == 0


def test_the_centre_is_the_running_mean_however_a_batch_is_cut():
    logits = torch.randn(8, 3, 5, generator=torch.Generator().manual_seed(0)) * 1e3
    values = []
    for parts in ([logits], logits.split(2), [*reversed(logits.split(1))]):
        centre = Centre(5, momentum=0.9)
        for part in parts:
            centre.see(part)
        assert centre.value.eq(0).all(), "not before the step is over"
        centre.update()
        values.append(centre.value.clone())
        centre.update()
        assert torch.equal(centre.value, values[-1]), "nothing seen, nothing moved"
    torch.testing.assert_close(values[0], 0.1 * logits.flatten(0, 1).mean(0))
    assert all(torch.equal(value, values[0]) for value in values)


def test_the_centre_goes_on_from_its_state():
    one, other = Centre(4), Centre(4)
    one.see(torch.ones(2, 4))
    other.load_state_dict(one.state_dict())
    for centre in (one, other):
        centre.see(3 * torch.ones(2, 4))
        centre.update()
    assert torch.equal(one.value, other.value) and one.value.tolist() == pytest.approx([0.2] * 4)


def test_two_ranks_give_the_centre_of_all_rows(tmp_path: Path):
    run_ranks(see_a_half, str(tmp_path))
    centre = Centre(5)
    centre.see(rows(8)[0])
    centre.update()
    found = [torch.load(tmp_path / f"rank{rank}.pt", weights_only=True) for rank in (0, 1)]
    assert all(torch.equal(part["centre"], centre.value) for part in found)
