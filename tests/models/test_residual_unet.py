"""The residual U-Net: shapes, and an encoder that on visible patches is the dense one with holes."""

import pytest
import torch
import torch.nn.functional as F

from studykit.masking import upsample_mask
from studykit.models import build_model

SMALL = {"img_size": 16, "widths": (4, 6, 8), "depths": 1}
GRID = {1: (4, 4, 4), 2: (2, 2, 2)}


@pytest.fixture(params=["instance", "batch"])
def norm(request):
    return request.param


def network(seed=0, **options):
    torch.manual_seed(seed)
    return build_model("residual-unet", **SMALL | options)


def volume(seed=0, size=16):
    return torch.randn(2, 1, *[size] * 3, generator=torch.Generator().manual_seed(seed))


def mask(grid):
    visible = torch.rand(2, *grid, generator=torch.Generator().manual_seed(1)) < 0.5
    visible[0, 0] = True
    return visible


@pytest.mark.parametrize("stem_stride", [1, 2])
def test_shapes_follow_channels_and_strides(stem_stride):
    net = network(stem_stride=stem_stride, num_classes=3, img_size=(16, 32, 16), depths=(1, 2, 1))
    x = torch.randn(2, 1, 16, 32, 16)
    maps = net.encode(x)
    expected = [
        (2, c, 16 // s[0], 32 // s[1], 16 // s[2]) for c, s in zip(net.channels, net.strides, strict=True)
    ]
    assert [tuple(m.shape) for m in maps] == expected
    assert net(x).shape == (2, 3, 16, 32, 16)
    assert {name.partition(".")[0] for name in net.state_dict()} == {"encoder", "decoder", "head"}


@pytest.mark.parametrize("stem_stride", [1, 2])
@pytest.mark.parametrize("backend", ["halo", "masked_dense"])
def test_with_nothing_hidden_sparse_is_dense(norm, stem_stride, backend):
    options = {"norm": norm, "stem_stride": stem_stride, "backend": backend}
    everything = torch.ones(2, *GRID[stem_stride], dtype=torch.bool)
    sparse = network(**options).encoder(volume(), everything)
    dense = network(**options).encoder(volume())
    torch.testing.assert_close(sparse, dense, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("stem_stride", [1, 2])
def test_backends_agree_at_every_map_and_in_every_gradient(norm, stem_stride):
    results = {}
    for backend in ("halo", "masked_dense"):
        net = network(norm=norm, stem_stride=stem_stride, backend=backend).double()
        maps = net.encoder(volume().double(), mask(GRID[stem_stride]))
        sum((m.sin() * (i + 1)).sum() for i, m in enumerate(maps)).backward()
        gradients = {n: p.grad for n, p in net.encoder.named_parameters()}
        results[backend] = maps, gradients
    torch.testing.assert_close(results["halo"], results["masked_dense"])


@pytest.mark.parametrize("backend", ["halo", "masked_dense"])
def test_hidden_voxels_reach_no_stage(norm, backend):
    net, visible, x = network(norm=norm, backend=backend), mask(GRID[2]), volume()
    hidden = ~upsample_mask(visible, 8)
    maps = net.encoder(x.masked_fill(hidden, 0), visible)
    spoilt = network(norm=norm, backend=backend).encoder(x.masked_fill(hidden, float("nan")), visible)
    assert all(torch.equal(a, b) for a, b in zip(maps, spoilt, strict=True))
    for m in maps:
        holes = (~upsample_mask(visible, m.shape[-1] // 2)).expand_as(m)
        assert m[holes].eq(0).all() and m[~holes].ne(0).all()


def test_dense_encoder_fills_the_holes():
    """What the sparse one avoids: zeros in the input do not stay zeros."""
    net, visible = network(), mask(GRID[2])
    maps = net.encoder(volume().masked_fill(~upsample_mask(visible, 8), 0))
    assert all(m[~upsample_mask(visible, m.shape[-1] // 2).expand_as(m)].ne(0).any() for m in maps)


def test_training_a_step_lowers_the_loss():
    net = network(num_classes=2)
    target = (volume() > 0).long()[:, 0]
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2)
    losses = []
    for _ in range(5):
        loss = F.cross_entropy(net(volume()), target)
        optimizer.zero_grad()
        loss.backward()
        assert all(p.grad.abs().sum() > 0 for p in net.parameters())
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]


def test_bad_options_are_named():
    with pytest.raises(ValueError, match="Unknown norm 'layer'"):
        network(norm="layer")
    with pytest.raises(
        ValueError, match=r"\(12, 12, 12\) must be a multiple of the coarsest map's stride, 8"
    ):
        network(img_size=12)
    with pytest.raises(ValueError, match="one for each of 3 widths"):
        network(depths=(1, 1))
    with pytest.raises(ValueError, match="Unknown backend"):
        network(backend="cuda")
