"""A tiny VolTA on random crops, and trainings of it that other processes run too."""

import signal
from pathlib import Path

import torch
from torch import Tensor
from toy_training import config, send_self

from studykit.methods import build_method
from studykit.methods.volta import Volta
from studykit.training.config import TrainingConfig
from studykit.training.distributed import SINGLE, World, distributed_world
from studykit.training.loop import train

CROP = 16
SIZES = {
    "img_size": 12, "crop_size": CROP, "patch_size": 4, "embed_dim": 24, "depth": 1, "num_heads": 2,
    "local_views": 2, "prototypes": 16, "head_dim": 8,
}  # fmt: skip
STILL = {"lr": 1e-12, "min_lr": 1e-13}
"""Rates at which nothing but centres moves: noise and neighbours depend on how a batch is cut."""


class Crops:
    """Random crops; ahead of draw ``stop_at`` this process gets a signal."""

    def __init__(self, batch_size: int, stop_at: int | None = None) -> None:
        self.batch_size, self.draws = batch_size, 0
        self.before = send_self(signal.SIGTERM, -1 if stop_at is None else stop_at)

    def draw(self, generator: torch.Generator, rows: slice | None = None) -> Tensor:
        self.before(self.draws)
        self.draws += 1
        crops = torch.randn(self.batch_size, 1, CROP, CROP, CROP, generator=generator)
        return crops[rows or slice(None)]


def built(**options: object) -> Volta:
    torch.manual_seed(0)
    return build_method("volta", **{**SIZES, **options})


def train_volta(
    folder: Path, settings: TrainingConfig, *, stop_at: int | None = None, world: World = SINGLE
) -> Volta:
    method = built()
    batches = Crops(settings.batch_size, stop_at)
    arguments = {"folder": folder, "seed": 3, "evaluate": lambda method: {}, "device": "cpu", "world": world}
    train(method, batches, settings, **arguments)
    return method


def two_ranks(folder: str) -> None:
    """Three steps shared by two ranks; the first leaves its weights."""
    with distributed_world() as world:
        method = train_volta(Path(folder, "spread"), config(steps=3, **STILL), world=world)
        if world.is_main:
            torch.save(method.state_dict(), Path(folder, "spread.pt"))
