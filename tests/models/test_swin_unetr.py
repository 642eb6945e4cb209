"""Our SwinUNETR is MONAI's, weights in and out; its switches start where it does."""

import pytest
import torch

from studykit.methods import build_method
from studykit.models import build_model
from studykit.models.monai_swin import from_monai, to_monai

TINY = {
    "img_size": 16,
    "num_classes": 3,
    "feature_size": 6,
    "depths": (2, 1),
    "num_heads": (1, 2),
    "window_size": 3,
}
SWITCHES = [
    {"attention": "temperature"},
    {"attention": "conditioned"},
    {"fusion": "scalars"},
    {"fusion": "selective", "kernels": (3, 5)},
    {"attention": "conditioned", "fusion": "selective"},
]


def tiny(**options):
    torch.manual_seed(0)
    return build_model("swin-unetr", **{**TINY, **options})


def image(*size, channels=1, batch=1, dtype=torch.float32):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(batch, channels, *size, generator=generator, dtype=dtype)


def monais(use_v2=False, window=7, feature_size=12, **options):
    """MONAI's SwinUNETR in float64 with every parameter random, norms and biases too."""
    from monai.networks.nets import SwinUNETR

    network = SwinUNETR(
        in_channels=2, out_channels=3, feature_size=feature_size, num_heads=(1, 2, 3, 4), window_size=window,
        use_v2=use_v2, **options,
    ).double()  # fmt: skip
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(0.2 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return network


def ours(size, **options):
    options = {"in_channels": 2, "num_classes": 3, "feature_size": 12, "num_heads": (1, 2, 3, 4), **options}
    return build_model("swin-unetr", img_size=size, **options).double()


# Of grids 16x32x16 to 2x4x2: windows of 7 are padded, shifted and clipped; so are 3x4x5, each axis otherwise.
@pytest.mark.filterwarnings("ignore:torch.meshgrid")
@pytest.mark.parametrize(
    ("size", "window", "use_v2", "downsample", "normalize"),
    [
        ((32, 64, 32), 7, False, "merging", True),
        ((32, 64, 32), (3, 4, 5), True, "mergingv2", False),
    ],
)
def test_with_monais_weights_it_gives_monais_output_and_gradients(
    size, window, use_v2, downsample, normalize
):
    theirs = monais(use_v2, window, downsample=downsample, normalize=normalize)
    mine = ours(size, window_size=window, use_v2=use_v2, normalize=normalize)
    from_monai(mine, theirs.state_dict(), downsample)
    found = []
    for network in (theirs, mine):
        x = image(*size, channels=2, dtype=torch.float64).requires_grad_()
        out = network(x)
        (out * torch.linspace(-1, 2, out.numel(), dtype=torch.float64).view_as(out)).mean().backward()
        found.append((out, x.grad))
    for expected, got in zip(*found, strict=True):
        assert (got - expected).abs().max() < 1e-10 * expected.abs().max()
    for parameter in mine.parameters():
        parameter.data = parameter.grad
    gradients, expected = to_monai(mine, downsample), dict(theirs.named_parameters())
    assert gradients.keys() == expected.keys()
    for name, gradient in gradients.items():
        assert (gradient - expected[name].grad).abs().max() <= 1e-9 * expected[name].grad.abs().max(), name


def test_a_checkpoint_of_other_sizes_is_named():
    state = monais().state_dict()
    crop = (64, 32, 32)
    for options, words in [
        ({"feature_size": 24}, "feature_size 12, the model 24"),
        ({"in_channels": 1}, "in_channels 2, the model 1"),
        ({"num_classes": 4}, "num_classes 3, the model 4"),
        ({"num_heads": (2, 2, 3, 4)}, r"num_heads \(1, 2, 3, 4\), the model \(2, 2, 3, 4\)"),
        ({"window_size": 5}, "window_size of 2197 offsets, the model of 729"),
        ({"use_v2": True}, r"lacks swinViT.layers1c.* use_v2=False\?"),
        ({"depths": (2, 2, 2)}, "has 4 stages, this one 3"),
    ]:
        with pytest.raises(ValueError, match=words):
            from_monai(ours(crop, **options), state)
    with pytest.raises(ValueError, match=r"no place for swinViT.layers1c.* use_v2=True\?"):
        from_monai(ours(crop), monais(use_v2=True).state_dict())
    with pytest.raises(ValueError, match=r"Unknown downsample 'pooling'\. Known: merging, mergingv2"):
        from_monai(ours(crop), state, "pooling")


def test_switches_keep_their_own_weights_and_do_not_go_out():
    crop, state = (64, 32, 32), monais().state_dict()
    plain = ours(crop, num_heads=(1, 2, 3, 4))
    switched = ours(crop, fusion="scalars", attention="temperature")
    for network in (plain, switched):
        from_monai(network, state)
    x = image(*crop, channels=2, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(switched(x), plain(x), rtol=0, atol=1e-11)
    with pytest.raises(ValueError, match="neither fusion nor adaptive attention, so no place for encoder"):
        to_monai(switched)


@pytest.mark.parametrize("options", SWITCHES)
def test_a_switch_starts_at_the_plain_networks_function_and_learns(options):
    plain, switched = tiny().double(), tiny(**options).double()
    missing, unexpected = switched.load_state_dict(plain.state_dict(), strict=False)
    assert missing and not unexpected
    x = image(16, 16, 16, batch=2, dtype=torch.float64)
    with torch.no_grad():
        before = plain(x)
        torch.testing.assert_close(switched(x), before, rtol=0, atol=1e-12)
    optimizer = torch.optim.SGD(switched.parameters(), 0.1)
    start = {name: switched.get_parameter(name).clone() for name in missing}
    for _ in range(3):
        optimizer.zero_grad()
        switched(x).square().mean().backward()
        optimizer.step()
    for name in missing:
        assert not torch.equal(switched.get_parameter(name), start[name]), name


def test_cosine_attention_starts_near_the_plain_networks_function():
    plain, cosine = tiny(), tiny(attention="cosine")
    cosine.load_state_dict(plain.state_dict(), strict=False)
    with torch.no_grad():
        off = (cosine(image(16, 16, 16)) - plain(image(16, 16, 16))).norm() / plain(image(16, 16, 16)).norm()
    assert 1e-6 < off < 0.05


@pytest.mark.parametrize("size", [(9, 20, 17), (24, 24, 24), (6, 4, 11)])
def test_crops_that_do_not_halve_are_taken_too(size):
    network, x = tiny(img_size=size, fusion="scalars"), image(*size)
    maps = network.encode(x)
    assert [tuple(m.shape[2:]) for m in maps] == list(network.grids)
    assert tuple(m.shape[1] for m in maps) == network.channels
    assert network(x).shape == (1, 3, *size)


def test_it_trains_under_labels():
    torch.manual_seed(0)
    method = build_method(
        "supervised", model="swin-unetr", **TINY, fusion="selective", attention="conditioned"
    )
    batch = torch.cat([image(16, 16, 16, batch=2), torch.randint(3, (2, 1, 16, 16, 16)).float()], dim=1)
    terms = method(batch)
    sum(terms.values()).backward()
    assert all(parameter.grad is not None for parameter in method.parameters())
    weights = method.model.fusion_weights(batch[:, :1])
    torch.testing.assert_close(weights.sum(1), torch.ones(2, 8))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"img_size": 8}, r"coarsest map of \(1, 1, 1\) cells after 2 stages"),
        ({"depths": (1, 1, 1)}, "an entry for each of 3 stages"),
        ({"num_heads": (4, 2)}, r"dim \(6\) must be a multiple of num_heads \(4\)"),
        ({"fusion": "sum"}, r"Unknown fusion 'sum'\. Known: none, scalars, selective"),
        ({"attention": "hard"}, r"Unknown attention 'hard'\. Known: conditioned, cosine, dot, temperature"),
        ({"fusion": "scalars", "kernels": (3, 4)}, r"two kernels or more, all odd, got \(3, 4\)"),
    ],
)
def test_options_that_do_not_fit_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        tiny(**options)


def test_another_crop_than_it_was_built_for_is_named():
    with pytest.raises(ValueError, match=r"built for crops of \(16, 16, 16\) voxels, got \(16, 16, 18\)"):
        tiny()(image(16, 16, 18))
    with pytest.raises(ValueError, match="has no fusion"):
        tiny().fusion_weights(image(16, 16, 16))
