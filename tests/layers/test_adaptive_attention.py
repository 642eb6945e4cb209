"""Kinds of window attention against a brute force over windows, and plain attention where they meet it."""

import math

import pytest
import torch

from studykit.layers.adaptive_attention import ATTENTIONS, BOUND
from studykit.layers.windows import Windows

GRID, WINDOW, SHIFT = (5, 4, 7), (3, 2, 3), (1, 1, 1)
DIM, HEADS = 12, 3


def windows(monai: bool) -> Windows:
    return Windows(GRID, WINDOW, SHIFT, monai=monai)


def attention(kind: str, monai: bool = False):
    """Every parameter random, so that no switch stands at its start."""
    torch.manual_seed(0)
    layer = ATTENTIONS[kind](DIM, HEADS, windows(monai)).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.5)
    return layer


def tokens() -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, *GRID, DIM, generator=generator, dtype=torch.float64).requires_grad_()


def by_hand(layer, kind: str, x: torch.Tensor) -> torch.Tensor:
    """Window by window, head by head, with the scores written out."""
    geometry = layer.windows
    slots = geometry.cut(x).unflatten(1, (geometry.count, geometry.tokens))
    real = geometry.real_slots()
    out = []
    for sample in slots:
        for index, window in enumerate(sample):
            q, k, v = layer.qkv(window).unflatten(-1, (3, HEADS, -1)).unbind(1)
            heads = []
            for head in range(HEADS):
                query, key = q[:, head], k[:, head]
                scores = query @ key.T / math.sqrt(DIM // HEADS)
                if kind == "temperature":
                    scores = scores * layer.log_sharpness[head].exp()
                elif kind == "cosine":
                    cosine = torch.cosine_similarity(query[:, None], key[None], dim=-1)
                    scores = cosine * min(layer.log_sharpness[head].exp(), 100)
                elif kind == "conditioned":
                    seen = window[real[index]]
                    spread = (seen.var(0, unbiased=False) + 1e-5).sqrt()
                    logit = layer.condition(torch.cat([seen.mean(0), spread]))[head]
                    scores = scores * BOUND ** logit.tanh()
                scores = scores + layer.position_bias()[head]
                if geometry.mask is not None:
                    scores = scores + geometry.mask[index, 0]
                heads.append(scores.softmax(-1) @ v[:, head])
            out.append(torch.cat(heads, dim=-1))
    joined = torch.stack(out).view(x.shape[0], -1, DIM)
    return layer.proj(geometry.join(joined))


@pytest.mark.parametrize("monai", [False, True])
@pytest.mark.parametrize("kind", ATTENTIONS)
def test_equals_a_brute_force_forward_and_backward(kind, monai):
    layer, found = attention(kind, monai), []
    for way in (layer, lambda x: by_hand(layer, kind, x)):
        layer.zero_grad()
        x = tokens()
        out = way(x)
        out.square().sum().backward()
        found.append([out.detach(), x.grad, *(p.grad.clone() for p in layer.parameters())])
    for ours, expected in zip(*found, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", ["temperature", "conditioned"])
def test_starts_as_plain_attention(kind):
    torch.manual_seed(0)
    plain, adaptive = (ATTENTIONS[name](DIM, HEADS, windows(True)).double() for name in ("dot", kind))
    adaptive.load_state_dict(plain.state_dict(), strict=False)
    with torch.no_grad():
        torch.testing.assert_close(adaptive(tokens()), plain(tokens()), rtol=0, atol=1e-12)
        assert torch.equal(adaptive.sharpness(windows(True).cut(tokens())).unique(), torch.ones(1).double())


def test_cosine_attention_is_plain_attention_of_queries_and_keys_of_one_length():
    layer, plain = attention("cosine"), attention("dot")
    with torch.no_grad():
        layer.log_sharpness.fill_(math.log(5.0))
        for network in (layer, plain):  # constant queries and keys
            network.qkv.weight[: 2 * DIM] = 0
            network.qkv.bias[: 2 * DIM] = torch.randn(2, HEADS, DIM // HEADS).double().flatten()
        unit = layer.qkv.bias[: 2 * DIM].view(2, HEADS, -1)
        unit = unit / unit.norm(dim=-1, keepdim=True)
        length = (5.0 * (DIM / HEADS) ** 0.5) ** 0.5
        plain.qkv.bias[: 2 * DIM] = (unit * length).flatten()
        plain.qkv.weight[2 * DIM :] = layer.qkv.weight[2 * DIM :]
        plain.qkv.bias[2 * DIM :] = layer.qkv.bias[2 * DIM :]
        plain.proj.load_state_dict(layer.proj.state_dict())
        plain.position_bias.load_state_dict(layer.position_bias.state_dict())
        torch.testing.assert_close(layer(tokens()), plain(tokens()))
        layer.log_sharpness.fill_(9.0)
        assert layer.sharpness(torch.zeros(1)).max() == pytest.approx(100)


def test_cosine_attention_starts_with_products_as_large_as_plain_ones():
    torch.manual_seed(0)
    plain, cosine = (ATTENTIONS[name](48, 3, Windows((7, 7, 7), (7, 7, 7))) for name in ("dot", "cosine"))
    cosine.load_state_dict(plain.state_dict(), strict=False)
    slots = torch.nn.functional.layer_norm(torch.randn(1, 343, 48), (48,))
    sizes = []
    for layer in (plain, cosine):
        q, k, _ = layer.project(slots).transpose(2, 4).unbind(3)
        sizes.append((q @ k.mT).std().item())
    assert sizes[1] / sizes[0] == pytest.approx(1, abs=0.1)


def test_conditioned_attention_differs_between_windows_and_stays_within_its_bounds():
    layer = attention("conditioned", monai=True)
    slots = layer.windows.cut(tokens())
    assert layer.sharpness(slots).std(dim=1).min() > 1e-3
    extreme = layer.sharpness(1000 * slots)
    assert 1 / BOUND - 1e-9 <= extreme.min() and extreme.max() <= BOUND + 1e-9
