"""The small network of wavelet blocks: sizes, its three ways with details, masks that do not leak."""

from itertools import pairwise

import pytest
import torch

from studykit.layers.visibility import visible_at
from studykit.metrics.compute import count_parameters
from studykit.models import build_model
from studykit.models.wave_unet import WaveUNet

SMALL = {"img_size": (16, 24, 16), "widths": (16, 32, 48), "depth": 1}


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def small(**options) -> WaveUNet:
    torch.manual_seed(0)
    return build_model("wave-unet", **{**SMALL, **options}).eval()


def test_maps_and_output_have_the_sizes_that_are_promised():
    model = small(in_channels=2, num_classes=3)
    x = normal(2, 2, 16, 24, 16)
    maps = model.encode(x)
    assert model.channels == (16, 32, 48) and model.strides == tuple((s,) * 3 for s in (2, 4, 8))
    for found, width, stride in zip(maps, model.channels, model.strides, strict=True):
        assert found.shape == (2, width, *(n // s for n, s in zip((16, 24, 16), stride, strict=True)))
    assert model.decoder(maps).shape == (2, 16, 16, 24, 16)
    assert model(x).shape == (2, 3, 16, 24, 16)
    assert {name.split(".")[0] for name in model.state_dict()} == {"encoder", "decoder", "head"}


def test_patches_may_be_of_one_voxel_and_stages_of_other_levels():
    model = small(patch_size=1, widths=(16, 32), levels=(2, 0), wavelet="db2", img_size=10)
    assert model.strides == ((1, 1, 1), (2, 2, 2))
    assert model(normal(1, 1, 10, 10, 10)).shape == (1, 1, 10, 10, 10)


def test_parameters():
    widths = (16, 32, 48)
    encoder = 8 * 16 + 16 + sum(12 * w**2 + 15 * w for w in widths)
    encoder += sum(2 * a + 8 * a * b + b for a, b in pairwise(widths))
    decoder = sum(8 * a * b + a + 54 * a * a + 2 * a for a, b in pairwise(widths))
    decoder += 8 * 16 * 16 + 16 + 27 * 16 * 16 + 2 * 16
    for details, gates in (("identity", 0), ("off", 0), ("gate", 7 * (16 + 32))):
        model = small(details=details)
        assert count_parameters(model.encoder) == encoder + gates
        assert count_parameters(model.decoder) == decoder
        assert count_parameters(model.head) == 17


@pytest.mark.parametrize("details", ["identity", "gate", "off"])
def test_every_parameter_learns(details):
    model = small(details=details).train()
    model(normal(2, 1, 16, 24, 16)).square().mean().backward()
    without = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert not without


def test_without_details_the_finest_map_is_flat_over_two_places():
    flat, fine = (small(details=d).encode(normal(2, 1, 16, 24, 16))[0] for d in ("off", "identity"))
    for maps, same in ((flat, True), (fine, False)):
        assert torch.equal(maps[:, :, ::2], maps[:, :, 1::2]) is same


@pytest.mark.parametrize("details", ["identity", "gate", "off"])
def test_no_stage_sees_what_is_hidden(details):
    model = small(details=details, depth=2, in_channels=2)
    visible = torch.rand(2, 2, 3, 2, generator=torch.Generator().manual_seed(1)) > 0.5
    x = normal(2, 2, 16, 24, 16).requires_grad_()
    places = visible_at(visible, (16, 24, 16)).expand_as(x)
    maps, planted = model.encoder(x, visible), model.encoder(x.masked_fill(~places, float("nan")), visible)
    for ours, theirs in zip(maps, planted, strict=True):
        here = visible_at(visible, ours.shape[2:]).expand_as(ours)
        assert torch.equal(ours, theirs) and ours[~here].eq(0).all() and ours[here].abs().min() > 0
    (gradient,) = torch.autograd.grad(sum(m.pow(3).sum() for m in maps), x)
    assert gradient[~places].eq(0).all() and gradient[places].abs().min() > 0


def test_with_nothing_hidden_sparse_is_dense():
    model = small(details="gate", depth=2)
    x = normal(2, 1, 16, 24, 16)
    everything = torch.ones(2, 2, 3, 2, dtype=torch.bool)
    for sparse, dense in zip(model.encoder(x, everything), model.encoder(x), strict=True):
        torch.testing.assert_close(sparse, dense)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"img_size": 20}, "multiples of 8 for 3 stages, got 20"),
        ({"widths": (16, 24, 32)}, "multiples of 16"),
        ({"levels": (1, 0)}, "a level each"),
        ({"details": "on"}, "Unknown details 'on'"),
        ({"embed_dim": 3}, "takes no embed_dim. Known:"),
    ],
)
def test_bad_sizes_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        build_model("wave-unet", **{**SMALL, **options})


def test_masks_need_patches_that_the_levels_divide():
    model = small(levels=(1, 1, 1))
    x = normal(1, 1, 16, 24, 16)
    assert len(model.encode(x)) == 3
    with pytest.raises(ValueError, match="multiple of 2 voxels an axis at level 1"):
        model.encoder(x, torch.ones(1, 2, 3, 2, dtype=torch.bool))


def test_drop_path_grows_from_0_and_rests_outside_training():
    model = small(depth=2, drop_path=0.5)
    rates = [block.drop_path.rate for stage in model.encoder.stages for block in stage]
    assert rates == pytest.approx([0.1 * i for i in range(6)])
    x = normal(2, 1, 16, 24, 16)
    assert torch.equal(model(x), model(x))


def test_bf16_autocast_runs():
    model = small().train()
    with torch.autocast("cpu", torch.bfloat16):
        out = model(normal(2, 1, 16, 24, 16))
    out.float().square().mean().backward()
    assert out.isfinite().all() and all(p.grad.isfinite().all() for p in model.parameters())
