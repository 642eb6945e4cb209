"""The published WaveFormer: its parameters, what its parts must not repeat, masks that do not leak."""

from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F

from studykit.layers.visibility import visible_at
from studykit.metrics.compute import count_parameters
from studykit.models import build_model
from studykit.models.waveformer import Calibration, Decoder, PatchMerging, ResidualBlock, WaveFormer

SMALL = {"img_size": (16, 24, 16), "widths": (16, 32, 48), "depth": 1}


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def small(**options) -> WaveFormer:
    torch.manual_seed(0)
    return build_model("waveformer", **{**SMALL, **options}).eval()


def parameters_by_hand(widths, depth, in_channels, classes, window):
    """Layer by layer; ``window`` is the number of relative offsets."""

    def residual(a, b):
        return 27 * a * b + 27 * b * b + (a * b if a != b else 0)

    first, deepest = widths[0], widths[-1]
    stages = sum(depth * (12 * w**2 + 141 * w + window * w // 16) for w in widths)
    merging = sum(8 * a * b + 16 * a for a, b in pairwise(widths))
    encoder = residual(in_channels, first) + 8 * in_channels * first + first + stages + merging
    hidden = deepest // 4
    bottleneck = 4 * deepest * hidden + 27 * hidden**2 + 3 * hidden + 2 * deepest + deepest**2 + deepest
    finer = widths[:-1]
    branches = sum(residual(w, w) + 27 * deepest * w + residual(2 * w, w) for w in finer)
    upsampling = sum(30 * w + 2 * w * w + 2 * w + w * first + first for w in finer[1:])
    upsampling += sum(
        2 * w * first + first if stage == 1 else 2 * w * w + w + w * first + first
        for stage, w in enumerate(finer)
        if stage
    )
    fusion = len(finer) * first * first * 8 + residual(2 * first, first)
    return encoder, bottleneck + branches + upsampling + fusion, first * classes + classes


def test_parameters_at_the_published_sizes():
    with torch.device("meta"):
        model = WaveFormer(128, in_channels=4, num_classes=4)
    by_hand = parameters_by_hand((48, 96, 192, 384), 2, 4, 4, 15**3)
    assert tuple(map(count_parameters, (model.encoder, model.decoder, model.head))) == by_hand
    assert count_parameters(model) == 17_167_546


def test_tokens_are_normalised_with_the_released_epsilon():
    """1e-6 before attention, before the feed-forward and in merging; inside the feed-forward torch's own."""
    found = {}
    for name, module in small().encoder.named_modules():
        if isinstance(module, torch.nn.LayerNorm):
            found.setdefault(module.eps, set()).add("mlp" if ".mlp." in name else name.split(".")[0])
    assert found == {1e-6: {"stages", "mergings"}, 1e-5: {"mlp"}}


def test_parameters_at_other_sizes():
    model = small(in_channels=2, num_classes=3)
    assert count_parameters(model) == sum(parameters_by_hand((16, 32, 48), 1, 2, 3, 3 * 5 * 3))


def test_maps_and_output_have_the_sizes_that_are_promised():
    model = small(in_channels=2, num_classes=3)
    x = normal(2, 2, 16, 24, 16)
    maps = model.encode(x)
    assert model.channels == (16, 16, 32, 48) and model.strides == tuple((s,) * 3 for s in (1, 2, 4, 8))
    for found, width, stride in zip(maps, model.channels, model.strides, strict=True):
        assert found.shape == (2, width, *(n // s for n, s in zip((16, 24, 16), stride, strict=True)))
    assert model.decoder(maps).shape == (2, 16, 16, 24, 16)
    assert model(x).shape == (2, 3, 16, 24, 16)
    assert {name.split(".")[0] for name in model.state_dict()} == {"encoder", "decoder", "head"}
    assert [[block.level for block in stage] for stage in model.encoder.stages] == [[2], [1], [0]]


def test_every_parameter_learns():
    model = small().train()
    model(normal(2, 1, 16, 24, 16)).square().mean().backward()
    without = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert not without


def test_patch_merging_takes_each_octant_once():
    merging = PatchMerging(2, 16)
    torch.nn.init.eye_(merging.reduction.weight)
    x = normal(1, 2, 4, 4, 4)
    octants = merging(x)[0, :, 1, 0, 1]
    expected = x[0, :, 2:, :2, 2:].flatten(1).T.flatten()
    torch.testing.assert_close(octants, F.layer_norm(expected, (16,), eps=1e-6))


def test_squeeze_sees_the_volume():
    module = Calibration(16)
    seen = []
    module.excite.register_forward_hook(lambda _, args, out: seen.append(out))
    module(normal(4, 16, 3, 3, 3))
    assert seen[0].std(0).min() > 0


def test_residual_block_projects_only_where_widths_differ():
    assert ResidualBlock(8, 8).shortcut is None
    block = ResidualBlock(3, 8)
    assert block(normal(1, 3, 4, 4, 4)).shape == (1, 8, 4, 4, 4)


def test_decoder_takes_smooth_part_from_the_deepest_map_and_details_from_the_finer_ones():
    torch.manual_seed(0)
    branch = Decoder((16, 32, 48)).branches[0]
    inputs = []
    branch.fusion.register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
    decoder = Decoder((16, 32, 48))
    decoder.branches[0].fusion.register_forward_pre_hook(lambda _, args: inputs.append(args[0][:, :16]))
    maps = [normal(1, c, *(n,) * 3, seed=n) for c, n in ((16, 16), (16, 8), (32, 4), (48, 2))]
    decoder(maps)
    smooth = decoder.branches[0].smooth(decoder.bottleneck(maps[-1]))
    (inverse,) = inputs
    torch.testing.assert_close(F.avg_pool3d(inverse, 4) * 8, smooth)
    details = maps[1] - F.interpolate(F.avg_pool3d(maps[1], 4), scale_factor=4)
    torch.testing.assert_close(inverse - F.interpolate(smooth / 8, scale_factor=4), details)


# ---- masks


def test_no_stage_sees_what_is_hidden():
    model = small(depth=2, in_channels=2)
    visible = torch.rand(2, 2, 3, 2, generator=torch.Generator().manual_seed(1)) > 0.5
    x = normal(2, 2, 16, 24, 16).requires_grad_()
    places = visible_at(visible, (16, 24, 16)).expand_as(x)
    maps, planted = model.encoder(x, visible), model.encoder(x.masked_fill(~places, float("nan")), visible)
    for ours, theirs in zip(maps, planted, strict=True):
        here = visible_at(visible, ours.shape[2:]).expand_as(ours)
        assert torch.equal(ours, theirs) and ours[~here].eq(0).all()
        assert ours[here].eq(0).float().mean() < 0.5
    (gradient,) = torch.autograd.grad(sum(m.pow(3).sum() for m in maps), x)
    assert gradient[~places].eq(0).all() and gradient[places].abs().max() > 0


def test_with_nothing_hidden_sparse_is_dense():
    model = small(depth=2)
    x = normal(2, 1, 16, 24, 16)
    everything = torch.ones(2, 2, 3, 2, dtype=torch.bool)
    for sparse, dense in zip(model.encoder(x, everything), model.encoder(x), strict=True):
        torch.testing.assert_close(sparse, dense, atol=1e-5, rtol=1e-4)


# ---- options


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"img_size": 20}, "multiples of 8 for 3 stages"),
        ({"img_size": 8}, "one of them larger"),
        ({"widths": (16, 24, 32)}, "multiples of 16"),
        ({"widths": (16,)}, "two or more"),
        ({"embed_dim": 3}, "takes no embed_dim. Known:"),
    ],
)
def test_bad_sizes_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        build_model("waveformer", **{**SMALL, **options})


def test_drop_path_grows_from_0_and_rests_outside_training():
    model = small(depth=2, drop_path=0.5)
    rates = [block.drop_path.rate for stage in model.encoder.stages for block in stage]
    assert rates == pytest.approx([0.1 * i for i in range(6)])
    x = normal(2, 1, 16, 24, 16)
    assert torch.equal(model(x), model(x))


def test_bf16_autocast_runs():
    """With a deepest map of some size: of a dozen voxels, the CPU's own bf16 weight gradient of a convolution
    reads memory that nobody has written (torch 2.13), and is now and then not finite."""
    model = small(img_size=(32, 48, 32)).train()
    with torch.autocast("cpu", torch.bfloat16):
        out = model(normal(2, 1, 32, 48, 32))
    out.float().square().mean().backward()
    assert out.isfinite().all() and all(p.grad.isfinite().all() for p in model.parameters())
