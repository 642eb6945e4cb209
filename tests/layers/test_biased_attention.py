"""Each way on CPU against attention in its plain form, forward and backward; in one block or many."""

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from studykit.layers import biased_attention as module
from studykit.layers.biased_attention import biased_attention


def inputs(masked: bool):
    generator = torch.Generator().manual_seed(0)
    qkv = torch.randn(3, 4, 10, 3, 2, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(2, 10, 10, generator=generator, dtype=torch.float64, requires_grad=True)
    mask = None
    if masked:
        hidden = torch.rand(4, 1, 10, 10, generator=generator) < 0.4
        hidden &= ~torch.eye(10, dtype=torch.bool)
        mask = torch.zeros(hidden.shape, dtype=torch.float64).masked_fill(hidden, float("-inf"))
    return qkv, bias, mask


def plain(qkv, bias, mask):
    q, k, v = (x.transpose(2, 3) for x in qkv.unbind(3))
    scores = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5 + bias
    weights = (scores if mask is None else scores + mask).softmax(dim=-1)
    return (weights @ v).transpose(2, 3)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("cached", [1, 450, 1800, 1 << 20])
@pytest.mark.parametrize("narrow", [5, 6])
def test_equals_the_plain_form(masked, cached, narrow, monkeypatch):
    """Heads of 5 channels, taken as wide ones and as narrow ones."""
    monkeypatch.setattr(module, "_CACHED_SCORES", cached)
    monkeypatch.setattr(module, "_NARROW", narrow)
    qkv, bias, mask = inputs(masked)
    weight = torch.randn(3, 4, 10, 2, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    ours, reference = biased_attention(qkv, bias, mask), plain(qkv, bias, mask)
    torch.testing.assert_close(ours, reference, atol=1e-12, rtol=1e-10)
    for mine, expected in zip(
        torch.autograd.grad((ours * weight).sum(), (qkv, bias)),
        torch.autograd.grad((reference * weight).sum(), (qkv, bias)),
        strict=True,
    ):
        torch.testing.assert_close(mine, expected, atol=1e-12, rtol=1e-10)


@pytest.mark.parametrize("masked", [False, True])
def test_is_a_well_formed_operator(masked):
    results = torch.library.opcheck(module._attend, inputs(masked))
    assert set(results.values()) == {"SUCCESS"}


@pytest.mark.parametrize("masked", [False, True])
def test_never_falls_back_to_whole_score_matrices_beyond_the_cache(masked, monkeypatch):
    """With only the fused kernel allowed, an input that it does not take would raise."""
    monkeypatch.setattr(module, "_CACHED_SCORES", 1)
    monkeypatch.setattr(module, "_NARROW", 0)
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        biased_attention(*inputs(masked))


@pytest.mark.parametrize("masked", [False, True])
def test_the_form_for_other_devices_agrees_and_is_fused(masked):
    qkv, bias, mask = inputs(masked)
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        found = module._attend_at_once(qkv, bias.detach(), mask)
    torch.testing.assert_close(found, plain(qkv, bias.detach(), mask), atol=1e-12, rtol=1e-10)


def test_bfloat16_stays_close_to_float64():
    qkv, bias, mask = inputs(True)
    exact = biased_attention(qkv, bias, mask)
    half = biased_attention(qkv.detach().bfloat16().requires_grad_(), bias.float(), mask.float())
    torch.testing.assert_close(half.double(), exact, atol=0.06, rtol=0.06)
