"""Our linear layer is torch's: the same parameters, output and gradients, on any path, rank and type."""

import pytest
import torch
from torch import nn

from studykit.layers import linear
from studykit.layers.linear import PATHS, Linear, choose_path


@pytest.fixture(params=[path for path in PATHS if path == choose_path("AVX2", path)])
def path(request, monkeypatch):
    monkeypatch.setattr(linear, "PATH", request.param)
    return request.param


@pytest.mark.parametrize("shape", [(5,), (3, 5), (2, 3, 4, 5), (0, 5)])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("width", [3, 7])
def test_equals_torchs_linear_forward_and_backward(path, shape, bias, width):
    torch.manual_seed(0)
    theirs = nn.Linear(5, width, bias=bias)
    ours = Linear(5, width, bias=bias)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(shape, requires_grad=True)
    weight = torch.randn(*shape[:-1], width)
    for mine, reference in zip(
        torch.autograd.grad((ours(x) * weight).sum(), [x, *ours.parameters()]),
        torch.autograd.grad((theirs(x) * weight).sum(), [x, *theirs.parameters()]),
        strict=True,
    ):
        assert mine.is_contiguous()
        torch.testing.assert_close(mine, reference, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ours(x), theirs(x), atol=1e-6, rtol=1e-5)


def test_takes_rows_and_gradients_that_are_not_contiguous(path):
    torch.manual_seed(0)
    layer = Linear(5, 3)
    x = torch.randn(4, 6, 10)[:, ::2, ::2].requires_grad_()
    gradient = torch.ones(1, 1, 1).expand(4, 3, 3)
    found = torch.autograd.grad(layer(x), [x, layer.weight], gradient)
    theirs = nn.functional.linear(x, layer.weight, layer.bias)
    expected = torch.autograd.grad(theirs, [x, layer.weight], gradient)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_only_what_wants_a_gradient_gets_one(path):
    layer = Linear(5, 3).requires_grad_(False)
    x = torch.randn(2, 5, requires_grad=True)
    layer(x).sum().backward()
    assert x.grad is not None and layer.weight.grad is None
    assert not layer(x.detach()).requires_grad


def test_compiles_in_one_piece_and_to_the_same(path):
    torch.manual_seed(0)
    layer = Linear(16, 24)
    x = torch.randn(8, 16)

    def loss(x):
        return nn.functional.gelu(layer(x)).square().sum()

    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    found = torch.autograd.grad(compiled(x), list(layer.parameters()))
    expected = torch.autograd.grad(loss(x), list(layer.parameters()))
    torch.testing.assert_close(found, expected)


def test_other_types_and_devices_take_torchs_own_way():
    layer = Linear(4, 2).double()
    assert layer(torch.ones(3, 4, dtype=torch.float64)).dtype == torch.float64
    assert Linear(4, 2).to("meta")(torch.ones(3, 4, device="meta")).shape == (3, 2)
    with torch.autocast("cpu", torch.bfloat16):
        assert Linear(4, 2)(torch.ones(3, 4)).dtype == torch.bfloat16


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch has no oneDNN here")
def test_the_path_follows_the_capability_and_can_be_named():
    expected = {"AVX512": "onednn", "AVX2": "onednn-forward", "DEFAULT": "torch"}
    assert {capability: choose_path(capability) for capability in expected} == expected
    assert choose_path("AVX512", "torch") == "torch"
    with pytest.raises(ValueError, match=r"STUDYKIT_LINEAR.*onednn-forward"):
        choose_path("AVX512", "mkl")
