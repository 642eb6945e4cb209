"""Which parameters decay, that the split reaches AdamW, and that each name builds what it says."""

import pytest
import torch
from torch import Tensor, nn
from toy_training import config

from studykit.training.config import CONDUCTED, OPTIMIZERS
from studykit.training.gcond import GradientConductor
from studykit.training.optimizers import build_adamw, build_optimizer, parameter_groups
from studykit.training.sign_momentum import SignMomentum


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


class Two(nn.Module):
    """Two losses whose gradients are ``toward``; the angle between them is obtuse."""

    toward = torch.tensor([[4.0, 1.0], [-1.0, 0.25]])

    def __init__(self) -> None:
        super().__init__()
        self.point = nn.Parameter(torch.zeros(2))
        self.frozen = nn.Parameter(torch.zeros(2), requires_grad=False)

    def forward(self) -> dict[str, Tensor]:
        return {f"loss{i}": self.point @ gradient for i, gradient in enumerate(self.toward)}


def settings(name: str, **changes: object):
    return config(optimizer=name, weight_decay=0.1 if name == "adamw" else 0.0, lr=0.5, **changes)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_name_builds_what_it_says(name: str) -> None:
    module = Two()
    optimizer = build_optimizer(module, settings(name, betas=(0.8, 0.9), trust_clip=7.0))
    (group,) = optimizer.param_groups
    assert group["params"] == [module.point] and group["lr"] == 0.5
    if name == "adamw":
        assert isinstance(optimizer, torch.optim.AdamW)
        assert (group["betas"], group["weight_decay"]) == ((0.8, 0.9), 0.0), "a vector does not decay"
        return
    conducted = name != "sign-momentum"
    assert isinstance(optimizer, GradientConductor if conducted else SignMomentum)
    assert isinstance(optimizer.optimizer if conducted else optimizer, SignMomentum)
    assert (group["clip"], group["momentum"]) == (7.0, 0.0 if conducted else 0.8)


def first_momentum(name: str, losses: dict[str, Tensor], module: nn.Module) -> tuple[Tensor, dict]:
    """What reached the momentum in the first step, and what the step told."""
    conductor = build_optimizer(module, settings(name, betas=(0.8, 0.9)))
    conductor.backward(losses)
    told = conductor.step()
    return conductor.state_dict()["memory"]["momentum"] / (1 - 0.8), told


@pytest.mark.parametrize("name", CONDUCTED)
def test_what_takes_losses_apart_tells_of_their_conflict(name: str) -> None:
    module = Two()
    _, told = first_momentum(name, module(), module)
    assert told["conflict/cosine"] == pytest.approx(torch.cosine_similarity(*module.toward, dim=0).item())
    assert ("conflict/resolutions" in told) == (name == "gcond")


def test_gcond_spares_the_stronger_loss_and_upgrad_harms_none() -> None:
    module = Two()
    plain, gcond, upgrad = (
        module.toward @ gradient
        for gradient in (
            module.toward.sum(0),
            *(first_momentum(name, module(), module)[0] for name in ("gcond", "upgrad")),
        )
    )
    strong = module.toward[0].square().sum()
    assert plain[0] < strong and plain[1] < 0
    torch.testing.assert_close(gcond[0], strong)
    assert gcond[1] < plain[1], "the weaker loss gives way, and fares worse than under the plain sum"
    assert upgrad.min() > -1e-2 and upgrad[1] > plain[1]


def test_the_released_way_gets_one_loss_and_resolves_nothing() -> None:
    module = Two()
    momentum, told = first_momentum("gcond-single", {"total": sum(module().values())}, module)
    torch.testing.assert_close(momentum, module.toward.sum(0))
    assert not [name for name in told if name.startswith("conflict")]


@pytest.mark.parametrize("name", ["gcond", "gcond-single", "upgrad"])
def test_a_conductor_waits_for_every_part(name: str) -> None:
    module = Two()
    conductor = build_optimizer(module, settings(name, accumulate=2))
    conductor.backward(module())
    with pytest.raises(RuntimeError, match="after 1 of 2"):
        conductor.step()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_nothing_to_train_is_refused_whatever_the_optimizer(name: str) -> None:
    with pytest.raises(ValueError, match="Identity has no trainable parameter"):
        build_optimizer(nn.Identity(), settings(name))
