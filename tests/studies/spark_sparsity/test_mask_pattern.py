"""What a mask does to activations: by hand on small maps, and on an encoder whose answer is known."""

import math

import pytest
import torch
from torch import nn

from studykit.layers.patch_conv import PatchSparseConv3d
from studykit.layers.visibility import hide, visible_at
from studykit.models import build_model
from studykit.studies.spark_sparsity.mask_pattern import (
    WAYS,
    largest_changes,
    layers_of,
    mask_effects,
    nonzero_share,
    replacements,
    shift_and_spread,
    three_readings,
    with_backend,
    without_norms,
)


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return build_model("residual-unet", img_size=32, widths=(4, 6, 8)).encoder.eval()


def crops(seed=0):
    return torch.randn(2, 1, 32, 32, 32, generator=torch.Generator().manual_seed(seed))


def some_visible(seed=1):
    order = torch.rand(2, 64, generator=torch.Generator().manual_seed(seed)).argsort(dim=1)
    return (order < 26).view(2, 4, 4, 4)


def one_corner():
    """The first of 2 × 1 × 1 patches of one sample is visible."""
    return torch.tensor([True, False]).view(1, 2, 1, 1)


def test_shift_is_counted_in_deviations_of_the_unmasked_visible_places_channel_by_channel():
    whole = torch.tensor([[0.0, 2.0, 99.0, 99.0], [1.0, 5.0, 99.0, 99.0]]).view(1, 2, 4, 1, 1)
    masked = torch.tensor([[3.0, 5.0, 0.0, 7.0], [-3.0, 5.0, 0.0, 7.0]]).view(1, 2, 4, 1, 1)
    # Deviations 1 and 2; the means move from 1 to 4 and from 3 to 1; deviations become 1 and 4.
    assert shift_and_spread(whole, masked, one_corner()) == pytest.approx(((3 + 1) / 2, (1 + 2) / 2))


def test_a_shift_does_not_cancel_between_channels_and_a_constant_channel_is_left_out():
    whole = torch.tensor([[0.0, 2.0], [0.0, 2.0], [5.0, 5.0]]).view(1, 3, 2, 1, 1)
    masked = whole + torch.tensor([1.0, -1.0, 9.0]).view(1, 3, 1, 1, 1)
    everything = torch.ones(1, 1, 1, 1, dtype=torch.bool)
    assert shift_and_spread(whole, masked, everything) == pytest.approx((1, 1))


def test_a_hidden_place_counts_where_any_channel_is_not_zero_and_visible_ones_never():
    masked = torch.tensor([[1.0, 1.0, 0.0, 0.0], [1.0, 1.0, 0.0, -2.0]]).view(1, 2, 4, 1, 1)
    assert nonzero_share(masked, one_corner()) == 0.5
    assert nonzero_share(hide(masked, one_corner()), one_corner()) == 0


def test_layers_are_the_stem_and_every_block_and_the_last_of_a_stage_is_its_map(encoder):
    layers = layers_of(encoder)
    assert list(layers) == ["stem", "1.1", "1.2", "2.1", "2.2", "3.1", "3.2"]
    found = {}
    for name in ("1.2", "2.2", "3.2"):
        layers[name].register_forward_hook(lambda m, i, output, name=name: found.update({name: output}))
    maps = encoder(crops())
    assert all(map(torch.equal, maps, found.values()))


def test_effects_at_a_stage_are_those_of_the_encoders_own_maps(encoder):
    x, visible = crops(), some_visible()
    effects = {(e.layer, e.way): e for e in mask_effects(encoder, x, visible)}
    assert len(effects) == 7 * len(WAYS)
    with torch.no_grad():
        whole, dense, sparse = encoder(x), encoder(hide(x, visible)), encoder(x, visible)
    for stage, layer in enumerate(("1.2", "2.2", "3.2")):
        for way, maps in zip(WAYS, (dense, sparse), strict=True):
            effect = effects[layer, way]
            shift, spread = shift_and_spread(whole[stage], maps[stage], visible)
            assert (effect.shift, effect.spread) == pytest.approx((shift, spread), rel=1e-4)
            assert effect.nonzero == nonzero_share(maps[stage], visible)


