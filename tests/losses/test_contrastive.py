"""NT-Xent by brute force, at a temperature, over the rows of two ranks; and that it draws views together."""

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from toy_rows import contrast_a_half, rows
from two_ranks import run_ranks

from studykit.losses.contrastive import nt_xent


@pytest.mark.parametrize("temperature", [0.5, 0.1])
def test_it_is_the_formula_row_by_row(temperature):
    first, second = F.normalize(rows(6).double(), dim=-1)
    both = torch.cat([first, second])
    expected = 0.0
    for i in range(12):
        scores = {j: math.exp(float(both[i] @ both[j]) / temperature) for j in range(12) if j != i}
        expected -= math.log(scores[(i + 6) % 12] / sum(scores.values())) / 12
    assert nt_xent(3 * first, second, temperature).item() == pytest.approx(expected, rel=1e-5)


def test_of_rows_that_are_alike_it_is_the_logarithm_of_the_others():
    same = torch.ones(5, 4)
    assert nt_xent(same, same).item() == pytest.approx(math.log(9))


def test_a_step_along_its_gradient_draws_views_together_and_samples_apart():
    first, second = (x.clone().requires_grad_() for x in rows(6))
    loss = nt_xent(first, second)
    loss.backward()
    moved = [x.detach() - x.grad for x in (first, second)]
    before, after = (F.cosine_similarity(*pair).mean() for pair in ((first, second), moved))
    assert after > before and nt_xent(*moved) < loss


def test_under_bfloat16_autocast_it_is_summed_in_float32():
    first, second = rows(6)
    with torch.autocast("cpu", torch.bfloat16):
        loss = nt_xent(first.bfloat16(), second.bfloat16())
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, nt_xent(first, second), atol=0.03, rtol=0)


def test_two_ranks_give_loss_and_gradients_of_all_rows(tmp_path: Path):
    run_ranks(contrast_a_half, str(tmp_path))
    first, second = (x.clone().requires_grad_() for x in rows(8))
    found = [torch.load(tmp_path / f"rank{rank}.pt", weights_only=True) for rank in (0, 1)]
    loss = nt_xent(first, second)
    loss.backward()
    torch.testing.assert_close(sum(part["loss"] for part in found) / 2, loss.detach())
    for name, whole in (("first", first), ("second", second)):
        torch.testing.assert_close(torch.cat([part[name] for part in found]) / 2, whole.grad)
