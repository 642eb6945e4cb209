"""UPGrad's weights against brute force and against torchjd's own aggregation; what is added."""

from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from toy_conductor import ToyTasks, conduct, micro_batches

from studykit.training.gcond import ConductorConfig, GradientConductor
from studykit.training.peers import peer_weighting


@pytest.fixture(scope="module")
def upgrad():
    return peer_weighting("upgrad")


@pytest.fixture(scope="module")
def torchjd():
    """Its aggregations, of which UPGrad needs a solver of the extra too."""
    pytest.importorskip("quadprog", reason="quadprog is not installed: pip install -e '.[peers]'")
    reason = "torchjd is not installed: pip install -e '.[peers]'"
    return pytest.importorskip("torchjd.aggregation", reason=reason)


def some_gradients(seed: int, tasks: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(tasks, 4, generator=generator, dtype=torch.float64)


def weights_of_projections(gradients: Tensor) -> np.ndarray:
    """Sum over tasks of the v ≥ e_i that make |Σ v_j g_j| least, by trying every set of bounds that may hold.

    Among the sets whose solution keeps all bounds, that of the least norm is the minimum: the problem is
    convex.
    """
    gram = (gradients @ gradients.T).numpy()
    gram = gram / np.trace(gram) + 1e-4 * np.eye(len(gram))
    total = np.zeros(len(gram))
    for unit in np.eye(len(gram)):
        found = []
        for bound in product([False, True], repeat=len(gram)):
            held, free = np.flatnonzero(bound), np.flatnonzero(~np.array(bound))
            v = unit.copy()
            v[free] = np.linalg.solve(gram[np.ix_(free, free)], -gram[np.ix_(free, held)] @ unit[held])
            if (v >= unit - 1e-12).all():
                found.append((v @ gram @ v, v))
        total += min(found, key=lambda pair: pair[0])[1]
    return total


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


@pytest.mark.parametrize("seed", range(8))
def test_upgrad_is_torchjds_sum_in_place_of_its_mean(upgrad, torchjd, seed):
    gradients = some_gradients(seed)
    gram = gradients @ gradients.T
    torch.testing.assert_close(upgrad(gram) @ gradients, 3 * torchjd.UPGrad()(gradients))
    expected = 3 * torchjd.UPGradWeighting()(gram / gram.trace())
    torch.testing.assert_close(upgrad(gram), expected, rtol=1e-8, atol=1e-8)


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


def test_a_conductor_steps_as_torchjd_does(upgrad, torchjd):
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
        jac_to_grad(reached, torchjd.UPGrad())
        optimizer.step()
        optimizer.zero_grad()
        torch.testing.assert_close(conducted.state_dict(), descended.state_dict(), rtol=1e-4, atol=1e-5)
    assert min(cosines) < 0


def test_unknown_peers_are_refused():
    with pytest.raises(ValueError, match=r"Unknown peer 'pcgrad'\. Known: upgrad"):
        peer_weighting("pcgrad")
