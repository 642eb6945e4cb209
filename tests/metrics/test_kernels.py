"""Kernels are counted without a card, and views are none."""

import pytest
import torch
from torch import nn

from studykit.methods import build_method
from studykit.metrics.kernels import count_kernels


def test_a_product_is_one_and_its_backward_two_with_a_bias():
    layer = nn.Linear(8, 2)
    assert count_kernels(layer, (4, 8)) == 1
    forward, whole = (count_kernels(layer, (4, 8), backward=way) for way in (False, True))
    # One product for the weight, none for an input without a gradient; the bias is summed.
    assert whole - forward >= 2


def test_views_are_none():
    class Views(nn.Module):
        def forward(self, x):
            return x.view(2, 4).T[None].expand(3, 4, 2)

    assert count_kernels(Views(), (8,)) == 0


@pytest.mark.parametrize("depth", [2, 4])
def test_a_network_has_as_many_as_it_has_blocks(depth):
    sizes = {"img_size": 16, "patch_size": 4, "embed_dim": 24, "num_heads": 2, "decoder_dim": 24}
    counts = []
    for own in (depth, depth + 1, depth + 2):
        method = build_method("mae", **sizes, depth=own)
        mask = method.draw_masks(2, torch.Generator().manual_seed(0))
        counts.append(count_kernels(method, (2, 1, 16, 16, 16), backward=True, mask=mask))
    assert counts[2] - counts[1] == counts[1] - counts[0] > 20
