"""A method and batches of a few kilobytes, and trainings of them that other processes run: see ``main``."""

import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path

import torch
from torch import Tensor, nn

from studykit.masking import move_to
from studykit.training import distributed
from studykit.training.config import TrainingConfig
from studykit.training.distributed import SINGLE, distributed_world
from studykit.training.loop import Outcome, train


class ToyMethod(nn.Module):
    """Fills hidden patches of (B, 1, 4, 4, 4) volumes; half of the 2 x 2 x 2 patches are hidden."""

    version = 1

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.mask_token = nn.Parameter(torch.zeros(1, 64))
        self.body = nn.Sequential(nn.Linear(64, 32), nn.LayerNorm(32), nn.GELU(), nn.Dropout(dropout))
        self.head = nn.Linear(32, 64)

    def begin_step(self, step: int, steps: int) -> None:
        """Nothing goes by the step."""

    def draw_masks(
        self,
        batch_size: int,
        generator: torch.Generator,
        volumes: Tensor | None = None,
        rows: slice = slice(None),
    ) -> Tensor:
        order = torch.rand(batch_size, 8, generator=generator).argsort(1)
        masks = (order < 4).view(batch_size, 2, 2, 2)[rows]
        return move_to(masks, volumes)

    def forward(self, volume: Tensor, mask: Tensor) -> dict[str, Tensor]:
        hidden = mask.repeat_interleave(2, 1).repeat_interleave(2, 2).repeat_interleave(2, 3).flatten(1)
        target = volume.flatten(1)
        filled = self.head(self.body(torch.where(hidden, self.mask_token, target)))
        error = (filled - target).square()
        return {"hidden": (error * hidden).mean(), "visible": 0.1 * (error * ~hidden).mean()}


class ToyBatches:
    """Volumes of a fixed pool, a brightness drawn for each; ``before(n)`` is called ahead of draw n."""

    def __init__(self, batch_size: int = 8, before: Callable[[int], None] = lambda number: None) -> None:
        self.batch_size = batch_size
        self.pool = torch.randn(20, 1, 4, 4, 4, generator=torch.Generator().manual_seed(7))
        self.before = before
        self.draws = 0

    def draw(self, generator: torch.Generator, rows: slice | None = None) -> Tensor:
        self.before(self.draws)
        self.draws += 1
        chosen = torch.randint(20, (self.batch_size,), generator=generator)
        brightness = torch.rand(self.batch_size, 1, 1, 1, 1, generator=generator)
        rows = rows or slice(None)
        return self.pool[chosen[rows]] + brightness[rows]


def evaluate(method: nn.Module) -> dict[str, float]:
    """Error on two fixed volumes; draws from torch's global generator, which training must not feel."""
    assert not method.training and not torch.is_grad_enabled()
    torch.rand(3)
    volumes = ToyBatches().pool[:2]
    masks = method.draw_masks(2, torch.Generator().manual_seed(1))
    return {"error": float(method(volumes, masks)["hidden"])}


def config(**changes: object) -> TrainingConfig:
    """Twelve steps that record every 4 and save every 3, so that checkpoints fall between records."""
    settings = dict(steps=12, batch_size=8, lr=1e-2, eval_every=4, checkpoint_every=3, warmup_steps=1)
    return TrainingConfig(**{**settings, **changes})


def conducted(optimizer: str = "gcond", **changes: object) -> TrainingConfig:
    """As :func:`config`, with an optimizer that has no weight decay and scales its rate by tensor."""
    return config(**{"optimizer": optimizer, "weight_decay": 0.0, "lr": 3e-4, **changes})


def train_toy(
    folder: Path,
    settings: TrainingConfig | None = None,
    *,
    dropout: float = 0.2,
    seed: int = 3,
    **changes: object,
) -> tuple[Outcome, ToyMethod]:
    torch.manual_seed(0)
    method = changes.pop("method", None) or ToyMethod(dropout)
    settings = settings or config()
    arguments = dict(evaluate=evaluate, device="cpu", batches=ToyBatches(settings.batch_size), world=SINGLE)
    arguments |= changes
    return train(method, config=settings, folder=folder, seed=seed, **arguments), method


def send_self(number: int, at_draw: int) -> Callable[[int], None]:
    """A ``before`` that sends this process a signal ahead of one draw."""
    return lambda draw: os.kill(os.getpid(), number) if draw == at_draw else None


def main(task: str, folder: str) -> None:
    torch.set_num_threads(1)
    if task == "killed":
        train_toy(Path(folder), batches=ToyBatches(before=send_self(signal.SIGKILL, at_draw=7)))
    if task == "conducted ranks":
        with distributed_world() as world:
            for accumulate in (1, 2):
                train_toy(
                    Path(folder, f"accumulate{accumulate}"),
                    conducted(accumulate=accumulate),
                    dropout=0.0,
                    world=world,
                )
    if task == "ranks":
        distributed.PATIENCE = timedelta(seconds=60)
        with distributed_world() as world:
            for accumulate in (1, 2):
                settings = config(steps=2, accumulate=accumulate)
                train_toy(Path(folder, f"accumulate{accumulate}"), settings, dropout=0.0, world=world)
            before = send_self(signal.SIGTERM, at_draw=5) if world.rank == 1 else lambda number: None
            stopped = train_toy(Path(folder, "stopped"), batches=ToyBatches(before=before), world=world)[0]
            resumed = train_toy(Path(folder, "stopped"), world=world)[0]
            whole = train_toy(Path(folder, "whole"), world=world)[0]
        outcomes = {"stopped": asdict(stopped), "resumed": asdict(resumed), "whole": asdict(whole)}
        names = [path.read_text(encoding="utf-8") for path in Path("/proc/self/task").glob("*/comm")]
        outcomes["threads left"] = [name for name in names if "gloo" in name]
        Path(folder, f"rank{world.rank}.json").write_text(json.dumps(outcomes))


if __name__ == "__main__":
    main(*sys.argv[1:])
