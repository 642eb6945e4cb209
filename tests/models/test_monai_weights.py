"""Encoders in MONAI's networks: the same function where they are the same, and the rest is told."""

import pytest
import torch

from studykit.methods import build_method
from studykit.models import build_model
from studykit.models.monai_swin import to_monai
from studykit.models.monai_weights import into_monai

VIT = {"img_size": 12, "patch_size": 4, "embed_dim": 24, "depth": 2, "num_heads": 2}


def volumes(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def vit():
    torch.manual_seed(0)
    return build_method("simclr", model="vit", crop_size=16, projection=8, **VIT).eval()


@pytest.mark.parametrize("proj_type", ["conv", "perceptron"])
def test_a_vit_with_a_class_token_computes_the_same(proj_type):
    from monai.networks.nets import ViT

    ours = vit()
    theirs = ViT(
        1, 12, 4, hidden_size=24, mlp_dim=96, num_layers=2, num_heads=2, proj_type=proj_type,
        classification=True, post_activation="none",
    ).eval()  # fmt: skip
    report = into_monai(theirs, ours.state_dict())
    unread = (
        "classification_head.",
        "norm_cross_attn.",
    )  # the latter is of a cross-attention that it has not
    assert all(any(part in name for part in unread) for name in report.missing) and not report.unused
    x = volumes(2, 1, 12, 12, 12)
    tokens = torch.cat([t if t.ndim == 3 else t[:, None] for t in ours.model(x)], dim=1)
    torch.testing.assert_close(theirs.norm(theirs(x)[1][-1]), tokens, atol=1e-5, rtol=1e-4)


def test_unetr_takes_all_but_the_class_token():
    from monai.networks.nets import UNETR

    theirs = UNETR(1, 2, 16, feature_size=4, hidden_size=24, mlp_dim=96, num_heads=2)
    ours = build_model("vit", **VIT | {"img_size": 16, "patch_size": 16, "depth": 12})
    report = into_monai(theirs, {f"model.{name}": value for name, value in ours.state_dict().items()})
    assert report.unused == ("vit.cls_token",)
    left = [name for name in report.missing if name.startswith("vit.")]
    assert len(report.loaded) > 100 and all("norm_cross_attn" in name for name in left)


def test_the_encoder_of_swin_unetr_is_that_of_the_whole_network():
    """With all weights, the two compute the same: see the test of SwinUNETR itself."""
    from monai.networks.nets import SwinUNETR

    sizes = {"feature_size": 12, "depths": (1, 1, 1, 1), "num_heads": (1, 1, 2, 2)}
    torch.manual_seed(0)
    ours = build_model("swin-unetr", img_size=64, num_classes=2, **sizes)
    theirs = SwinUNETR(1, 2, **sizes)
    whole = {f"model.{name}": value for name, value in ours.state_dict().items()}
    report = into_monai(theirs, whole)
    expected, found = to_monai(ours), theirs.state_dict()
    assert not report.unused and all(torch.equal(found[name], expected[name]) for name in report.loaded)
    swin = [name for name in found if name.startswith("swinViT.") and "relative_position_index" not in name]
    assert set(swin) <= set(report.loaded)


def test_nothing_that_fits_is_said():
    from monai.networks.nets import ViT

    theirs = ViT(1, 12, 4, hidden_size=48, mlp_dim=96, num_layers=1, num_heads=2)
    with pytest.raises(ValueError, match=r"nothing of the encoder .* fits ViT .* build it with"):
        into_monai(theirs, {"model.encoder.stem.weight": torch.zeros(2)})
