"""Skip attention against a brute force over explicit token pairs."""

import itertools
import math

import pytest
import torch

from studykit.layers.skip_attention import SkipAttention, SkipBlock
from studykit.layers.windows import Windows

CASES = [  # grid, window
    ((4, 4, 4), (2, 2, 2)),
    ((5, 4, 7), (3, 2, 3)),
    ((3, 6, 2), (7, 3, 3)),
]


def brute_force(attention: SkipAttention, up: torch.Tensor, skip: torch.Tensor, window) -> torch.Tensor:
    """Token by token: each upsampled token asks the skip tokens of its window, with an explicit bias."""
    grid, heads, dim = up.shape[1:4], attention.num_heads, up.shape[-1]
    actual = [min(g, w) for g, w in zip(grid, window, strict=True)]
    spans = [2 * w - 1 for w in window]
    tokens = list(itertools.product(*map(range, grid)))
    home = [tuple(t // w for t, w in zip(token, actual, strict=True)) for token in tokens]
    queries = up.reshape(up.shape[0], len(tokens), heads, dim // heads)
    weight, bias = attention.kv.weight, attention.kv.bias
    keys = (skip @ weight[:dim].T + bias[:dim]).reshape(queries.shape)
    values = (skip @ weight[dim:].T + bias[dim:]).reshape(queries.shape)
    out = torch.zeros_like(queries)
    for i, token in enumerate(tokens):
        seen = [j for j in range(len(tokens)) if home[j] == home[i]]
        offsets = [[q - k + w - 1 for q, k, w in zip(token, tokens[j], window, strict=True)] for j in seen]
        rows = [(d * spans[1] + h) * spans[2] + w for d, h, w in offsets]
        score = torch.einsum("bhc,bkhc->bhk", queries[:, i], keys[:, seen]) / math.sqrt(dim // heads)
        score = score + attention.position_bias.table[rows].T
        out[:, i] = torch.einsum("bhk,bkhc->bhc", score.softmax(dim=-1), values[:, seen])
    return attention.proj(out.reshape(up.shape))


@pytest.mark.parametrize(("grid", "window"), CASES)
def test_equals_brute_force_forward_and_backward(grid, window):
    generator = torch.Generator().manual_seed(0)
    attention = SkipAttention(12, 2, Windows(grid, window)).double()

    def drawn():
        return torch.randn(2, *grid, 12, generator=generator, dtype=torch.float64)

    up, skip, weight = drawn().requires_grad_(), drawn().requires_grad_(), drawn()
    ours, theirs = attention(up, skip), brute_force(attention, up, skip, window)
    torch.testing.assert_close(ours, theirs, atol=1e-12, rtol=1e-10)
    leaves = [up, skip, *attention.parameters()]
    for mine, reference in zip(
        torch.autograd.grad((ours * weight).sum(), leaves),
        torch.autograd.grad((theirs * weight).sum(), leaves),
        strict=True,
    ):
        torch.testing.assert_close(mine, reference, atol=1e-11, rtol=1e-9)


def test_a_block_adds_both_grids_and_what_the_skip_answers():
    torch.manual_seed(0)
    block = SkipBlock(12, 2, Windows((3, 3, 3), (3, 3, 3)))
    up, skip = torch.randn(2, 3, 3, 3, 12), torch.randn(2, 3, 3, 3, 12)
    x = up + skip + block.attn(block.norm1(up), block.norm1(skip))
    torch.testing.assert_close(block(up, skip), x + block.mlp(block.norm2(x)))


def test_an_empty_skip_answers_all_tokens_alike():
    torch.manual_seed(0)
    block = SkipBlock(12, 2, Windows((4, 4, 4), (2, 2, 2)))
    up = torch.randn(1, 4, 4, 4, 12)
    answer = block.attn(block.norm1(up), block.norm1(torch.zeros_like(up)))
    torch.testing.assert_close(answer, answer[:, :1, :1, :1].expand_as(answer))


def test_works_under_bfloat16_autocast():
    torch.manual_seed(0)
    block = SkipBlock(12, 2, Windows((3, 3, 3), (2, 2, 2)))
    up, skip = torch.randn(2, 3, 3, 3, 12), torch.randn(2, 3, 3, 3, 12)
    with torch.autocast("cpu", torch.bfloat16):
        out = block(up, skip)
    out.square().mean().backward()
    torch.testing.assert_close(out, block(up, skip), atol=0.05, rtol=0.05)
    assert all(p.grad.isfinite().all() for p in block.parameters())


def test_heads_that_do_not_divide_are_refused():
    with pytest.raises(ValueError, match="multiple of num_heads"):
        SkipAttention(10, 3, Windows((4, 4, 4), (2, 2, 2)))
