"""Attention received: against the layer's own output, and where it is known beforehand."""

import pytest
import torch
from torch import nn

from studykit.layers.adaptive_attention import ATTENTIONS
from studykit.layers.windows import Windows
from studykit.models import build_model
from studykit.studies.spine_ablation.attention_maps import (
    AttentionMap,
    attention_maps,
    attention_weights,
    central_crop,
    edge_correlation,
    edge_strength,
)

SMALL = {"img_size": 16, "feature_size": 12, "depths": (2, 1), "num_heads": (3, 6), "window_size": 2}


@pytest.mark.parametrize("shift", [(0, 0, 0), (1, 1, 1)])
@pytest.mark.parametrize("kind", ATTENTIONS)
def test_the_weights_are_those_of_the_layers_output(kind, shift):
    torch.manual_seed(0)
    layer = ATTENTIONS[kind](8, 2, Windows((5, 4, 4), (2, 2, 2), shift, monai=True))
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape))
    x = torch.randn(2, 5, 4, 4, 8)
    weights = attention_weights(layer, x)
    values = layer.project(layer.windows.cut(x)).transpose(2, 4).unbind(3)[2]
    out = (weights @ values).transpose(2, 3).reshape(2, -1, 8)
    assert torch.allclose(layer.proj(layer.windows.join(out)), layer(x), atol=1e-5)
    assert torch.allclose(weights.sum(-1), torch.ones(()))


def test_every_layer_of_the_network_has_a_map_and_hooks_are_gone():
    torch.manual_seed(0)
    model = build_model("swin-unetr", attention="conditioned", **SMALL).eval()
    maps = attention_maps(model, torch.randn(2, 1, 16, 16, 16))
    assert [tuple(each.received.shape) for each in maps] == [(2, 8, 8, 8)] * 2 + [(2, 4, 4, 4)]
    assert all(each.received.mean() == pytest.approx(1, abs=1e-5) for each in maps)
    assert all(torch.equal(each.sharpness, torch.ones_like(each.sharpness)) for each in maps), "at its start"
    assert not any(part._forward_pre_hooks for part in model.modules())


def test_a_network_without_window_attention_is_said():
    with pytest.raises(ValueError, match="Conv3d has no window attention"):
        attention_maps(nn.Conv3d(1, 1, 1), torch.randn(1, 1, 4, 4, 4))


def test_edges_are_where_the_image_changes_along_any_axis():
    for axis in (2, 3, 4):
        step = torch.zeros(1, 1, 8, 8, 8)
        step.narrow(axis, 4, 4).fill_(2.0)
        strength = edge_strength(step, (4, 4, 4))
        assert strength.sum(dim=[a for a in (1, 2, 3) if a != axis - 1])[0].tolist() == [0, 8, 8, 0]
    assert not edge_strength(torch.ones(1, 1, 8, 8, 8), (4, 4, 4)).any()


@pytest.mark.parametrize("sign", [1, -1])
def test_attention_at_edges_alone_correlates_fully(sign):
    image = torch.randn(2, 1, 8, 8, 8, generator=torch.Generator().manual_seed(0))
    received = sign * edge_strength(image, (4, 4, 4)).exp()
    assert edge_correlation(AttentionMap("x", received, received), image) == pytest.approx(sign)


def test_the_middle_of_a_volume():
    volume = torch.zeros(1, 9, 12, 8)
    volume[0, 4, 6, 4] = 1
    crop = central_crop(volume, 4)
    assert crop.shape == (1, 1, 4, 4, 4) and crop[0, 0, 2, 2, 2] == 1
