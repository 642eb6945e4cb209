"""Attention maps are the weights of the attention that the model computes with."""

import pytest
import torch

from studykit.layers.adaptive_attention import ATTENTIONS
from studykit.models import build_model
from studykit.studies.spine_ablation.attention_maps import attention_maps

TINY = {"img_size": 12, "feature_size": 6, "depths": (2, 1), "num_heads": (1, 2), "window_size": 3}


def network(**options):
    torch.manual_seed(0)
    return build_model("swin-unetr", **{**TINY, **options}).double()


def images():
    return torch.randn(2, 1, 12, 12, 12, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_maps_of_every_block_on_its_grid(attention):
    maps = attention_maps(network(attention=attention), images())
    assert [m.block for m in maps] == [
        f"encoder.stages.{stage}.blocks.{block}.attn" for stage, block in ((0, 0), (0, 1), (1, 0))
    ]
    for m, shape in zip(maps, [(2, 1, 6, 6, 6)] * 2 + [(2, 2, 3, 3, 3)], strict=True):
        assert m.received.shape == m.entropy.shape == m.sharpness.shape == shape
        torch.testing.assert_close(m.received.mean(dim=(2, 3, 4)), torch.ones(shape[:2]).double())
    if attention == "dot":
        assert all((m.sharpness == 1).all() for m in maps)


def test_a_value_goes_where_a_token_is_received():
    """With values that are 1 on one token, what a head gives back sums to what that token receives."""
    model, x = network(), images()
    block = model.encoder.stages[0].blocks[1].attn
    dim = block.qkv.in_features
    seen = []
    block.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    received = attention_maps(model, x)[1].received[:, 0]
    tokens = seen[0]
    with torch.no_grad():
        block.proj.weight.copy_(torch.eye(dim))
        block.proj.bias.zero_()
        qkv = block.qkv(tokens)
    place = (0, 5, 2)  # on the seam of the shift
    marked = torch.zeros_like(tokens)
    marked[(slice(None), *place)] = 1

    def project(slots):
        return block.split(torch.cat([block.windows.cut(qkv)[..., : 2 * dim], block.windows.cut(marked)], -1))

    block.project = project
    with torch.no_grad():
        out = block(tokens)[..., 0].sum(dim=(1, 2, 3))
    torch.testing.assert_close(out, received[(slice(None), *place)])


def test_entropy_is_that_of_as_many_tokens_as_a_query_attends_to():
    model = network(window_size=2)
    block = model.encoder.stages[0].blocks[0].attn
    with torch.no_grad():
        block.qkv.weight.zero_()
        block.qkv.bias.zero_()
        block.position_bias.table.zero_()
    first = attention_maps(model, images())[0]
    torch.testing.assert_close(first.entropy, torch.full((2, 1, 6, 6, 6), 8.0).double().log())
    torch.testing.assert_close(first.received, torch.ones(2, 1, 6, 6, 6).double())


def test_padding_is_left_out_of_who_asks():
    model = network(img_size=10)  # a grid of 5 in windows of 3
    received = attention_maps(model, images()[..., :10, :10, :10])[0].received
    assert received.mean() < 1 - 1e-3  # what real tokens give to padding is not theirs
