"""Masked pre-training of encoder-decoders: no leak, the loss by hand, what each way with skips does."""

import pytest
import torch
import torch.nn.functional as F

from studykit.masking import num_masked, random_patch_mask, upsample_mask
from studykit.methods import build_method
from studykit.models import build_model

SMALL = {
    "nnformer": {"embed_dim": 12, "num_heads": (1, 1, 2, 2), "stem_stride": 2, "drop_path": 0.0},
    "unet": {"channels": (4, 8, 16)},
}


def built(model="nnformer", seed=0, **options):
    torch.manual_seed(seed)
    options = {"img_size": 32, "mask_block": 8, **SMALL[model], **options}
    return build_method("masked-volume", model=model, **options)


def volume(seed=0, batch=2, channels=1, size=(32, 32, 32)):
    return torch.randn(batch, channels, *size, generator=torch.Generator().manual_seed(seed))


def drawn(method, batch=2):
    return method.draw_masks(batch, torch.Generator().manual_seed(1))


@pytest.fixture(params=sorted(SMALL))
def model(request):
    return request.param


@pytest.mark.parametrize("skips", ["drop", "zero", "keep"])
def test_hidden_voxels_cannot_reach_the_output(model, skips):
    pytest.importorskip("monai")
    method = built(model, skips=skips)
    x, mask = volume(), drawn(method)
    hidden = upsample_mask(mask, method.block)
    outputs = []
    method.model.head.register_forward_hook(lambda _, __, output: outputs.append(output))
    with torch.no_grad():
        for changed in (x, torch.where(hidden, float("nan"), x), torch.where(hidden, x, x + 1)):
            method.reconstruct(changed, mask)
    assert outputs[0].isfinite().all()
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], outputs[2])


def test_no_gradient_flows_from_the_output_to_hidden_voxels(model):
    pytest.importorskip("monai")
    method = built(model, skips="keep")
    x, mask = volume().requires_grad_(), drawn(method)
    outputs = []
    method.model.head.register_forward_hook(lambda _, __, output: outputs.append(output))
    method(x, mask)
    (gradient,) = torch.autograd.grad(outputs[0].square().sum(), x)
    hidden = upsample_mask(mask, method.block)
    assert gradient[hidden].abs().max() == 0
    assert gradient[~hidden].abs().max() > 0


@pytest.mark.parametrize(("loss", "power"), [("l1", 1), ("l2", 2)])
@pytest.mark.parametrize("foreground_only", [False, True])
def test_loss_by_brute_force(loss, power, foreground_only):
    method = built(loss=loss, foreground_only=foreground_only, in_channels=2).double()
    x, mask = volume(channels=2).double(), drawn(method)
    x[:, :, :, 10:20] = -3.0
    x[1, 0, :, 10:20] = 0.5
    painted = method.reconstruct(x, mask)
    found = method(x, mask)
    assert list(found) == [loss]
    errors = []
    for sample in range(2):
        smallest = x[sample].min()
        for place in mask[sample].nonzero().tolist():
            block = (slice(None), *(slice(8 * n, 8 * n + 8) for n in place))
            truth, error = x[sample][block], (painted - x)[sample][block].abs() ** power
            kept = (truth > smallest + 1e-3).any(dim=0) if foreground_only else torch.ones_like(truth[0]) > 0
            errors.append(error[:, kept].flatten())
    torch.testing.assert_close(
        found[loss], torch.cat(errors).mean().to(found[loss].dtype), atol=1e-6, rtol=1e-6
    )


def test_the_shown_voxels_are_painted_as_they_are():
    method = built()
    x, mask = volume(), drawn(method)
    painted, hidden = method.reconstruct(x, mask), upsample_mask(mask, method.block)
    assert torch.equal(painted[~hidden], x[~hidden])
    assert not painted.requires_grad
    assert painted[hidden].std() > 0


def test_nothing_to_predict_is_a_loss_of_zero_with_a_gradient():
    method = built(foreground_only=True)
    x = torch.zeros(1, 1, 32, 32, 32)
    x[..., :8, :8, :8] = 1.0
    mask = torch.ones(1, *method.grid, dtype=torch.bool)
    mask[0, 0, 0, 0] = False
    loss = method(x, mask)["l2"]
    loss.backward()
    assert loss == 0
    assert all(p.grad is not None and p.grad.abs().max() == 0 for p in method.parameters())


def test_masks_hide_their_share_and_the_generator_decides():
    method = built(mask_ratio=0.3, mask_block=(8, 16, 8))
    assert method.grid == (4, 2, 4)
    mask = drawn(method, batch=5)
    assert mask.shape == (5, 4, 2, 4)
    assert mask.flatten(1).sum(dim=1).tolist() == [num_masked((4, 2, 4), 0.3)] * 5 == [10] * 5
    assert torch.equal(mask, random_patch_mask((4, 2, 4), 0.3, 5, torch.Generator().manual_seed(1)))
    generator = torch.Generator().manual_seed(1)
    part = method.draw_masks(5, generator, volume(batch=2), slice(1, 3))
    assert torch.equal(part, mask[1:3])
    assert not torch.equal(method.draw_masks(5, generator), mask)


