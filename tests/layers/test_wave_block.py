"""The wavelet block against a brute force; its three ways with details, masks that do not leak."""

import math

import pytest
import torch

from studykit.layers.positions import sincos_positions
from studykit.layers.visibility import visible_at
from studykit.layers.wave_block import WaveBlock
from studykit.layers.wavelets import Coefficients, dwt3d, idwt3d


def normal(*shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def block_with_noise(size, dim=12, heads=2, dtype=torch.float64, **options) -> WaveBlock:
    """A block none of whose parameters is 0 or 1."""
    block = WaveBlock(size, dim, heads, **options).to(dtype)
    with torch.no_grad():
        for i, parameter in enumerate(block.parameters()):
            parameter.copy_(normal(*parameter.shape, seed=i, dtype=dtype) * 0.3)
    return block


def haar(x):
    """One level by 2³ blocks: (B, C, D, H, W) to the low band and (B, 7, C, d, h, w)."""
    h = torch.tensor([[1.0, 1.0], [1.0, -1.0]], dtype=x.dtype) / math.sqrt(2)
    b, c, *size = x.shape
    blocks = x.reshape(b, c, size[0] // 2, 2, size[1] // 2, 2, size[2] // 2, 2)
    bands = torch.einsum("bcdihjwk,pi,qj,rk->bpqrcdhw", blocks, h, h, h).flatten(1, 3)
    return bands[:, 0], bands[:, 1:]


def haar_inverse(low, high):
    h = torch.tensor([[1.0, 1.0], [1.0, -1.0]], dtype=low.dtype) / math.sqrt(2)
    bands = torch.cat([low.unsqueeze(1), high], 1).unflatten(1, (2, 2, 2))
    blocks = torch.einsum("bpqrcdhw,pi,qj,rk->bcdihjwk", bands, h, h, h)
    return blocks.flatten(6, 7).flatten(4, 5).flatten(2, 3)


def normed(x, layer):
    x = x.movedim(1, -1)
    centred = x - x.mean(-1, keepdim=True)
    scaled = centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    return (scaled * layer.weight + layer.bias).movedim(-1, 1)


def brute_force(block: WaveBlock, x: torch.Tensor) -> torch.Tensor:
    """Every step written out: Haar as a matrix, attention token by token, the MLP as products."""
    low, removed = x, []
    if block.details == "off":
        for _ in range(block.level):
            low, high = haar(low)
            removed.append(torch.zeros_like(high))
        for zeros in reversed(removed):
            low = haar_inverse(low, zeros)
        x = low
    low, details = normed(x, block.norm1), []
    for _ in range(block.level):
        low, high = haar(low)
        details.append(high)
    gain, dim, heads = (2 * math.sqrt(2)) ** block.level, x.shape[1], block.attn.num_heads
    tokens = low.flatten(2).mT / gain + sincos_positions(low.shape[2:], dim).to(x)
    q, k, v = (tokens @ block.attn.qkv.weight.T + block.attn.qkv.bias).split(dim, -1)
    mixed = torch.zeros_like(q)
    for head in range(heads):
        part = slice(head * dim // heads, (head + 1) * dim // heads)
        for token in range(q.shape[1]):
            score = (k[..., part] * q[:, token, None, part]).sum(-1) / math.sqrt(dim // heads)
            weight = score.exp() / score.exp().sum(-1, keepdim=True)
            mixed[:, token, part] = (weight.unsqueeze(-1) * v[..., part]).sum(1)
    update = (mixed @ block.attn.proj.weight.T + block.attn.proj.bias).mT.reshape(low.shape) * gain
    for i, high in enumerate(reversed(details)):
        gate = 0 if block.gate is None else block.gate[i][None, :, :, None, None, None]
        update = haar_inverse(update, high * gate)
    x = x + update
    hidden = normed(x, block.norm2).movedim(1, -1) @ block.mlp[0].weight.T + block.mlp[0].bias
    hidden = hidden * 0.5 * (1 + torch.erf(hidden / math.sqrt(2)))
    return x + (hidden @ block.mlp[2].weight.T + block.mlp[2].bias).movedim(-1, 1)


CASES = [(0, "identity"), (1, "identity"), (1, "gate"), (1, "off"), (2, "identity"), (2, "gate"), (2, "off")]


@pytest.mark.parametrize(("level", "details"), CASES)
def test_equals_brute_force_forward_and_backward(level, details):
    size = (8, 4, 4) if level else (3, 2, 4)
    block = block_with_noise(size, level=level, details=details)
    x, weight = normal(2, 12, *size).requires_grad_(), normal(2, 12, *size, seed=1)
    ours, theirs = block(x), brute_force(block, x)
    torch.testing.assert_close(ours, theirs, atol=1e-11, rtol=1e-9)
    leaves = [x, *block.parameters()]
    for mine, reference in zip(
        torch.autograd.grad((ours * weight).sum(), leaves),
        torch.autograd.grad((theirs * weight).sum(), leaves),
        strict=True,
    ):
        torch.testing.assert_close(mine, reference, atol=1e-9, rtol=1e-8)


@pytest.mark.parametrize("wavelet", ["haar", "db2"])
@pytest.mark.parametrize(("level", "details"), [(0, "identity"), (1, "identity"), (2, "gate")])
def test_without_attention_and_mlp_the_block_is_the_identity(wavelet, level, details):
    block = WaveBlock((7, 6, 9), 12, 2, level=level, wavelet=wavelet, details=details)
    for layer in (block.attn.proj, block.mlp[2]):
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    x = normal(2, 12, 7, 6, 9, dtype=torch.float32)
    assert torch.equal(block(x), x)


@pytest.mark.parametrize("wavelet", ["haar", "db2"])
@pytest.mark.parametrize("level", [1, 2])
def test_odd_sizes_do_not_darken_the_border(wavelet, level):
    block = block_with_noise((7, 5, 9), level=level, wavelet=wavelet)
    block.positions.zero_()
    out = block(normal(1, 12, 1, 1, 1).expand(1, 12, 7, 5, 9))
    torch.testing.assert_close(out, out[..., :1, :1, :1].expand_as(out))


def test_details_neither_grow_with_depth_nor_fade():
    blocks = [block_with_noise((8, 8, 8), level=2) for _ in range(5)]
    out = x = normal(1, 12, 8, 8, 8)
    for block in blocks:
        torch.nn.init.zeros_(block.mlp[2].weight)
        torch.nn.init.zeros_(block.mlp[2].bias)
        out = block(out)
    before, after = dwt3d(x, level=2), dwt3d(out, level=2)
    for coarse, same in zip(before.high, after.high, strict=True):
        torch.testing.assert_close(coarse, same)
    assert (before.low - after.low).abs().min() > 0


@pytest.mark.parametrize("level", [1, 2])
def test_off_does_not_see_details_and_gives_none(level):
    block = block_with_noise((8, 4, 8), level=level, details="off")
    low, high = dwt3d(normal(1, 12, 8, 4, 8), level=level)
    other = tuple(normal(*h.shape, seed=3) for h in high)
    out = block(idwt3d(Coefficients(low, high), (8, 4, 8)))
    torch.testing.assert_close(out, block(idwt3d(Coefficients(low, other), (8, 4, 8))))
    assert all(h.abs().max() < 1e-12 for h in dwt3d(out, level=level).high)


def test_the_three_ways_differ_and_a_gate_starts_as_the_identity():
    blocks = {d: WaveBlock(4, 12, 2, details=d) for d in ("identity", "gate", "off")}
    for block in blocks.values():
        block.load_state_dict(blocks["identity"].state_dict(), strict=False)
    x = normal(1, 12, 4, 4, 4, dtype=torch.float32)
    passed, gated, dropped = (block(x) for block in blocks.values())
    assert torch.equal(passed, gated)
    assert (passed - dropped).abs().max() > 0.1
    gated.sum().backward()
    assert blocks["gate"].gate.grad.abs().min() > 0
    torch.nn.init.ones_(blocks["gate"].gate)
    assert (blocks["gate"](x) - passed).abs().max() > 0.1


@pytest.mark.parametrize(("level", "details"), CASES)
def test_parameters(level, details):
    gates = 7 * level * 24 if details == "gate" else 0
    block = WaveBlock(8, 24, 2, level=level, details=details)
    assert sum(p.numel() for p in block.parameters()) == 12 * 24**2 + 13 * 24 + gates
    assert not [name for name in block.state_dict() if "positions" in name]


# ---- masks


@pytest.mark.parametrize(("level", "details"), CASES)
def test_what_is_hidden_reaches_nothing(level, details):
    block = block_with_noise((8, 4, 8), level=level, details=details)
    visible = torch.rand(2, 2, 1, 2, generator=torch.Generator().manual_seed(2)) > 0.4
    places = visible_at(visible, (8, 4, 8)).expand(2, 12, 8, 4, 8)
    x = normal(2, 12, 8, 4, 8).requires_grad_()
    planted = x.masked_fill(~places, float("nan"))
    out = block(planted, visible)
    assert 0 < visible.sum() < visible.numel()
    assert out[~places].eq(0).all() and out[places].isfinite().all()
    torch.testing.assert_close(out, block(x, visible), atol=0, rtol=0)
    gradient, *parameters = torch.autograd.grad(
        block(x, visible).square().sum(), [x, *block.parameters()], allow_unused=True
    )
    assert gradient[~places].eq(0).all() and gradient[places].abs().min() > 0
    assert all(g.isfinite().all() for g in parameters)
    assert (out - block(x))[places].abs().max() > 1e-3


@pytest.mark.parametrize(("level", "details"), CASES)
def test_a_single_visible_patch_is_as_a_map_of_its_own(level, details):
    large, small = (block_with_noise(size, level=level, details=details) for size in (8, 4))
    visible = torch.zeros(1, 2, 2, 2, dtype=torch.bool)
    visible[0, 0, 0, 0] = True
    x = normal(1, 12, 8, 8, 8)
    corner = (..., slice(4), slice(4), slice(4))
    torch.testing.assert_close(large(x, visible)[corner], small(x[corner]))


def test_with_nothing_hidden_sparse_is_dense():
    block = block_with_noise(8, level=2, details="gate")
    x = normal(2, 12, 8, 8, 8)
    torch.testing.assert_close(block(x, torch.ones(2, 2, 2, 2, dtype=torch.bool)), block(x))


def test_a_wholly_hidden_sample_is_0_with_finite_gradients():
    block = block_with_noise(4)
    visible = torch.tensor([False, True]).view(2, 1, 1, 1)
    out = block(normal(2, 12, 4, 4, 4), visible)
    out.square().sum().backward()
    assert out[0].eq(0).all() and out[1].abs().min() > 0
    assert all(p.grad.isfinite().all() for p in block.parameters())


# ---- options


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"details": "on"}, "Unknown details 'on'. Known: identity, gate, off"),
        ({"details": "gate", "level": 0}, "no details to gate"),
        ({"level": -1}, "at least 0, got -1"),
        ({"wavelet": "morl"}, "Unknown wavelet 'morl'"),
        ({"dim": 10, "num_heads": 3}, r"dim \(10\) must be a multiple of num_heads"),
        ({"drop_path": 1.0}, "below 1"),
    ],
)
def test_bad_options_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        WaveBlock(**{"size": 8, "dim": 12, "num_heads": 2, **options})


