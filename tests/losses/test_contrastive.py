"""NT-Xent by brute force, at a temperature; and that it draws views together."""

import math

import pytest
import torch
import torch.nn.functional as F
from toy_rows import rows

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
