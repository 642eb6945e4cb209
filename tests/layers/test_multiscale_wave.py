"""The published block: windows back in their places, weights shared by all levels, masks that do not leak."""

import pytest
import torch
import torch.nn.functional as F

from studykit.layers.multiscale_wave import (
    ConvFeedForward,
    MultiScaleWaveBlock,
    SharedWindowAttention,
    cut_windows,
    join_windows,
)
from studykit.layers.visibility import hide, visible_at
from studykit.layers.window_attention import WindowAttention
from studykit.layers.windows import Windows

WINDOW = (2, 1, 3)


def normal(*shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def with_noise(module: torch.nn.Module) -> torch.nn.Module:
    module.double()
    with torch.no_grad():
        for i, parameter in enumerate(module.parameters()):
            parameter.copy_(normal(*parameter.shape, seed=i) * 0.3)
    return module


def some_visible(*grid):
    return torch.rand(2, *grid, generator=torch.Generator().manual_seed(1)) > 0.5


def test_windows_come_back_to_their_places():
    x = normal(2, 5, 4, 3, 6)
    windows = cut_windows(x, WINDOW)
    assert windows.shape == (2, 2 * 3 * 2, 6, 5)
    torch.testing.assert_close(windows[:, 3].mT.unflatten(2, WINDOW), x[:, :, :2, 1:2, 3:])
    assert torch.equal(join_windows(windows, WINDOW, (4, 3, 6)), x)


def test_attention_is_that_of_plain_windows():
    ours = with_noise(SharedWindowAttention(12, 2, WINDOW))
    for size in ((2, 1, 3), (4, 2, 6), (8, 1, 3)):
        theirs = WindowAttention(12, 2, Windows(size, WINDOW)).double()
        theirs.load_state_dict(ours.state_dict())
        x = normal(2, 12, *size)
        torch.testing.assert_close(ours(x), theirs(x.movedim(1, -1)).movedim(-1, 1))


def test_attention_among_visible_places_is_that_of_plain_windows():
    ours, size = with_noise(SharedWindowAttention(12, 2, (2, 2, 2))), (4, 2, 6)
    theirs = WindowAttention(12, 2, Windows(size, (2, 2, 2))).double()
    theirs.load_state_dict(ours.state_dict())
    visible = torch.zeros(2, *size, dtype=torch.bool)
    index = torch.stack([torch.arange(48)[seed::3] for seed in range(2)])
    visible.view(2, -1).scatter_(1, index, True)
    x = hide(normal(2, 12, *size), visible)
    tokens = x.flatten(2).mT.gather(1, index.unsqueeze(-1).expand(-1, -1, 12))
    found = ours(x, visible).flatten(2).mT.gather(1, index.unsqueeze(-1).expand(-1, -1, 12))
    torch.testing.assert_close(found, theirs(tokens, index))


def test_feed_forward_is_two_convolutions_and_a_linear_layer():
    module = with_noise(ConvFeedForward(6, 20))
    x = normal(2, 6, 3, 4, 5)

    def norm(values, layer):
        return F.gelu(F.layer_norm(values.movedim(1, -1), (20,), layer.weight, layer.bias)).movedim(-1, 1)

    out = norm(F.conv3d(x, module.expand.weight[:, :, None, None, None], module.expand.bias), module.norm1)
    out = F.conv3d(out, module.depthwise.weight, module.depthwise.bias, padding=1, groups=20)
    out = norm(out, module.norm2).movedim(1, -1) @ module.project.weight.T + module.project.bias
    torch.testing.assert_close(module(x), x + out.movedim(-1, 1))


@pytest.mark.parametrize("level", [0, 1, 2])
def test_block_attends_to_the_means_of_every_level_with_the_same_weights(level):
    block = with_noise(MultiScaleWaveBlock(12, 2, WINDOW, level))
    size = tuple(n * 2**level for n in WINDOW)
    x = normal(2, 12, *size)
    low, total = block.norm1(x), torch.zeros_like(x)
    for _ in range(max(level, 1)):
        low = F.avg_pool3d(low, 2) if level else low
        attention = WindowAttention(12, 2, Windows(low.shape[2:], WINDOW)).double()
        attention.load_state_dict(block.attn.state_dict())
        added = attention(low.movedim(1, -1)).movedim(-1, 1)
        total = total + (F.interpolate(added, size=size, mode="trilinear") if level else added)
    x2 = x + total
    torch.testing.assert_close(block(x), x2 + block.mlp(block.norm2(x2)))


@pytest.mark.parametrize("level", [0, 1, 2])
def test_what_is_hidden_reaches_nothing(level):
    block = with_noise(MultiScaleWaveBlock(12, 2, (2, 2, 4), level))
    size = tuple(n * 2**level for n in (2, 2, 4))
    visible = some_visible(2, 1, 4)
    places = visible_at(visible, size).expand(2, 12, *size)
    x = normal(2, 12, *size).requires_grad_()
    out = block(x.masked_fill(~places, float("nan")), visible)
    assert out[~places].eq(0).all() and out[places].isfinite().all()
    torch.testing.assert_close(out, block(x, visible), atol=0, rtol=0)
    gradient, *parameters = torch.autograd.grad(block(x, visible).square().sum(), [x, *block.parameters()])
    assert gradient[~places].eq(0).all() and gradient[places].abs().min() > 0
    assert all(g.isfinite().all() for g in parameters)
    assert (out - block(x))[places].abs().max() > 1e-3


@pytest.mark.parametrize("level", [0, 2])
def test_with_nothing_hidden_sparse_is_dense(level):
    block = with_noise(MultiScaleWaveBlock(12, 2, (2, 2, 2), level))
    x = normal(2, 12, *(2 * 2**level,) * 3)
    torch.testing.assert_close(block(x, torch.ones(2, 2, 2, 2, dtype=torch.bool)), block(x))


def test_what_attention_adds_keeps_its_size_beside_hidden_patches():
    block = MultiScaleWaveBlock(12, 2, (2, 2, 2), 1).double()
    for layer, value in ((block.attn.proj, 1.0), (block.mlp.project, 0.0)):
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.constant_(layer.bias, value)
    torch.nn.init.zeros_(block.norm2.weight)
    visible = some_visible(2, 2, 2)
    x = normal(2, 12, 4, 4, 4)
    torch.testing.assert_close(block(x, visible), hide(x + 1, visible))


def test_heads_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"dim \(10\) must be a multiple of num_heads \(3\)"):
        SharedWindowAttention(10, 3, WINDOW)


def test_bf16_autocast_is_close():
    block = MultiScaleWaveBlock(12, 2, (2, 2, 2), 1)
    x = normal(2, 12, 4, 4, 4, dtype=torch.float32)
    for visible in (None, some_visible(2, 2, 2)):
        with torch.autocast("cpu", torch.bfloat16):
            out = block(x, visible)
        torch.testing.assert_close(out.float(), block(x, visible), atol=0.1, rtol=0.05)
