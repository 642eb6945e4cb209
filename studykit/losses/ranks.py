"""Rows of all ranks in one loss, with gradients that go back to the rank each row came from."""

import torch
import torch.distributed as dist
from torch import Tensor


def ranks() -> int:
    """Processes that train together; 1 outside a group.

    >>> ranks()
    1
    """
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


@torch._disable_dynamo  # as torch.compiler.disable, which would import the compiler here, for a second
def rows_of_all_ranks(rows: Tensor) -> tuple[Tensor, int]:
    """Rows (N, ...) of all ranks in rank order, and where this rank's begin; each rank brings the same N.

    With the mean of gradients that data-parallel training takes, gradients are those of the mean of the
    ranks' losses.

    >>> rows_of_all_ranks(torch.ones(2, 3))[1]
    0
    """
    if ranks() == 1:
        return rows, 0
    return _Gather.apply(rows), dist.get_rank() * len(rows)


@torch._disable_dynamo
def sum_over_ranks(values: Tensor) -> Tensor:
    """Sum of a tensor without gradient over all ranks, the same on each.

    >>> sum_over_ranks(torch.ones(2))
    tensor([1., 1.])
    """
    if ranks() > 1:
        values = values.clone()
        dist.all_reduce(values)
    return values


class _Gather(torch.autograd.Function):
    """Rows of all ranks in order; a row's gradient is the sum of what all ranks say of it."""

    @staticmethod
    def forward(ctx, rows: Tensor) -> Tensor:
        parts = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        total = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total.chunk(dist.get_world_size())[dist.get_rank()]
