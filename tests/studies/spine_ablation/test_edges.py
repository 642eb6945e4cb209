"""Edges of an image, and attention at them where it is known beforehand."""

from types import SimpleNamespace

import pytest
import torch

from studykit.studies.spine_ablation import edges
from studykit.studies.spine_ablation.edges import central_crop, edge_correlation, edge_strength


def test_edges_are_where_the_image_changes_along_any_axis():
    for axis in (2, 3, 4):
        step = torch.zeros(1, 1, 8, 8, 8)
        step.narrow(axis, 4, 4).fill_(2.0)
        strength = edge_strength(step, (4, 4, 4))
        assert strength.sum(dim=[a for a in (1, 2, 3) if a != axis - 1])[0].tolist() == [0, 8, 8, 0]
    assert not edge_strength(torch.ones(1, 1, 8, 8, 8), (4, 4, 4)).any()


@pytest.mark.parametrize("sign", [1, -1])
def test_attention_at_edges_alone_correlates_fully(sign):
    image = torch.randn(1, 1, 8, 8, 8, generator=torch.Generator().manual_seed(0))
    received = sign * edge_strength(image, (4, 4, 4)).exp().expand(3, -1, -1, -1)
    assert edge_correlation(received, image) == pytest.approx(sign)


def test_the_middle_of_a_volume():
    volume = torch.zeros(1, 9, 12, 8)
    volume[0, 4, 6, 4] = 1
    crop = central_crop(volume, 4)
    assert crop.shape == (1, 1, 4, 4, 4) and crop[0, 0, 2, 2, 2] == 1
    thin = central_crop(volume[:, :3], 4)
    assert thin.shape == crop.shape and not thin[0, 0, 3].any(), "what a thin volume lacks is its minimum"


def test_the_first_layer_is_a_mean_over_heads(monkeypatch):
    heads = torch.arange(16.0).view(1, 2, 2, 2, 2)
    maps = SimpleNamespace(received=heads, sharpness=2 * heads)
    monkeypatch.setattr(edges, "attention_maps", lambda model, crop: [maps, None])
    received, sharpness = edges.first_layer(None, torch.zeros(1))
    assert torch.equal(received, (heads[0, 0] + heads[0, 1]) / 2) and torch.equal(sharpness, 2 * received)
