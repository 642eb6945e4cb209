"""Gradients of several losses side by side: one fp32 matrix (tasks, parameters), filled part by part."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

COLUMNS = {"cpu": 2**15, "cuda": 2**20}
"""Parameters converted to float64 at a time: on CPU what stays in the cache, on a GPU few kernels."""


def trainable_parameters(optimizer: torch.optim.Optimizer) -> list[nn.Parameter]:
    """Parameters that an optimizer trains, in its order.

    Raises:
        ValueError: there are none, or some that no row of one fp32 matrix can stand for.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad]
    if not parameters:
        raise ValueError("the optimizer has no trainable parameter")
    kinds = {f"{parameter.dtype} on {parameter.device}" for parameter in parameters}
    if len(kinds) > 1 or parameters[0].dtype != torch.float32:
        raise ValueError(
            f"parameters are {', '.join(sorted(kinds))}: keep them all in torch.float32 on one device, and "
            "run forward and losses under autocast"
        )
    return parameters


class TaskGradients:
    """A matrix whose rows hold one gradient each.

    Attributes:
        flat: fp32 (tasks, parameters), on the parameters' device.
        views: for each row its parts, shaped and laid out as the parameters are.
    """

    def __init__(self, tasks: int, parameters: Sequence[nn.Parameter]) -> None:
        sizes = [parameter.numel() for parameter in parameters]
        self.flat = parameters[0].new_zeros(tasks, sum(sizes), requires_grad=False)
        self.views = [
            [
                part.as_strided(parameter.shape, parameter.stride())
                for part, parameter in zip(row.split(sizes), parameters, strict=True)
            ]
            for row in self.flat
        ]

    def put(self, task: int, gradients: Sequence[Tensor | None], *, first: bool) -> None:
        """Add to a row, or replace it where this is its ``first`` part; None stands for zeros."""
        reached = [place for place, gradient in enumerate(gradients) if gradient is not None]
        if first and len(reached) < len(gradients):
            self.flat[task].zero_()
        if reached:
            into = torch._foreach_copy_ if first else torch._foreach_add_
            into([self.views[task][place] for place in reached], [gradients[place] for place in reached])


def inner_products(left: Tensor, *others: Tensor) -> list[Tensor]:
    """Products of the rows of (tasks, parameters) matrices, ``left`` with itself and with each of others.

    In float64 (tasks, tasks) whatever the setting of TF32 or autocast, in blocks of columns that bound the
    memory, each converted once.

    >>> inner_products(torch.tensor([[3.0, 4.0]]), torch.ones(1, 2))
    [tensor([[25.]], dtype=torch.float64), tensor([[7.]], dtype=torch.float64)]
    """
    sides = (left, *others)
    products = [left.new_zeros(len(left), len(side), dtype=torch.float64) for side in sides]
    for first, *rest in zip(*(side.split(COLUMNS[left.device.type], dim=1) for side in sides), strict=True):
        exact = first.double()
        for product, block in zip(products, (exact, *(block.double() for block in rest)), strict=True):
            product += exact @ block.T
    return products


def cosines(products: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """Cosines (tasks, tasks) out of :func:`inner_products` and the norms of both sides; 0 where one is 0."""
    scale = left[:, None] * right
    return torch.where(scale == 0, 0, products / scale)
