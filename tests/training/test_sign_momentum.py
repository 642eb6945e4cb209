"""The update against its equation, its ratio at the ends, and its state through a checkpoint."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from studykit.training.sign_momentum import SignMomentum


def gradients(step: int, shapes: list[tuple[int, ...]]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(step)
    return [torch.randn(shape, generator=generator) for shape in shapes]


def take_step(optimizer: SignMomentum, parameters: list[nn.Parameter], step: int) -> None:
    for parameter, gradient in zip(parameters, gradients(step, [p.shape for p in parameters]), strict=True):
        parameter.grad = gradient
    optimizer.step()


def test_follows_its_equation() -> None:
    parameters = [nn.Parameter(torch.full((3, 4), 0.7)), nn.Parameter(torch.full((5,), -40.0))]
    expected = [parameter.detach().double() for parameter in parameters]
    averages = [torch.zeros_like(value) for value in expected]
    optimizer = SignMomentum(parameters, lr=0.01, clip=10.0, momentum=0.9)
    for step in range(1, 6):
        take_step(optimizer, parameters, step)
        for i, gradient in enumerate(gradients(step, [(3, 4), (5,)])):
            averages[i] = 0.9 * averages[i] + 0.1 * gradient.double()
            corrected = averages[i] / (1 - 0.9**step)
            ratio = min(float(expected[i].norm() / corrected.norm()), 10.0)
            expected[i] = expected[i] - 0.01 * ratio * corrected.sign()
        for parameter, value in zip(parameters, expected, strict=True):
            torch.testing.assert_close(parameter.detach().double(), value, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("size", "slope", "ratio"),
    [(0.0, 2.0, 1.0), (3.0, 0.0, 0.0), (3.0, 1e-9, 1.0), (3.0, 2.0, 1.5), (100.0, 2.0, 10.0)],
)
def test_trust_ratio(size: float, slope: float, ratio: float) -> None:
    parameter = nn.Parameter(torch.tensor([size]))
    parameter.grad = torch.tensor([slope])
    SignMomentum([parameter], lr=0.5, clip=10.0, momentum=0.0).step()
    assert parameter.item() == pytest.approx(size - 0.5 * ratio)


def test_parameters_without_gradient_stay_and_groups_have_their_own_rate() -> None:
    still, slow, fast = (nn.Parameter(torch.ones(1)) for _ in range(3))
    groups = [{"params": [still]}, {"params": [slow]}, {"params": [fast], "lr": 0.2}]
    optimizer = SignMomentum(groups, lr=0.1)
    slow.grad, fast.grad = torch.ones(1), torch.ones(1)
    optimizer.step()
    assert [p.item() for p in (still, slow, fast)] == pytest.approx([1.0, 0.9, 0.8])


def test_a_gradient_that_is_not_finite_shows_in_its_parameter() -> None:
    parameter = nn.Parameter(torch.ones(2))
    parameter.grad = torch.tensor([1.0, torch.nan])
    SignMomentum([parameter], lr=0.1).step()
    assert not torch.isfinite(parameter).any()


def test_goes_on_bit_equal_from_its_state(tmp_path: Path) -> None:
    def fresh() -> tuple[nn.Parameter, SignMomentum]:
        parameter = nn.Parameter(torch.linspace(-1, 1, 7))
        return parameter, SignMomentum([parameter], lr=0.01)

    whole, optimizer = fresh()
    for step in range(4):
        if step == 2:
            torch.save((whole.detach(), optimizer.state_dict()), tmp_path / "state.pt")
        take_step(optimizer, [whole], step)
    resumed, optimizer = fresh()
    value, state = torch.load(tmp_path / "state.pt", weights_only=True)
    resumed.data.copy_(value)
    optimizer.load_state_dict(state)
    for step in (2, 3):
        take_step(optimizer, [resumed], step)
    assert torch.equal(resumed, whole)


def test_closure_is_called_with_gradients_on() -> None:
    parameter = nn.Parameter(torch.ones(1))
    optimizer = SignMomentum([parameter], lr=0.1)

    def closure() -> Tensor:
        loss = parameter.square().sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 1.0
    assert parameter.item() < 1.0


@pytest.mark.parametrize("bad", [{"lr": -1.0}, {"lr": 0.1, "clip": 0.0}, {"lr": 0.1, "momentum": 1.0}])
def test_settings_out_of_range_are_refused(bad: dict) -> None:
    with pytest.raises(ValueError, match=f"{list(bad)[-1]} is"):
        SignMomentum([nn.Parameter(torch.ones(1))], **bad)