def test_maps_and_masks_that_do_not_fit_are_refused():
    x, patches = torch.zeros(1, 12, 8, 8, 8), torch.ones(1, 4, 4, 4, dtype=torch.bool)
    with pytest.raises(ValueError, match=r"maps of \(4, 4, 4\), got \(8, 8, 8\)"):
        WaveBlock(4, 12, 2)(x)
    with pytest.raises(ValueError, match="multiple of 4 voxels an axis at level 2"):
        WaveBlock(8, 12, 2, level=2)(x, patches)
    with pytest.raises(ValueError, match="db2 reaches across patches"):
        WaveBlock(8, 12, 2, wavelet="db2")(x, patches)
    assert WaveBlock(8, 12, 2, level=1)(x, patches).shape == x.shape


def test_branches_are_dropped_in_training_only_and_by_the_seed():
    block = block_with_noise(4, drop_path=0.5)
    x = normal(8, 12, 4, 4, 4)

    def out(seed):
        torch.manual_seed(seed)
        return block(x)

    assert torch.equal(out(0), out(0)) and not torch.equal(out(0), out(1))
    block.eval()
    torch.testing.assert_close(out(0), brute_force(block, x), atol=1e-11, rtol=1e-9)


@pytest.mark.parametrize("details", ["identity", "gate", "off"])
def test_bf16_autocast_is_close_and_trains(details):
    block = WaveBlock((7, 8, 6), 24, 2, details=details)
    x = normal(2, 24, 7, 8, 6, dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        out = block(x)
    out.float().square().mean().backward()
    torch.testing.assert_close(out.float(), block(x), atol=0.05, rtol=0.05)
    assert all(p.grad.isfinite().all() for p in block.parameters())


def test_compiles_into_one_graph():
    block = WaveBlock((8, 4, 4), 12, 2, details="gate")
    compiled = torch.compile(block, fullgraph=True, backend="aot_eager")
    x, visible = normal(2, 12, 8, 4, 4, dtype=torch.float32), torch.tensor([True, False]).view(1, 2, 1, 1)
    visible = visible.expand(2, 2, 1, 1)
    results = []
    for function in (block, compiled):
        block.zero_grad()
        out = function(x, visible)
        out.square().sum().backward()
        results.append((out, *(p.grad.clone() for p in block.parameters())))
    for eager, graph in zip(*results, strict=True):
        torch.testing.assert_close(graph, eager)
