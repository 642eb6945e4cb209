"""A small SimCLR, and what it contrasts over the ranks of a group."""

from pathlib import Path

import torch

from studykit.methods import build_method
from studykit.training.distributed import distributed_world

SIZES = {
    "img_size": 12, "crop_size": 16, "patch_size": 4, "embed_dim": 24, "depth": 1, "num_heads": 2,
    "projection": 8,
}  # fmt: skip


def built(**options):
    torch.manual_seed(0)
    return build_method("simclr", **{**SIZES, **options})


def tokens():
    """Class tokens of both views of eight crops: (2, 8, C)."""
    return torch.randn(2, 8, SIZES["embed_dim"], generator=torch.Generator().manual_seed(3))


def contrast_a_half(folder: str) -> None:
    """The loss of this rank's half of eight crops among all of them, and what it teaches."""
    with distributed_world() as world:
        method = built()
        mine = tokens()[:, 4 * world.rank : 4 * world.rank + 4].clone().requires_grad_()
        loss = method.contrast(mine.flatten(0, 1))
        loss.backward()
        weights = {name: p.grad for name, p in method.projector.named_parameters()}
        found = {
            "loss": loss.detach(),
            "tokens": mine.grad,
            "state": method.projector.state_dict(),
            "weights": weights,
        }
        torch.save(found, Path(folder, f"rank{world.rank}.pt"))
