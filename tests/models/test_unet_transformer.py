"""The U-Net's bottleneck sees the whole crop by its transformer; without blocks it is the U-Net."""

import pytest
import torch

from studykit.models import build_model

SMALL = {"img_size": 16, "num_classes": 3, "channels": (4, 8, 16), "num_heads": 2}


def image(*size):
    return torch.randn(1, 1, *size, generator=torch.Generator().manual_seed(1))


def test_its_outer_parts_are_the_unets():
    torch.manual_seed(0)
    ours = build_model("unet-transformer", **SMALL)
    plain = build_model("unet", **{k: v for k, v in SMALL.items() if k != "num_heads"})
    missing, unexpected = plain.load_state_dict(ours.state_dict(), strict=False)
    assert not missing
    assert {name.split(".")[1] for name in unexpected} == {"positions", "blocks", "norm"}
    maps, expected = ours.encode(image(16, 16, 16)), plain.encode(image(16, 16, 16))
    assert all(torch.equal(a, b) for a, b in zip(maps[:-1], expected[:-1], strict=True))
    assert maps[-1].shape == expected[-1].shape and not torch.allclose(maps[-1], expected[-1])


def test_places_and_order_of_tokens_are_kept():
    torch.manual_seed(0)
    model = build_model("unet-transformer", **{**SMALL, "img_size": (16, 8, 24), "depth": 0})
    x = image(16, 8, 24)
    coarsest = super(type(model.encoder), model.encoder).forward(x)[-1]
    expected = torch.nn.functional.layer_norm(
        coarsest.permute(0, 2, 3, 4, 1) + model.encoder.positions.view(4, 2, 6, 16), (16,)
    )
    torch.testing.assert_close(model.encode(x)[-1].permute(0, 2, 3, 4, 1), expected)


def test_one_corner_reaches_the_other_only_by_the_transformer():
    def moved(name, **options):
        torch.manual_seed(0)
        model = build_model(name, **{**SMALL, "img_size": 32, **options})
        x = image(32, 32, 32).requires_grad_()
        # Norms over the map let everything reach everything; without them it is convolutions or attention.
        for module in model.modules():
            if isinstance(module, torch.nn.InstanceNorm3d):
                module.forward = lambda x: x
        model.encode(x)[-1][0, 0, 0, 0, 0].backward()
        return x.grad[0, 0, -4:, -4:, -4:].abs().max()

    assert moved("unet-transformer") > 0
    assert moved("unet-transformer", depth=0) == 0


def test_another_crop_is_named():
    model = build_model("unet-transformer", **SMALL)
    with pytest.raises(ValueError, match=r"coarsest map of \(4, 4, 4\) cells, got \(4, 4, 2\)"):
        model(image(16, 16, 8))
    with pytest.raises(ValueError, match=r"multiple of num_heads \(3\)"):
        build_model("unet-transformer", **{**SMALL, "num_heads": 3})
