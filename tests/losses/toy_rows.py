"""Rows to align, and their alignment over the ranks of a group."""

from pathlib import Path

import torch

from studykit.losses.alignment import info_nce
from studykit.losses.distillation import Centre
from studykit.training.distributed import distributed_world


def rows(count: int = 7, width: int = 5, seed: int = 0) -> torch.Tensor:
    return torch.randn(2, count, width, generator=torch.Generator().manual_seed(seed))


def align_a_half(folder: str) -> None:
    """InfoNCE of this rank's half of eight rows among all of them, and its gradients."""
    with distributed_world() as world:
        mine = slice(4 * world.rank, 4 * world.rank + 4)
        child, parent = (x[mine].clone().requires_grad_() for x in rows(8))
        loss = info_nce(child, parent, gather=True)
        loss.backward()
        found = {"loss": loss.detach(), "child": child.grad, "parent": parent.grad}
        torch.save(found, Path(folder, f"rank{world.rank}.pt"))


def see_a_half(folder: str) -> None:
    """A centre of all of eight rows, of which this rank sees a half."""
    with distributed_world() as world:
        mine = slice(4 * world.rank, 4 * world.rank + 4)
        centre = Centre(5)
        centre.see(rows(8)[0, mine])
        centre.update()
        torch.save({"centre": centre.value}, Path(folder, f"rank{world.rank}.pt"))
