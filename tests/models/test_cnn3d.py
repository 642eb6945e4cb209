"""The plain CNN has the U-Net's encoder and no way around the coarsest map."""

import torch

from studykit.models import build_model

SMALL = {"img_size": 16, "num_classes": 3, "channels": (4, 8, 16)}


def test_its_encoder_is_the_unets():
    torch.manual_seed(0)
    ours, plain = build_model("cnn3d", **SMALL), build_model("unet", **SMALL)
    plain.encoder.load_state_dict(ours.encoder.state_dict())
    x = torch.randn(1, 1, 16, 16, 16)
    assert all(torch.equal(a, b) for a, b in zip(ours.encode(x), plain.encode(x), strict=True))


def test_nothing_but_the_coarsest_map_reaches_the_scores():
    torch.manual_seed(0)
    model = build_model("cnn3d", **SMALL)
    maps = [m.detach().requires_grad_() for m in model.encode(torch.randn(1, 1, 16, 16, 16))]
    out = model.head(model.decoder(maps))
    assert out.shape == (1, 3, 16, 16, 16)
    out.square().sum().backward()
    assert [m.grad is not None for m in maps] == [False, False, True]
