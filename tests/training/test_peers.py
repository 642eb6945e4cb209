"""UPGrad's weights against a solver of another kind and torchjd's own aggregation; what is added."""

import sys

import numpy as np
import pytest
import torch
from scipy.optimize import nnls
from torch import Tensor, nn
from toy_conductor import ToyTasks, conduct, micro_batches

from studykit.training.gcond import ConductorConfig, GradientConductor
from studykit.training.peers import peer_weighting


@pytest.fixture(scope="module")
def upgrad():
    pytest.importorskip("torchjd")
    return peer_weighting("upgrad")


def some_gradients(seed: int, tasks: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(tasks, 4, generator=generator, dtype=torch.float64)


def weights_of_projections(gradients: Tensor) -> np.ndarray:
    """Sum over tasks of the v ≥ e_i that make |Σ v_j g_j| least, by non-negative least squares."""
    gram = (gradients @ gradients.T).numpy()
    factor = np.linalg.cholesky(gram / np.trace(gram) + 1e-4 * np.eye(len(gram))).T
    return sum(unit + nnls(factor, -factor @ unit)[0] for unit in np.eye(len(gram)))


@pytest.mark.parametrize("seed", range(8))
def test_upgrad_is_the_sum_of_projections(upgrad, seed):
    gradients = some_gradients(seed)
    weights = upgrad(gradients @ gradients.T)
    assert weights.dtype == torch.float64
    np.testing.assert_allclose(weights, weights_of_projections(gradients), rtol=1e-8, atol=1e-8)


def test_some_of_these_gradients_conflict_and_are_left_without_conflict(upgrad):
    resolved = 0
    for seed in range(8):
        gradients = some_gradients(seed)
        gram = gradients @ gradients.T
        weights = upgrad(gram)
        assert ((gram @ weights) >= -1e-4 * gram.trace() * weights - 1e-12).all()
        resolved += int((gram.sum(0) < 0).any())
    assert resolved > 0


def test_upgrad_is_torchjds_sum_in_place_of_its_mean(upgrad):
    from torchjd.aggregation import UPGrad

    gradients = some_gradients(1)
    expected = 3 * UPGrad()(gradients)
    torch.testing.assert_close(upgrad(gradients @ gradients.T) @ gradients, expected)


@pytest.mark.parametrize("gradients", [[[2.0, 0.0], [0.0, 0.5]], [[1.0, 1.0], [3.0, 0.0]]])
def test_without_conflict_it_is_the_plain_sum(upgrad, gradients):
    gradients = torch.tensor(gradients, dtype=torch.float64)
    torch.testing.assert_close(upgrad(gradients @ gradients.T), torch.ones(2, dtype=torch.float64))


@pytest.mark.parametrize("size", [1e-9, 1.0, 1e9])
def test_opposed_gradients_end_in_what_hurts_neither_whatever_their_unit(upgrad, size):
    gradients = size * torch.tensor([[1.0, 0.2], [-2.0, 0.3]], dtype=torch.float64)
    assert float(gradients[0] @ gradients.sum(0)) < 0
    step = upgrad(gradients @ gradients.T) @ gradients
    assert ((gradients @ step) >= -1e-3 * size**2).all() and step[1] > 0.1 * size


def test_a_gradient_of_zero_changes_nothing_for_the_others(upgrad):
    gradients = some_gradients(3)
    gradients[1] = 0
    others = gradients[[0, 2]]
    weights = upgrad(gradients @ gradients.T)
    assert weights.isfinite().all()
    torch.testing.assert_close(weights[[0, 2]], upgrad(others @ others.T))


@pytest.mark.parametrize("value", [0.0, torch.nan, torch.inf])
def test_where_there_is_nothing_to_solve_every_weight_is_one(upgrad, value):
    assert upgrad(torch.full((3, 3), value, dtype=torch.float64)).tolist() == [1.0, 1.0, 1.0]


def test_a_conductor_takes_it(upgrad):
    parameter = nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    conductor = GradientConductor(optimizer, config=ConductorConfig(momentum=0.0), weighting=upgrad)
    conductor.backward(
        {"a": parameter @ torch.tensor([1.0, 1.0]), "b": parameter @ torch.tensor([-2.0, 0.0])}
    )
    conductor.step()
    # b is left (−1, 1) of its (−2, 0) and a (0, 1) of its (1, 1), but for the 1e-4 on the diagonal.
    torch.testing.assert_close(-parameter.detach(), torch.tensor([-1.0, 2.0]), rtol=0, atol=2e-3)


def test_a_conductor_steps_as_torchjd_does(upgrad):
    from torchjd.aggregation import UPGrad
    from torchjd.autojac import backward, jac_to_grad

    conducted, descended = ToyTasks(), ToyTasks()
    conductor = GradientConductor(
        torch.optim.SGD(conducted.parameters(), lr=0.05),
        config=ConductorConfig(momentum=0.0),
        weighting=upgrad,
    )
    reached = [parameter for parameter in descended.parameters() if parameter is not descended.unused]
    optimizer = torch.optim.SGD(reached, lr=3 * 0.05)
    cosines = []
    for step in range(4):
        (rows,) = micro_batches(step)
        told = conduct(conductor, [conducted(rows)])
        cosines.append(float(told["conflict/cosine"]))
        backward(list(descended(rows).values()), inputs=reached)
        jac_to_grad(reached, UPGrad())
        optimizer.step()
        optimizer.zero_grad()
        torch.testing.assert_close(conducted.state_dict(), descended.state_dict(), rtol=1e-4, atol=1e-5)
    assert min(cosines) < 0


@pytest.mark.parametrize("missing", ["torchjd.aggregation", "quadprog"])
def test_what_is_not_installed_is_named_with_its_extra(monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError, match=r"upgrad.*torchjd.*studykit\[notebooks\]"):
        peer_weighting("upgrad")


def test_unknown_peers_are_refused():
    with pytest.raises(ValueError, match=r"Unknown peer 'pcgrad'\. Known: upgrad"):
        peer_weighting("pcgrad")
