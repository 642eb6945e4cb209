"""Window attention against a brute force over explicit token pairs, and against MONAI's Swin block."""

import itertools
import math

import pytest
import torch

from studykit.layers.patches import take_tokens
from studykit.layers.window_attention import SwinBlock, WindowAttention, relative_index
from studykit.layers.windows import Windows

CASES = [  # grid, window, shift
    ((4, 4, 4), (2, 2, 2), (0, 0, 0)),
    ((4, 4, 4), (2, 2, 2), (1, 1, 1)),
    ((6, 4, 6), (3, 4, 2), (1, 2, 1)),
    ((5, 4, 7), (3, 2, 3), (0, 0, 0)),
    ((5, 3, 7), (3, 3, 3), (1, 1, 1)),
    ((2, 7, 4), (3, 3, 3), (1, 1, 1)),
]


def brute_force(attention: WindowAttention, x: torch.Tensor, window, shift, visible=None) -> torch.Tensor:
    """Token by token: attend to who shares my window on my side of the seam, with an explicit bias.

    With ``visible``, (B, K), the other tokens of each sample neither ask nor answer, and get the bias of the
    projection alone.
    """
    grid = x.shape[1:4]
    heads, dim = attention.num_heads, x.shape[-1]
    actual = [min(g, w) for g, w in zip(grid, window, strict=True)]
    moved = [s if g > w else 0 for g, w, s in zip(grid, window, shift, strict=True)]
    padded = [math.ceil(g / w) * w for g, w in zip(grid, actual, strict=True)]

    def home(token):
        """Window index an axis and side of the seam, from where the cyclic shift by -s puts the token."""
        slots = [(t - s) % p for t, s, p in zip(token, moved, padded, strict=True)]
        wrapped = [t < s for t, s in zip(token, moved, strict=True)]
        return [slot // w for slot, w in zip(slots, actual, strict=True)], wrapped

    tokens = list(itertools.product(*map(range, grid)))
    qkv = attention.qkv(x).reshape(x.shape[0], len(tokens), 3, heads, dim // heads)
    spans = [2 * w - 1 for w in window]
    out = []
    for sample in range(x.shape[0]):
        present = range(len(tokens)) if visible is None else visible[sample].tolist()
        rows = {i: torch.zeros(heads, dim // heads, dtype=x.dtype) for i in range(len(tokens))}
        for i in present:
            keys = [j for j in present if home(tokens[j]) == home(tokens[i])]
            offsets = [
                [q - k + w - 1 for q, k, w in zip(tokens[i], tokens[j], window, strict=True)] for j in keys
            ]
            bias = attention.position_bias.table[[(d * spans[1] + h) * spans[2] + w for d, h, w in offsets]]
            query, key, value = qkv[sample, i, 0], qkv[sample, keys, 1], qkv[sample, keys, 2]
            score = torch.einsum("hc,khc->kh", query, key) / math.sqrt(dim // heads) + bias
            rows[i] = torch.einsum("kh,khc->hc", score.softmax(dim=0), value)
        out.append(torch.stack(list(rows.values())))
    return attention.proj(torch.stack(out).reshape(x.shape))


@pytest.mark.parametrize(("grid", "window", "shift"), CASES)
def test_equals_brute_force_forward_and_backward(grid, window, shift):
    generator = torch.Generator().manual_seed(0)
    attention = WindowAttention(12, 2, Windows(grid, window, shift)).double()
    x = torch.randn(2, *grid, 12, generator=generator, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(2, *grid, 12, generator=generator, dtype=torch.float64)
    ours, theirs = attention(x), brute_force(attention, x, window, shift)
    torch.testing.assert_close(ours, theirs, atol=1e-12, rtol=1e-10)
    leaves = [x, *attention.parameters()]
    for mine, reference in zip(
        torch.autograd.grad((ours * weight).sum(), leaves),
        torch.autograd.grad((theirs * weight).sum(), leaves),
        strict=True,
    ):
        torch.testing.assert_close(mine, reference, atol=1e-11, rtol=1e-9)


def some_visible(windows: Windows, generator: torch.Generator) -> torch.Tensor:
    """int64 (2, K): a quarter of the tokens, in raster order, none of the second sample's last window."""
    total = math.prod(windows.grid)
    noise = torch.rand(2, total, generator=generator)
    home = windows.inverse // windows.tokens
    noise[1, home == home.max()] = 2.0
    return noise.argsort(dim=1)[:, : max(total // 4, 1)].sort(dim=1).values


@pytest.mark.parametrize(("grid", "window", "shift"), CASES)
def test_among_visible_tokens_equals_brute_force_forward_and_backward(grid, window, shift):
    generator = torch.Generator().manual_seed(0)
    windows = Windows(grid, window, shift)
    attention = WindowAttention(12, 2, windows).double()
    visible = some_visible(windows, generator)
    assert (windows.inverse[visible[1]] // windows.tokens).unique().numel() < windows.count
    x = torch.randn(2, *grid, 12, generator=generator, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(*visible.shape, 12, generator=generator, dtype=torch.float64)
    ours = attention(take_tokens(x.flatten(1, 3), visible), visible)
    theirs = take_tokens(brute_force(attention, x, window, shift, visible).flatten(1, 3), visible)
    torch.testing.assert_close(ours, theirs, atol=1e-12, rtol=1e-10)
    leaves = [x, *attention.parameters()]
    for mine, reference in zip(
        torch.autograd.grad((ours * weight).sum(), leaves),
        torch.autograd.grad((theirs * weight).sum(), leaves),
        strict=True,
    ):
        torch.testing.assert_close(mine, reference, atol=1e-11, rtol=1e-9)


@pytest.mark.parametrize(("grid", "window", "shift"), CASES)
def test_with_all_tokens_visible_nothing_changes(grid, window, shift):
    block = SwinBlock(12, 2, Windows(grid, window, shift)).double()
    x = torch.randn(2, *grid, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    visible = torch.arange(math.prod(grid)).expand(2, -1)
    ours = block(x.flatten(1, 3), visible)
    torch.testing.assert_close(ours, block(x).flatten(1, 3), atol=1e-12, rtol=1e-10)


def test_windows_without_a_visible_token_stay_finite_in_bfloat16():
    windows = Windows((5, 5, 5), (3, 3, 3), (1, 1, 1))
    block = SwinBlock(12, 2, windows)
    visible = torch.tensor([[0], [62]])
    x = torch.randn(2, 1, 12, generator=torch.Generator().manual_seed(0), requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        out = block(x, visible)
    out.square().sum().backward()
    assert out.isfinite().all()
    assert all(leaf.grad.isfinite().all() for leaf in (x, *block.parameters()))


@pytest.mark.parametrize(("grid", "window", "shift"), CASES)
def test_cut_and_join_are_inverse_and_every_token_has_one_slot(grid, window, shift):
    windows = Windows(grid, window, shift)
    x = torch.arange(math.prod(grid), dtype=torch.float32).view(1, *grid, 1)
    torch.testing.assert_close(windows.join(windows.cut(x)), x)
    assert windows.inverse.unique().numel() == math.prod(grid)


@pytest.mark.parametrize("window", [(2, 2, 2), (3, 4, 5), (7, 7, 7)])
def test_relative_index_is_distinct_for_each_offset(window):
    index = relative_index(window, window)
    assert index.unique().numel() == math.prod(2 * w - 1 for w in window)
    assert index.min() == 0
    place = torch.stack(torch.meshgrid(*map(torch.arange, window), indexing="ij")).flatten(1)
    offsets = (place[:, :, None] - place[:, None, :]).flatten(1).T
    seen: dict[tuple, int] = {}
    for offset, row in zip(map(tuple, offsets.tolist()), index.flatten().tolist(), strict=True):
        assert seen.setdefault(offset, row) == row


def test_a_small_grid_uses_the_rows_of_its_own_offsets():
    full, small = relative_index((3, 3, 3), (3, 3, 3)), relative_index((3, 3, 3), (2, 3, 3))
    torch.testing.assert_close(small, full[:18, :18])
    narrow = relative_index((3, 3, 3), (3, 3, 2))
    assert narrow[0, 0] == full[0, 0]
    assert set(narrow.flatten().tolist()) < set(full.flatten().tolist())


@pytest.mark.parametrize("shift", [0, 2])
def test_equals_monai_where_monai_needs_no_padding(shift):
    from monai.networks.nets.swin_unetr import SwinTransformerBlock, compute_mask

    torch.manual_seed(0)
    grid, window, shifts = (8, 8, 8), (4, 4, 4), (shift,) * 3
    ours = SwinBlock(24, 3, Windows(grid, window, shifts))
    theirs = SwinTransformerBlock(24, 3, window, shifts)
    names = {"attn.position_bias.table": "attn.relative_position_bias_table"}
    names |= {f"mlp.{i}.{p}": f"mlp.linear{n}.{p}" for i, n in ((0, 1), (2, 2)) for p in ("weight", "bias")}
    theirs.load_state_dict({names.get(k, k): v for k, v in ours.state_dict().items()}, strict=False)
    x = torch.randn(2, *grid, 24)
    mask = compute_mask(grid, window, shifts, "cpu") if shift else None
    torch.testing.assert_close(ours(x), theirs(x, mask), atol=2e-5, rtol=1e-4)


def test_padding_changes_nothing():
    """What stands in the padding slots (token 0, repeated) must not reach any output but its own window's."""
    attention = WindowAttention(6, 1, Windows((5, 5, 5), (3, 3, 3)))
    x = torch.randn(1, 5, 5, 5, 6, generator=torch.Generator().manual_seed(1))
    changed = x.clone()
    changed[:, 0, 0, 0] += 10.0
    difference = (attention(x) - attention(changed)).abs().amax(dim=(0, 4))
    assert difference[:3, :3, :3].min() > 0
    difference[:3, :3, :3] = 0
    assert difference.max() == 0


def test_bad_shift_and_heads_are_refused():
    with pytest.raises(ValueError, match="shift"):
        Windows((4, 4, 4), (2, 2, 2), (2, 0, 0))
    with pytest.raises(ValueError, match="multiple of num_heads"):
        WindowAttention(10, 3, Windows((4, 4, 4), (2, 2, 2)))


@pytest.mark.parametrize("sparse", [False, True])
def test_compiles_into_one_graph(sparse):
    generator = torch.Generator().manual_seed(0)
    windows = Windows((5, 5, 5), (3, 3, 3), (1, 1, 1))
    block = SwinBlock(12, 2, windows)
    x, visible = torch.randn(2, 5, 5, 5, 12, generator=generator), None
    if sparse:
        visible = some_visible(windows, generator)
        x = take_tokens(x.flatten(1, 3), visible)
    compiled = torch.compile(block, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x, visible), block(x, visible))
