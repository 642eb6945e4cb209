"""SparK: nothing hidden is seen at any stage, the loss is the formula's, the encoder goes over as it is."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from studykit.layers.patches import cut
from studykit.masking import upsample_mask
from studykit.methods import build_method, method_versions
from studykit.metrics.compute import count_flops
from studykit.models import MODELS, build_model
from studykit.models.encoder_decoder import EncoderDecoder

SIZES = {
    "residual-unet": {"img_size": 16, "widths": (4, 6, 8), "depths": 1, "stem_stride": 1},
    "waveformer": {"img_size": 16, "widths": (16, 16), "depth": 1, "drop_path": 0.0},
}
ARMS = {
    "sparse": {},
    "zero-filled": {"sparse": False},
    "mask-token": {"sparse": False, "fill": "mask-token"},
}


@pytest.fixture(params=ARMS)
def arm(request):
    return ARMS[request.param]


@pytest.fixture(params=SIZES)
def architecture(request):
    return request.param


def method(model="residual-unet", **options):
    torch.manual_seed(0)
    return build_method("spark", **{"model": model, "decoder_width": 16} | SIZES[model] | options)


def volume(seed=0):
    return torch.randn(2, 1, 16, 16, 16, generator=torch.Generator().manual_seed(seed))


def masks(net, seed=1):
    return net.draw_masks(2, torch.Generator().manual_seed(seed))


def test_masks_hide_the_same_share_of_each_sample_on_the_coarsest_grid():
    net = method()
    mask = masks(net)
    assert mask.shape == (2, *net.grid) == (2, 4, 4, 4)
    assert mask.flatten(1).sum(dim=1).tolist() == [round(0.6 * 64)] * 2
    assert not torch.equal(mask, masks(net, seed=2))
    assert torch.equal(net.draw_masks(2, torch.Generator().manual_seed(1), rows=slice(1, 2)), mask[1:])


def test_hidden_voxels_reach_no_map_and_no_prediction(architecture):
    net = method(architecture).eval()
    x, mask = volume(), masks(net)
    hidden = upsample_mask(mask, net.patch_size)
    changed = torch.where(hidden, volume(seed=9) * 100, x)
    spoilt = x.masked_fill(hidden, float("nan"))
    with torch.no_grad():
        maps = net._paint(x, mask)[0]
        for other in (changed, spoilt):
            assert all(map(torch.equal, maps, net._paint(other, mask)[0]))
            assert torch.equal(net._predict(x, mask), net._predict(other, mask))
        assert not torch.equal(net._predict(x, mask), net._predict(x + volume(seed=3), mask))
    for cells in maps:
        factor = [n // g for n, g in zip(cells.shape[2:], net.grid, strict=True)]
        assert cells[upsample_mask(mask, factor).expand_as(cells)].eq(0).all()


def test_compiled_it_is_one_graph_for_all_masks(architecture):
    net = method(architecture)
    torch._dynamo.reset()
    with torch._dynamo.config.patch(error_on_recompile=True):
        compiled = torch.compile(net, backend="eager", fullgraph=True)
        for seed in (1, 2):
            x, mask = volume(seed), masks(net, seed)
            torch.testing.assert_close(compiled(x, mask), net(x, mask))


def test_dense_arms_do_not_see_hidden_voxels_either(arm):
    net = method(**arm)
    x, mask = volume(), masks(net)
    changed = torch.where(upsample_mask(mask, 4), volume(seed=9), x)
    assert torch.equal(net._predict(x, mask), net._predict(changed, mask))


def test_no_gradient_flows_to_hidden_voxels(architecture):
    net = method(architecture)
    x, mask = volume().requires_grad_(), masks(net)
    net._predict(x, mask).square().sum().backward()
    hidden = upsample_mask(mask, net.patch_size)
    assert x.grad[hidden].eq(0).all()
    assert x.grad[~hidden].ne(0).all()


def test_with_nothing_hidden_sparse_and_dense_maps_are_the_same(architecture):
    net = method(architecture).eval()
    nothing = torch.zeros(2, *net.grid, dtype=torch.bool)
    with torch.no_grad():
        torch.testing.assert_close(
            net._paint(volume(), nothing)[0], net.encode(volume()), atol=2e-5, rtol=1e-4
        )


def test_encoder_weights_go_over_to_the_dense_network_unchanged(architecture):
    net = method(architecture).eval()
    prefix = "model.encoder."
    weights = {n.removeprefix(prefix): w for n, w in net.state_dict().items() if n.startswith(prefix)}
    torch.manual_seed(5)
    dense = build_model(architecture, **SIZES[architecture]).eval()
    assert dense.encoder.load_state_dict(weights)
    with torch.no_grad():
        assert all(map(torch.equal, dense.encode(volume()), net.encode(volume())))
    assert {n.partition(".")[0] for n in net.state_dict()} == {"model", "decoder"}


@pytest.mark.parametrize("normalise", [True, False])
def test_loss_is_the_mean_over_hidden_patches_of_each_patchs_error(normalise):
    net = method(normalise_target=normalise)
    x, mask = volume() * 3 + 1, masks(net)
    prediction = net._predict(x, mask).double()
    errors = []
    for b, i, j, k in mask.nonzero().tolist():
        block = (b, slice(None), *(slice(4 * n, 4 * n + 4) for n in (i, j, k)))
        target = x[block].double()
        if normalise:
            target = (target - target.mean()) / math.sqrt(target.var(correction=0) + 1e-6)
        errors.append((prediction[block] - target).square().mean())
    expected = torch.stack(errors).mean()
    torch.testing.assert_close(net(x, mask)["l2"].double(), expected, atol=0, rtol=1e-5)


def test_a_mask_of_another_share_is_refused():
    net = method()
    with pytest.raises(ValueError, match="128 patches are visible, 52 were expected"):
        net(volume(), torch.zeros(2, *net.grid, dtype=torch.bool))


def test_every_parameter_that_trains_gets_a_gradient(arm, architecture):
    net = method(architecture, **arm)
    net.loss_terms(volume(), torch.Generator().manual_seed(1))["l2"].backward()
    trained = {n: p for n, p in net.named_parameters() if p.requires_grad}
    assert not [n for n, p in trained.items() if p.grad is None or not p.grad.abs().sum() > 0]
    tokens = sorted({n.partition(".")[0] for n in trained if "token" in n})
    assert tokens == (["decoder"] if net.sparse else ["input_token"] if "fill" in arm else [])


def test_arms_start_from_the_same_encoder():
    weights = [method(**arm).model.encoder.state_dict() for arm in ARMS.values()]
    assert all(torch.equal(weights[0][n], other[n]) for other in weights[1:] for n in other)


@pytest.mark.parametrize("normalise", [True, False])
def test_reconstruction_keeps_what_is_visible_and_scores_as_the_loss(normalise):
    net = method(normalise_target=normalise)
    x, mask = volume() * 3 + 1, masks(net)
    painted, hidden = net.reconstruct(x, mask), upsample_mask(mask, 4)
    assert torch.equal(painted[~hidden], x[~hidden]) and not painted.requires_grad
    deviation = F.interpolate(
        cut(x, net.grid).flatten(2).std(dim=-1, correction=0).view(2, 1, *net.grid), scale_factor=4
    )
    scaled = (painted - x) / (deviation if normalise else 1)
    torch.testing.assert_close(scaled[hidden].square().mean(), net(x, mask)["l2"], atol=1e-5, rtol=1e-4)


def test_a_constant_patch_is_no_trouble():
    net = method()
    terms = net(torch.zeros(2, 1, 16, 16, 16), masks(net))
    terms["l2"].backward()
    assert terms["l2"].isfinite()
    assert all(p.grad.isfinite().all() for p in net.parameters() if p.grad is not None)


def test_works_under_bfloat16_autocast(arm):
    net = method(**arm)
    exact = net(volume(), masks(net))["l2"]
    with torch.autocast("cpu", torch.bfloat16):
        loss = net(volume(), masks(net))["l2"]
    loss.backward()
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, exact, atol=0.02, rtol=0.02)


def test_a_sparse_arm_counts_the_operations_of_the_dense_one(architecture):
    sparse, dense = method(architecture), method(architecture, sparse=False)
    for backward in (False, True):
        counted, as_dense = (
            count_flops(net, (1, 1, 16, 16, 16), backward=backward, mask=masks(net)[:1])
            for net in (sparse, dense)
        )
        assert counted == as_dense
    alone = build_model(architecture, **SIZES[architecture])
    whole = count_flops(alone, (1, 1, 16, 16, 16)).by_module["encoder"]
    assert counted.by_module["model.encoder"] == whole > 0


class DenseOnly(EncoderDecoder):
    """An architecture whose encoder takes no mask."""

    def __init__(self, img_size, in_channels):
        super().__init__()
        self.encoder = nn.Conv3d(in_channels, 4, 1)


def test_bad_options_are_named(monkeypatch):
    with pytest.raises(ValueError, match="Unknown fill 'noise'"):
        method(fill="noise", sparse=False)
    with pytest.raises(ValueError, match="needs sparse=False"):
        method(fill="mask-token")
    with pytest.raises(ValueError, match="'dense-only' has no sparse encoder"):
        monkeypatch.setitem(MODELS, "dense-only", DenseOnly)
        build_method("spark", model="dense-only", img_size=16)
    with pytest.raises(ValueError, match="Known: "):
        build_method("spark", model="resnet")
    assert method_versions("spark", {}) == {"method": 1, "model": 1}
