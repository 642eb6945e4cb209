"""nnU-Net's checkpoint: its names and shapes, its plan, and what it has no place for."""

import io

import pytest
import torch

from studykit.methods import build_method
from studykit.models.nnunet import RESENC_L, nnunet_checkpoint

OPTIONS = {"model": "residual-unet", "img_size": 32, **{k: v for k, v in RESENC_L.items()}}


@pytest.fixture(scope="module")
def checkpoint():
    with torch.device("meta"):
        weights = build_method("supervised", num_classes=2, **OPTIONS).state_dict()
    return nnunet_checkpoint(
        {n: torch.zeros(v.shape) for n, v in weights.items()}, OPTIONS, 1.0, ["a citation"]
    )


def test_the_names_are_those_of_a_published_resenc_l(checkpoint):
    """A published ResEncL checkpoint has 448 tensors in its encoder, and this stem."""
    weights = checkpoint["network_weights"]
    assert len(weights) == 448
    assert weights["encoder.stem.convs.0.all_modules.0.weight"].shape == (32, 1, 3, 3, 3)
    assert weights["encoder.stages.1.blocks.0.conv1.conv.weight"].shape == (64, 32, 3, 3, 3)
    assert weights["encoder.stages.1.blocks.0.skip.1.conv.weight"].shape == (64, 32, 1, 1, 1)
    assert weights["encoder.stages.5.blocks.5.conv2.norm.bias"].shape == (320,)
    assert "encoder.stages.1.blocks.0.skip.1.conv.bias" not in weights
    assert not any(name.startswith("encoder.stages.0.blocks.0.skip") for name in weights)


def test_they_load_into_the_network_that_nnunet_builds(checkpoint):
    networks = pytest.importorskip("dynamic_network_architectures.architectures.unet")
    widths = list(RESENC_L["widths"])
    theirs = networks.ResidualEncoderUNet(
        1, 6, widths, torch.nn.Conv3d, 3, [1, 2, 2, 2, 2, 2], list(RESENC_L["depths"]), 2, [1] * 5, True,
        torch.nn.InstanceNorm3d, {"eps": 1e-5, "affine": True}, nonlin=torch.nn.LeakyReLU,
    )  # fmt: skip
    own = {n: v for n, v in theirs.state_dict().items() if n.startswith("encoder.")}
    assert own.keys() == checkpoint["network_weights"].keys()
    assert all(value.shape == checkpoint["network_weights"][name].shape for name, value in own.items())


def test_it_is_read_by_the_safe_loader_and_has_what_the_planner_asks_for(checkpoint):
    file = io.BytesIO()
    torch.save(checkpoint, file)
    file.seek(0)
    read = torch.load(file, weights_only=True)
    plan = read["nnssl_adaptation_plan"]
    (configuration,) = plan["pretrain_plan"]["configurations"].values()
    assert configuration["spacing"] == [1.0] * 3 and configuration["patch_size"] == [32] * 3
    assert plan["architecture_plans"].keys() == {
        "arch_class_name",
        "arch_kwargs",
        "arch_kwargs_requiring_import",
    }
    weights = read["network_weights"]
    for key in (plan["key_to_encoder"], plan["key_to_stem"]):
        assert any(name.startswith(f"{key}.") for name in weights)
    assert all(f"{key}.weight" in weights for key in plan["keys_to_in_proj"])
    assert plan["pretrain_num_input_channels"] == 1 and read["citations"] == ["a citation"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "wave-unet"}, "no encoder like that of wave-unet; residual-unet goes there"),
        ({"depths": 2}, r"has depths \(1, 3, 4, 6, 6, 6\), this encoder 2"),
        ({"norm": "batch"}, "has norm instance, this encoder batch"),
    ],
)
def test_other_encoders_have_no_place(change, message):
    with pytest.raises(ValueError, match=message):
        nnunet_checkpoint({}, OPTIONS | change, 1.0, [])
