"""Three losses that share an encoder, conducted; ``main`` does it on several processes."""

from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch import Tensor, nn

from studykit.training.distributed import SINGLE, World, distributed_world
from studykit.training.gcond import ConductorConfig, GradientConductor

ROWS = 12


class ToyTasks(nn.Module):
    """Losses on (B, 6) rows, each with a head that the others do not reach; ``unused`` none reaches."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.encoder = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 8))
            self.heads = nn.ModuleDict(
                {name: nn.Linear(8, 1) for name in ("bright", "contrast", "structure")}
            )
            self.unused = nn.Parameter(torch.ones(3))

    def forward(self, rows: Tensor) -> dict[str, Tensor]:
        features = self.encoder(rows)
        total = rows.sum(1, keepdim=True)
        aims = {"bright": total, "contrast": 1 - total, "structure": total.square()}
        return {name: (self.heads[name](features) - aim).square().mean() for name, aim in aims.items()}


def micro_batches(step: int, count: int = 1, world: World = SINGLE) -> tuple[Tensor, ...]:
    """This rank's parts of the twelve rows of one step."""
    rows = torch.randn(ROWS, 6, generator=torch.Generator().manual_seed(100 + step))
    return rows[world.rows(ROWS, count)].chunk(count)


def conduct(conductor: GradientConductor, losses: Iterable[dict[str, Tensor]]) -> dict[str, Tensor]:
    for terms in losses:
        conductor.backward(terms)
    return conductor.step()


def train(
    forward: Callable[[Tensor], dict[str, Tensor]],
    conductor: GradientConductor,
    parts: list[tuple[Tensor, ...]],
) -> None:
    for step in parts:
        conduct(conductor, map(forward, step))


def conducted(method: nn.Module, world: World = SINGLE, **settings: object) -> GradientConductor:
    """Three micro-batches a step, plain descent."""
    optimizer = torch.optim.SGD(method.parameters(), lr=0.05)
    return GradientConductor(optimizer, accumulate=3, config=ConductorConfig(**settings), world=world)


def main(folder: str) -> None:
    with distributed_world() as world:
        trained = {}
        for sampling in ("exact", "stochastic"):
            method = ToyTasks()
            module = world.wrap(method, world.device)
            with world.no_sync(module):
                parts = [micro_batches(step, 3, world) for step in range(3)]
                train(module, conducted(method, world, sampling=sampling), parts)
            trained[sampling] = method.state_dict()
        torch.save(trained, Path(folder, f"rank{world.rank}.pt"))