def test_the_default_block_is_a_cell_of_the_coarsest_map():
    pytest.importorskip("monai")
    assert built(mask_block=None).block == (16, 16, 16)
    assert built(mask_block=None).grid == (2, 2, 2)
    assert built("unet", mask_block=None).block == (4, 4, 4)
    flat = built(
        mask_block=None, img_size=(8, 32, 32), stem_stride=(1, 2, 2), stage_strides=((1, 2, 2), 2, 2)
    )
    assert (flat.block, flat.grid) == ((4, 16, 16), (2, 2, 2))


def test_what_each_way_with_skips_lets_through(model):
    pytest.importorskip("monai")
    seen = {}
    for skips in ("drop", "zero", "keep"):
        method = built(model, skips=skips)
        mask = drawn(method)
        hook = method.model.decoder.register_forward_pre_hook
        hook(lambda _, inputs, skips=skips: seen.update({skips: inputs[0]}))
        method.reconstruct(volume(), mask)
    shown = (~upsample_mask(mask, method.block)).float()
    cells = [F.max_pool3d(shown, stride) for stride in method.model.strides[:-1]]
    for kept, zeroed, dropped, holds in zip(
        seen["keep"][:-1], seen["zero"][:-1], seen["drop"][:-1], cells, strict=True
    ):
        assert torch.equal(zeroed, kept * holds)
        assert (dropped == 0).all()
    assert (cells[0] == 0).any()
    for skips in ("zero", "drop"):
        assert torch.equal(seen[skips][-1], seen["keep"][-1])


@pytest.mark.parametrize("skips", ["drop", "zero", "keep"])
def test_every_parameter_gets_a_gradient_and_the_encoder_learns(model, skips):
    pytest.importorskip("monai")
    method = built(model, skips=skips, learned_token=True)
    sum(method.loss_terms(volume(), torch.Generator().manual_seed(1)).values()).backward()
    assert not [name for name, p in method.named_parameters() if p.grad is None]
    dead = [n for n, p in method.named_parameters() if not p.grad.abs().max() > 0]
    if skips != "drop":
        assert not dead
    else:
        assert all(".encoder.norms." in name or ".attn.kv.weight" in name for name in dead)


def test_a_learned_token_is_painted_over_hidden_voxels_only():
    method = built(learned_token=True, in_channels=2)
    seen = []
    method.model.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    x, mask = volume(channels=2), drawn(method)
    hidden = upsample_mask(mask, method.block).expand_as(x)
    method(x, mask)
    assert (seen[-1][hidden] == 0).all()
    torch.nn.init.constant_(method.token, 2.5)
    method(x, mask)
    assert (seen[-1][hidden] == 2.5).all()
    assert torch.equal(seen[-1][~hidden], x[~hidden])
    assert set(method.state_dict()) - {"token"} == set(built(in_channels=2).state_dict())


def test_all_but_the_head_fits_the_segmentation_model():
    method = built(learned_token=True)
    target = build_model("nnformer", img_size=32, num_classes=5, deep_supervision=True, **SMALL["nnformer"])
    body = {n: v for n, v in method.model.state_dict().items() if not n.startswith("head.")}
    outcome = target.load_state_dict(body, strict=False)
    assert not outcome.unexpected_keys
    assert all(name.startswith("head.") for name in outcome.missing_keys)


def test_encode_gives_the_maps_of_the_whole_volume():
    method = built()
    maps = method.encode(volume())
    assert [m.shape[1] for m in maps] == list(method.model.channels)
    assert not torch.equal(maps[-1], method.encode(volume(seed=3))[-1])


def test_works_under_bfloat16_autocast():
    method = built()
    x, mask = volume(), drawn(method)
    exact = method(x, mask)["l2"]
    with torch.autocast("cpu", torch.bfloat16):
        loss = method(x, mask)["l2"]
        method.reconstruct(x, mask)
    loss.backward()
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, exact, atol=0.02, rtol=0.02)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"loss": "mvc"}, "Unknown loss 'mvc'. Known: l1, l2"),
        ({"skips": "halve"}, "Unknown skips 'halve'. Known: drop, zero, keep"),
        ({"mask_block": 12}, r"img_size \(32, 32, 32\) must be a multiple of mask_block \(12, 12, 12\)"),
        ({"mask_block": 0}, "multiple of mask_block"),
        ({"mask_block": 32}, "too small to mask"),
        ({"mask_ratio": 1.0}, "mask_ratio must lie strictly"),
        ({"num_classes": 3}, "sets the model's num_classes itself"),
        ({"deep_supervision": True}, "sets the model's deep_supervision itself"),
        ({"depht": 3}, "Model 'nnformer' takes no depht"),
    ],
)
def test_bad_options_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        built(**options)


def test_an_unknown_model_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"Unknown model 'vnet'\. Known: .*nnformer"):
        build_method("masked-volume", model="vnet")
