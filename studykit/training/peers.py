"""Published ways to weigh conflicting gradients, for GradientConductor to be held against; from torchjd.

UPGrad (Jacobian descent, arXiv 2406.16232) projects each task's gradient onto the cone of directions that
conflict with no task, and adds the projections. PCGrad is not offered: torchjd's draws its orders from the
global generator, so a run could not resume bit-equal.
"""

from collections.abc import Callable
from math import inf

import torch
from torch import Tensor

PEERS = ("upgrad",)


def peer_weighting(name: str) -> Callable[[Tensor], Tensor]:
    """A ``weighting`` for :class:`~studykit.training.gcond.GradientConductor`.

    It maps the inner products of the gradients, float64 (tasks, tasks), to the weights (tasks,) of their sum:

    - without a conflict every weight is 1, where torchjd gives the mean's 1 / tasks;
    - the unit of the gradients does not matter, where torchjd takes a Gram matrix of trace below 1e-4 for
      zero and resolves nothing;
    - all gradients zero, or one not finite: every weight is 1, so that what is not finite reaches the
      parameters and is seen there.

    torchjd adds 1e-4 of the trace to the diagonal, so what conflict is left is of that size, and a gradient
    shorter than about 1 % of the whole is hardly protected. The solver runs on the host, which on a GPU
    waits for its result at every step.

    Args:
        name: one of :data:`PEERS`.

    Raises:
        ValueError: an unknown name.
        ImportError: torchjd, or the solver that it needs, is not installed.
    """
    if name not in PEERS:
        raise ValueError(f"Unknown peer {name!r}. Known: {', '.join(PEERS)}.")
    try:
        from torchjd.aggregation import UPGradWeighting

        upgrad = UPGradWeighting()
    except ImportError as error:
        raise ImportError(
            f"the peer {name!r} needs torchjd with qpsolvers and quadprog, which the notebooks extra has: "
            "pip install 'studykit[notebooks]'"
        ) from error

    def weights(gram: Tensor) -> Tensor:
        trace = gram.diagonal().sum()
        if not 0 < trace < inf:
            return torch.ones_like(gram.diagonal())
        return len(gram) * upgrad(gram / trace)

    return weights
