"""Rows of gradients: parts summed or replaced, absent ones zero, products exact."""

import torch
from torch import nn

from studykit.training import task_gradients
from studykit.training.task_gradients import TaskGradients, cosines, inner_products


def test_parts_add_up_and_the_first_replaces() -> None:
    parameters = [nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(3))]
    gradients = TaskGradients(2, parameters)
    gradients.put(1, [torch.full((2, 2), 7.0), torch.full((3,), 7.0)], first=True)
    gradients.put(1, [torch.full((2, 2), 1.0), None], first=True)
    gradients.put(1, [torch.full((2, 2), 2.0), torch.full((3,), 5.0)], first=False)
    assert gradients.flat.tolist() == [[0] * 7, [3] * 4 + [5] * 3]
    gradients.put(1, [None, None], first=True)
    assert not gradients.flat.any()


def test_views_are_laid_out_as_the_parameters() -> None:
    weight = nn.Parameter(torch.randn(2, 3, 4, 4, 4).to(memory_format=torch.channels_last_3d))
    gradients = TaskGradients(1, [weight, nn.Parameter(torch.ones(1))])
    gradients.put(0, [weight.detach(), None], first=True)
    view = gradients.views[0][0]
    assert view.stride() == weight.stride()
    assert torch.equal(view, weight)
    assert gradients.flat[0, -1] == 0


def test_products_are_exact_in_blocks_and_under_autocast(monkeypatch) -> None:
    left, right = torch.randn(2, 3, 50, generator=torch.Generator().manual_seed(0))
    monkeypatch.setitem(task_gradients.COLUMNS, "cpu", 16)
    with torch.autocast("cpu", torch.bfloat16):
        own, products = inner_products(left, right)
    torch.testing.assert_close(products, left.double() @ right.double().T, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(own, left.double() @ left.double().T, rtol=1e-12, atol=1e-12)


def test_cosine_with_nothing_is_zero() -> None:
    rows = torch.tensor([[3.0, 4.0], [0.0, 0.0]])
    [products] = inner_products(rows)
    norms = products.diagonal().sqrt()
    assert cosines(products, norms, norms).tolist() == [[1.0, 0.0], [0.0, 0.0]]
