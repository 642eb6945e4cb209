"""Which parameters decay, and that the split reaches AdamW."""

import pytest
import torch
from torch import nn

from studykit.training.optimizers import build_adamw, parameter_groups


class Parts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.tokenizer = nn.Linear(4, 4)
        self.conv = nn.Conv3d(1, 2, 3)
        self.norm = nn.LayerNorm(4)
        self.places = nn.Embedding(3, 4)
        self.mask_token = nn.Parameter(torch.ones(1, 1, 4))
        self.pos_embed = nn.Parameter(torch.ones(1, 3, 4))
        self.relative_position_bias = nn.Parameter(torch.ones(9, 2))
        self.frozen = nn.Parameter(torch.ones(4, 4), requires_grad=False)


def test_only_matrices_and_kernels_decay() -> None:
    module = Parts()
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    decayed, spared = parameter_groups(module, 0.1)
    assert {names[id(p)] for p in decayed["params"]} == {"tokenizer.weight", "conv.weight"}
    assert {names[id(p)] for p in spared["params"]} == {
        "tokenizer.bias",
        "conv.bias",
        "norm.weight",
        "norm.bias",
        "places.weight",
        "mask_token",
        "pos_embed",
        "relative_position_bias",
    }
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.1, 0.0)


def test_without_gradient_only_the_decayed_shrink() -> None:
    module = Parts()
    before = {name: value.clone() for name, value in module.named_parameters()}
    for parameter in module.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.zeros_like(parameter)
    build_adamw(module, lr=0.5, weight_decay=0.1, betas=(0.9, 0.95)).step()
    for name, value in module.named_parameters():
        factor = 0.95 if name in ("tokenizer.weight", "conv.weight") else 1.0
        torch.testing.assert_close(value, before[name] * factor)


def test_empty_group_is_left_out() -> None:
    assert len(parameter_groups(nn.LayerNorm(3), 0.1)) == 1


def test_nothing_to_train_is_refused() -> None:
    with pytest.raises(ValueError, match="Identity has no trainable parameter"):
        build_adamw(nn.Identity(), lr=0.1, weight_decay=0.1, betas=(0.9, 0.95))
