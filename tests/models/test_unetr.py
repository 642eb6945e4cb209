"""UNETR: its decoder is MONAI's, its encoder the pre-trained transformer, for patches of any power of two."""

import pytest
import torch
from torch import nn

from studykit.methods import build_method
from studykit.models import build_model
from studykit.training.transfer import transfer_weights

SIZES = {"patch_size": 8, "embed_dim": 24, "depth": 3, "num_heads": 2}
UNETR = {**SIZES, "img_size": 16, "num_classes": 3, "feature_size": 4}
PARTS = {
    "image": "encoder1", "lifts.0": "encoder2", "lifts.1": "encoder3", "lifts.2": "encoder4",
    "levels.0": "decoder5", "levels.1": "decoder4", "levels.2": "decoder3", "levels.3": "decoder2",
}  # fmt: skip


class Told(nn.Module):
    """A transformer that says what it was told, as MONAI's says it: last tokens, and all before."""

    def __init__(self, hidden):
        super().__init__()
        self.hidden = hidden

    def forward(self, x):
        return self.hidden[-1], self.hidden


def renamed(weights):
    """State of our decoder and head by MONAI's names."""
    for name, value in weights.items():
        if name.startswith("head."):
            yield f"out.conv.conv.{name.removeprefix('head.')}", value
        elif name.startswith("decoder."):
            inner = name.removeprefix("decoder.")
            part = next(part for part in PARTS if inner.startswith(f"{part}."))
            rest = inner.removeprefix(f"{part}.").removesuffix("weight") + "conv.weight"
            if part.startswith("levels"):
                rest = (
                    rest.replace("block.", "conv_block.", 1) if rest.startswith("block") else f"transp_{rest}"
                )
            elif part == "image":
                rest = f"layer.{rest}"
            elif rest.startswith("0."):
                rest = rest.replace("0.", "transp_conv_init.", 1)
            else:
                number, inside = rest.split(".", 1)
                block, place = divmod(int(number) - 1, 2)
                rest = f"blocks.{block}.{place}.{inside}"
            yield f"{PARTS[part]}.{rest}", value


def test_with_patches_of_16_decoder_and_wiring_are_monais():
    from monai.networks.nets import UNETR as Theirs

    torch.manual_seed(0)
    sizes = {"embed_dim": 12, "num_heads": 2, "depth": 12, "feature_size": 2}
    ours = build_model("unetr", img_size=32, patch_size=16, in_channels=2, num_classes=3, **sizes).double()
    theirs = Theirs(2, 3, 32, feature_size=2, hidden_size=12, mlp_dim=24, num_heads=2)
    x = torch.randn(2, 2, 32, 32, 32, dtype=torch.float64)
    assert list(ours.encoder.taps) == [3, 6, 9]
    ours.encoder.taps = (4, 7, 10)  # MONAI's
    theirs.vit = Told([tokens for tokens in ours.encoder.tokens_after(x, range(1, 12))])
    theirs = theirs.double()
    theirs.load_state_dict(dict(renamed(ours.state_dict())))
    torch.testing.assert_close(ours(x), theirs(x))


@pytest.mark.parametrize("patch_size", [2, 4, 8, 16])
def test_scores_have_the_images_resolution_and_every_weight_is_used(patch_size):
    torch.manual_seed(0)
    model = build_model("unetr", **{**UNETR, "patch_size": patch_size, "img_size": (16, 16, 32)})
    scores = model(torch.randn(1, 1, 16, 16, 32))
    assert scores.shape == (1, 3, 16, 16, 32)
    scores.square().mean().backward()
    unused = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert not unused


def test_maps_come_from_equal_shares_of_the_blocks():
    torch.manual_seed(0)
    model = build_model("unetr", **UNETR).eval()
    x = torch.randn(2, 1, 16, 16, 16)
    image, first, second, last = model.encode(x)
    assert image is x and list(model.encoder.taps) == [1, 2]
    vit = build_model("vit", **SIZES, img_size=16)
    vit.encoder.load_state_dict(model.encoder.state_dict())
    torch.testing.assert_close(last.flatten(2).transpose(1, 2), vit.encode(x))
    blocks, norm = vit.encoder.blocks, vit.encoder.norm
    vit.encoder.norm = nn.Identity()
    for passed, found in ((1, first), (2, second)):
        vit.encoder.blocks = blocks[:passed]
        torch.testing.assert_close(found.flatten(2).transpose(1, 2), vit.encode(x))
    assert not torch.equal(norm(second.movedim(1, -1)), last.movedim(1, -1))


def test_a_pre_trained_encoder_goes_over_whole():
    torch.manual_seed(0)
    trained = build_method("volta", model="vit", img_size=16, prototypes=8, head_dim=4, **SIZES)
    method = build_method("supervised", model="unetr", **UNETR)
    report = transfer_weights(method, trained.state_dict())
    assert report.loaded and all(name.startswith("model.encoder.") for name in report.loaded)
    x = torch.randn(1, 1, 16, 16, 16)
    torch.testing.assert_close(method.encode(x)[-1].flatten(2).transpose(1, 2), trained.encode(x))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"patch_size": 6, "img_size": 18}, "power of two from 2, got 6"),
        ({"patch_size": 1}, "power of two from 2, got 1"),
        ({"img_size": (16, 12, 16)}, r"\(16, 12, 16\)\) must be multiples of patch_size \(8\)"),
        ({"img_size": (16, 16)}, "must be multiples"),
    ],
)
def test_sizes_that_cannot_be_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        build_model("unetr", **{**UNETR, **options})
