"""Our linear layer is torch's: the same parameters, output and gradients, at any rank and type."""

import pytest
import torch
from torch import nn

from studykit.layers.linear import Linear


@pytest.mark.parametrize("shape", [(5,), (3, 5), (2, 3, 4, 5), (0, 5)])
@pytest.mark.parametrize("bias", [True, False])
def test_equals_torchs_linear_forward_and_backward(shape, bias):
    torch.manual_seed(0)
    theirs = nn.Linear(5, 7, bias=bias)
    ours = Linear(5, 7, bias=bias)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(shape, requires_grad=True)
    weight = torch.randn(*shape[:-1], 7)
    for mine, reference in zip(
        torch.autograd.grad((ours(x) * weight).sum(), [x, *ours.parameters()]),
        torch.autograd.grad((theirs(x) * weight).sum(), [x, *theirs.parameters()]),
        strict=True,
    ):
        torch.testing.assert_close(mine, reference, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ours(x), theirs(x), atol=1e-6, rtol=1e-5)


def test_other_types_and_devices_take_torchs_own_way():
    layer = Linear(4, 2).double()
    assert layer(torch.ones(3, 4, dtype=torch.float64)).dtype == torch.float64
    assert Linear(4, 2).to("meta")(torch.ones(3, 4, device="meta")).shape == (3, 2)
    with torch.autocast("cpu", torch.bfloat16):
        assert Linear(4, 2)(torch.ones(3, 4)).dtype == torch.bfloat16
