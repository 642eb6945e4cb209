"""Published ways to weigh conflicting gradients, for GradientConductor to be held against.

UPGrad (Jacobian descent, arXiv 2406.16232) projects each task's gradient onto the cone of directions that
conflict with no task, and adds the projections. Its authors' library, torchjd, gives the same numbers, which
a test holds. It solves by quadprog, which is under the GPL; so it is an extra, ``peers``, and SciPy solves
here. PCGrad is not offered: torchjd's draws its orders from the global generator, so a run could not resume
bit-equal.
"""

from collections.abc import Callable
from math import inf

import numpy as np
import torch
from torch import Tensor

PEERS = ("upgrad",)
REGULARISATION = 1e-4
"""Share of the trace that is added to the diagonal, as in torchjd."""


def peer_weighting(name: str) -> Callable[[Tensor], Tensor]:
    """A ``weighting`` for :class:`~studykit.training.gcond.GradientConductor`.

    It maps the inner products of the gradients, float64 (tasks, tasks), to the weights (tasks,) of their sum:

    - without a conflict every weight is 1, where torchjd gives the mean's 1 / tasks;
    - the unit of the gradients does not matter, where torchjd takes a Gram matrix of trace below 1e-4 for
      zero and resolves nothing;
    - all gradients zero, or one not finite: every weight is 1, so that what is not finite reaches the
      parameters and is seen there.

    As 1e-4 of the trace is added to the diagonal, what conflict is left is of that size, and a gradient
    shorter than about 1 % of the whole is hardly protected. The solver runs on the host, which on a GPU
    waits for its result at every step.

    >>> opposed = torch.tensor([[1.0, 0.0], [-1.0, 1.0]], dtype=torch.float64)
    >>> step = peer_weighting("upgrad")(opposed @ opposed.T) @ opposed
    >>> [round(value, 2) for value in (opposed @ step).tolist()]  # neither loss goes up
    [0.5, 1.0]

    Args:
        name: one of :data:`PEERS`.

    Raises:
        ValueError: an unknown name.
    """
    if name not in PEERS:
        raise ValueError(f"Unknown peer {name!r}. Known: {', '.join(PEERS)}.")
    return _upgrad


def _upgrad(gram: Tensor) -> Tensor:
    """Sum over tasks i of the v ≥ e_i that make |Σ v_j g_j| least, (tasks,).

    With the Cholesky factor F of the Gram matrix and v = e_i + u it is the u ≥ 0 that makes |F u + F e_i|
    least, a non-negative least squares problem.
    """
    from scipy.optimize import nnls

    trace = gram.diagonal().sum()
    if not 0 < trace < inf:
        return torch.ones_like(gram.diagonal())
    units = np.eye(len(gram))
    factor = np.linalg.cholesky((gram / trace).cpu().numpy() + REGULARISATION * units).T
    weights = sum(unit + nnls(factor, -factor @ unit)[0] for unit in units)
    return torch.from_numpy(weights).to(gram)
