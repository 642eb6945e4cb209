"""Our U-Net is MONAI's BasicUNet with any number of levels, in parts that can be transferred."""

import pytest
import torch

from studykit.models import build_model

SMALL = {"img_size": 16, "num_classes": 3, "channels": (4, 8, 16)}


def monai_name(name: str, levels: int) -> str:
    part, _, rest = name.partition(".")
    if part == "head":
        return f"final_conv.{rest}"
    level, _, rest = rest.removeprefix("levels.").partition(".")
    if part == "decoder":
        return f"upcat_{levels - 1 - int(level)}.{rest}"
    return f"down_{level}.{rest}" if int(level) else f"conv_0.{rest}"


def test_with_five_levels_it_is_monais_basic_unet():
    from monai.networks.nets import BasicUNet

    torch.manual_seed(0)
    channels = (2, 4, 6, 8, 10)
    ours = build_model("unet", img_size=32, in_channels=2, num_classes=3, channels=channels)
    theirs = BasicUNet(3, in_channels=2, out_channels=3, features=(*channels, channels[0]))
    theirs.load_state_dict({monai_name(name, 5): value for name, value in ours.state_dict().items()})
    x = torch.randn(1, 2, 32, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs(x))


def test_maps_have_the_channels_and_strides_it_states():
    model = build_model("unet", img_size=(16, 8, 16), channels=(4, 8, 16))
    x = torch.randn(2, 1, 16, 8, 16)
    maps = model.encode(x)
    assert tuple(m.shape[1] for m in maps) == model.channels == (4, 8, 16)
    for m, stride in zip(maps, model.strides, strict=True):
        assert tuple(m.shape[2:]) == tuple(n // s for n, s in zip((16, 8, 16), stride, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(maps, model.encoder(x), strict=True))
    assert model(x).shape == (2, 1, 16, 8, 16)
    assert torch.equal(model(x), model.head(model.decoder(maps)))


def test_every_weight_is_in_one_of_three_parts_and_is_used():
    torch.manual_seed(0)
    model = build_model("unet", **SMALL)
    assert {name.split(".")[0] for name in model.state_dict()} == {"encoder", "decoder", "head"}
    model(torch.randn(2, 1, 16, 16, 16)).square().mean().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("channels", [(16, 32, 64), (16, 32, 64, 128)])
def test_sizes_that_studies_use(channels):
    model = build_model("unet", img_size=32, num_classes=2, channels=channels).train()
    assert model(torch.randn(2, 1, 32, 32, 32)).shape == (2, 2, 32, 32, 32)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"img_size": 18}, r"multiples of 4 for 3 levels, .*, got 18"),
        ({"img_size": 4}, r"larger than that along one axis, got 4"),
        ({"img_size": (16, 16)}, r"multiples of 4 .* got \(16, 16\)"),
        ({"channels": (4,)}, r"two levels or more, got channels \(4,\)"),
    ],
)
def test_sizes_that_cannot_be_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        build_model("unet", **{**SMALL, **options})
