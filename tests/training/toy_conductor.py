"""Three losses that share an encoder, conducted; ``main`` does it on several processes, each with its rows."""

import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from studykit.training.distributed import SINGLE, World, distributed_world
from studykit.training.gcond import PUBLISHED, ConductorConfig, GradientConductor
from studykit.training.sign_momentum import SignMomentum


class ToyTasks(nn.Module):
    """Losses on (B, 6) rows; each has a head of its own, one a parameter of the encoder to itself."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.encoder = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 8))
            self.heads = nn.ModuleDict({name: nn.Linear(8, 1) for name in ("bright", "contrast", "structure")})

    def forward(self, rows: Tensor) -> dict[str, Tensor]:
        features = self.encoder(rows)
        target = rows.sum(1, keepdim=True)
        aims = {"bright": target, "contrast": -target, "structure": target.square()}
        return {name: (self.heads[name](features) - aim).square().mean() for name, aim in aims.items()}


def rows_of(step: int, count: int = 8) -> Tensor:
    return torch.randn(count, 6, generator=torch.Generator().manual_seed(100 + step))


def conduct(
    method: nn.Module, optimizer: GradientConductor, step: int, *, accumulate: int = 1, world: World = SINGLE
) -> dict[str, Tensor]:
    """One step on eight rows, shared by ranks and micro-batches."""
    rows = rows_of(step)[world.rows(8, accumulate)]
    for part in rows.chunk(accumulate):
        optimizer.backward(method(part))
    return optimizer.step()


def lion(method: nn.Module, lr: float = 0.01, **arguments: object) -> GradientConductor:
    return GradientConductor(SignMomentum(method.parameters(), lr=lr, momentum=0.0), **arguments)


def main(folder: str) -> None:
    torch.set_num_threads(1)
    with distributed_world() as world:
        trained = {}
        for sampling, accumulate in (("exact", 2), ("stochastic", 3)):
            method = ToyTasks() if world.is_main else ToyTasks().requires_grad_(True)
            module = world.wrap(method, world.device)
            config = PUBLISHED if sampling == "exact" else ConductorConfig(sampling=sampling)
            optimizer = lion(method, accumulate=accumulate, config=config, world=world)
            for step in range(3):
                for part in _parts(step, accumulate, world):
                    with world.no_sync(module):
                        losses = module(part)
                    optimizer.backward(losses)
                optimizer.step()
            trained[sampling] = method.state_dict()
        torch.save(trained, Path(folder, f"rank{world.rank}.pt"))


def _parts(step: int, accumulate: int, world: World) -> tuple[Tensor, ...]:
    rows = rows_of(step, 12)
    return rows[world.rows(12, accumulate)].chunk(accumulate)


if __name__ == "__main__":
    main(*sys.argv[1:])
