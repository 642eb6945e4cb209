"""The windowed kernel against plain scaled_dot_product_attention, forward and backward."""

import pytest
import torch
import torch.nn.functional as F

from studykit.layers import biased_attention as module
from studykit.layers.biased_attention import biased_attention


def inputs(masked: bool):
    generator = torch.Generator().manual_seed(0)
    q, k, v = (
        torch.randn(3, 4, 10, 2, 5, generator=generator, dtype=torch.float64).transpose(2, 3).requires_grad_()
        for _ in range(3)
    )
    bias = torch.randn(2, 10, 10, generator=generator, dtype=torch.float64, requires_grad=True)
    mask = None
    if masked:
        hidden = torch.rand(4, 1, 10, 10, generator=generator) < 0.4
        hidden &= ~torch.eye(10, dtype=torch.bool)
        mask = torch.zeros(hidden.shape, dtype=torch.float64).masked_fill(hidden, float("-inf"))
    return q, k, v, bias, mask


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("cached", [1, 450, 1 << 20])
def test_equals_the_plain_form(masked, cached, monkeypatch):
    monkeypatch.setattr(module, "_CACHED_SCORES", cached)
    q, k, v, bias, mask = inputs(masked)
    weight = torch.randn(3, 4, 2, 10, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    plain = F.scaled_dot_product_attention(q, k, v, attn_mask=bias if mask is None else bias + mask)
    ours = biased_attention(q, k, v, bias, mask)
    torch.testing.assert_close(ours, plain, atol=1e-12, rtol=1e-10)
    for mine, reference in zip(
        torch.autograd.grad((ours * weight).sum(), (q, k, v, bias)),
        torch.autograd.grad((plain * weight).sum(), (q, k, v, bias)),
        strict=True,
    ):
        torch.testing.assert_close(mine, reference, atol=1e-12, rtol=1e-10)


@pytest.mark.parametrize("masked", [False, True])
def test_is_a_well_formed_operator(masked):
    results = torch.library.opcheck(module._attend, inputs(masked))
    assert set(results.values()) == {"SUCCESS"}


def test_without_gradient_it_is_the_plain_form():
    q, k, v, bias, mask = inputs(True)
    with torch.no_grad():
        plain = F.scaled_dot_product_attention(q, k, v, attn_mask=bias + mask)
        assert torch.equal(biased_attention(q, k, v, bias, mask), plain)


def test_bfloat16_stays_close_to_float64():
    q, k, v, bias, mask = inputs(True)
    exact = biased_attention(q, k, v, bias, mask)
    half = biased_attention(
        *(x.detach().bfloat16().requires_grad_() for x in (q, k, v)), bias.float(), mask.float()
    )
    torch.testing.assert_close(half.double(), exact, atol=0.06, rtol=0.06)