def test_sparse_layers_keep_the_mask_and_norms_lose_it_at_once_when_dense(encoder):
    effects = mask_effects(encoder, crops(), some_visible())
    nonzero = {way: [e.nonzero for e in effects if e.way == way] for way in WAYS}
    assert nonzero["sparse"] == [0] * 7
    assert nonzero["zero-filled"] == [1] * 7


def test_without_norms_the_mask_is_lost_as_far_as_kernels_reach_and_the_first_convolution_is_the_same(
    encoder,
):
    bare = without_norms(encoder)
    effects = mask_effects(bare, crops(), some_visible())
    dense = [e for e in effects if e.way == "zero-filled"]
    assert 0 < dense[0].nonzero < dense[1].nonzero <= dense[2].nonzero == 1
    stem = [e for e in effects if e.layer == "stem"]
    assert stem[0].shift == pytest.approx(stem[1].shift) and stem[0].shift > 0
    assert isinstance(encoder.stem.norm, nn.InstanceNorm3d) and torch.equal(
        bare.stem.conv.weight, encoder.stem.conv.weight
    )


def test_a_copy_with_another_backend_has_the_same_weights_and_leaves_the_first_alone(encoder):
    twin = with_backend(encoder, "masked_dense")
    assert {m.backend for m in twin.modules() if isinstance(m, PatchSparseConv3d)} == {"masked_dense"}
    assert {m.backend for m in encoder.modules() if isinstance(m, PatchSparseConv3d)} == {"halo"}
    with torch.no_grad():
        for ours, other in zip(encoder(crops(), some_visible()), twin(crops(), some_visible()), strict=True):
            torch.testing.assert_close(ours, other, atol=1e-4, rtol=1e-4)


def test_nothing_to_compare_is_refused(encoder):
    with pytest.raises(ValueError, match="got 128 visible of 128"):
        mask_effects(encoder, crops(), torch.ones(2, 4, 4, 4, dtype=torch.bool))
    with pytest.raises(ValueError, match="got 0 visible"):
        mask_effects(encoder, crops(), torch.zeros(2, 4, 4, 4, dtype=torch.bool))


def test_a_leak_is_relative_to_the_largest_visible_output_and_only_visible_places_count():
    visible = one_corner()
    x = torch.tensor([1.0, -4.0, 8.0, 8.0]).view(1, 1, 4, 1, 1)
    others = torch.full_like(x, 10.0)

    def blurred(volume):
        shifted = volume.roll(-1, dims=2)
        return [volume, volume + shifted]

    # The second map is -3, 4 at visible places; the second of them moves by 2 with its hidden neighbour.
    assert largest_changes(blurred, x, others, visible) == pytest.approx([0, 2 / 4])


def test_the_sparse_encoder_leaks_nothing_and_a_dense_one_that_is_not_masked_does(encoder):
    x, visible = crops(), some_visible()
    for others in (100 * crops(5), torch.full_like(x, math.nan)):
        assert largest_changes(lambda v: encoder(v, visible), x, others, visible) == [0, 0, 0]
    assert min(largest_changes(encoder, x, crops(5), visible)) > 0.01
    assert largest_changes(encoder, x, torch.full_like(x, math.nan), visible) == [math.inf] * 3
    assert visible_at(visible, x.shape[2:]).any()


def test_three_readings_show_what_each_way_sees(encoder):
    crop, visible = crops()[:1], some_visible()[:1]
    ways = three_readings(encoder, crop, visible)
    assert list(ways) == ["no mask", *WAYS]
    assert torch.equal(ways["zero-filled"][0], hide(crop, visible)) and torch.equal(ways["no mask"][0], crop)
    for (_, maps), expected in zip(
        ways.values(),
        (encoder(crop), encoder(hide(crop, visible)), encoder(crop, visible)),
        strict=True,
    ):
        assert all(torch.equal(a, b) for a, b in zip(maps, expected, strict=True))


def test_replacements_have_the_crops_shape_and_one_is_no_number():
    found = replacements(crops(), torch.Generator().manual_seed(0))
    assert {own.shape for own in found.values()} == {crops().shape}
    assert torch.equal(found["as they are, again"], crops()) and found["not a number"].isnan().all()
    assert torch.equal(found["noise × 1000"], 1000 * found["noise"])
