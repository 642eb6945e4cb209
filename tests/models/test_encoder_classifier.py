"""Classifiers of whole crops: what their head reads, what transfers to them, and what they refuse."""

import pytest
import torch

from studykit.methods import build_method
from studykit.models import build_model
from studykit.training.transfer import transfer_weights

VIT = {"img_size": 16, "patch_size": 4, "embed_dim": 24, "depth": 2, "num_heads": 2}
SWIN = {
    "img_size": 20, "patch_size": 4, "embed_dim": 12, "depths": (2, 1), "num_heads": (2, 3), "window_size": 2,
}  # fmt: skip
MODELS = {"vit-classifier": VIT, "swin-classifier": SWIN}


def built(name, **options):
    torch.manual_seed(0)
    return build_model(name, **{**MODELS[name], "num_classes": 3, **options}).eval()


def images(name):
    side = MODELS[name]["img_size"]
    return torch.randn(2, 1, side, side, side, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", MODELS)
def test_scores_of_whole_crops_from_an_encoder_and_a_head(name):
    model, x = built(name), images(name)
    assert {key.partition(".")[0] for key in model.state_dict()} == {"encoder", "head"}
    scores = model(x)
    assert scores.shape == (2, 3) and model.encode(x).shape[::2] == (2, model.embed_dim)
    scores.square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in model.parameters())


def test_the_head_reads_the_class_token_or_the_mean_of_the_patch_tokens():
    model, x = built("vit-classifier"), images("vit-classifier")
    cls, tokens = model.encoder(x)
    assert torch.equal(model(x), model.head(cls))
    mean = built("vit-classifier", pool="mean")
    torch.testing.assert_close(mean(x), model.head(tokens.mean(dim=1)))


def test_the_swin_head_reads_the_mean_and_windows_are_shifted_in_turn():
    model, x = built("swin-classifier"), images("swin-classifier")
    torch.testing.assert_close(model(x), model.head(model.encode(x).mean(dim=1)))
    shifts = [[block.attn.windows.shift for block in stage] for stage in model.encoder.stages]
    assert shifts == [[(0, 0, 0), (1, 1, 1)], [(0, 0, 0)]]
    assert model.encode(x).shape == (2, 27, 24)  # 5 patches an axis, then 3


def test_a_pre_trained_encoder_goes_over_whole():
    torch.manual_seed(1)
    trained = build_method("volta", model="vit", prototypes=8, head_dim=4, **VIT)
    method = build_method("classification", **VIT)
    report = transfer_weights(method, trained.state_dict())
    assert report.loaded and all(name.startswith("model.encoder.") for name in report.loaded)
    x = images("vit-classifier")
    torch.testing.assert_close(method.encode(x), trained.encode(x))


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("vit-classifier", {"pool": "max"}, "Unknown pool 'max'. Known: cls, mean"),
        ("vit-classifier", {"num_classes": 1}, "two or more, got 1"),
        ("swin-classifier", {"num_classes": 1}, "two or more, got 1"),
        ("swin-classifier", {"img_size": 18}, r"img_size \(18\) must be a multiple of patch_size \(4\)"),
        ("swin-classifier", {"depths": (1, 1, 1)}, r"an entry each a stage, got \(1, 1, 1\) and \(2, 3\)"),
    ],
)
def test_sizes_that_cannot_be_are_refused(name, options, words):
    with pytest.raises(ValueError, match=words):
        built(name, **options)
