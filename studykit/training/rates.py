"""Learning rate and weight decay of each step: numbers of the host, or scalars where a graph reads them."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from studykit.training.config import TrainingConfig
from studykit.training.gcond import GradientConductor
from studykit.training.schedules import half_cosine, warmup_cosine
from studykit.training.sign_momentum import SignMomentum


def learning_rate(config: TrainingConfig, step: int) -> float:
    """In optimizer step ``step``, counted from 0."""
    return warmup_cosine(
        step, steps=config.steps, warmup_steps=config.warmup_steps, lr=config.lr, min_lr=config.min_lr
    )


def weight_decay(config: TrainingConfig, step: int) -> float:
    """Of the parameters that are not spared, in optimizer step ``step``, counted from 0."""
    end = config.weight_decay if config.weight_decay_end is None else config.weight_decay_end
    return half_cosine(step / config.steps, config.weight_decay, end)


class Rates:
    """The rates of an optimizer and its count of steps, set before each of them.

    A captured step cannot be given another number: it reads the learning rate, and ``steps`` with the one at
    hand, from scalars on its device. AdamW counts by itself there, but knows a decay as a number only; so one
    that changes is applied ahead of it, as it would: p ← p · (1 - lr · decay).

    Args:
        optimizer: its ``param_groups`` get the numbers, captured or not, so that they are what it says of
            itself and what checkpoints hold.
    """

    def __init__(self, optimizer: torch.optim.Optimizer | GradientConductor, config: TrainingConfig) -> None:
        self._optimizer = optimizer
        self._config = config
        self._changes = config.weight_decay_end is not None
        self._step = 0
        self._read: dict[str, Tensor] = {}
        self._shrunk: list[Tensor] = []

    def set(self, step: int) -> None:
        """Those of optimizer step ``step``, counted from 0; the host does not wait for the device."""
        lr, decay = learning_rate(self._config, step), weight_decay(self._config, step)
        self._step = step
        for group in self._optimizer.param_groups:
            group["lr"] = lr
            if self._changes and group["weight_decay"]:
                group["weight_decay"] = decay
        now = {"lr": lr, "kept": 1 - lr * decay, "steps": step + 1}
        for name, scalar in self._read.items():
            scalar.fill_(now[name])

    def taken(self) -> None:
        """The step that they were set for was taken, by a graph or not."""
        if self._read:
            self._count(self._step + 1)

    def shrink(self) -> None:
        """Apply a weight decay that the optimizer is not told of; nothing unless a step is being captured."""
        parameters = [parameter for parameter in self._shrunk if parameter.grad is not None]
        if parameters:
            with torch.no_grad():
                torch._foreach_mul_(parameters, self._read["kept"])

    @contextmanager
    def on_device(self) -> Iterator[None]:
        """While open the optimizer reads its rates from the device of its parameters."""
        groups = self._optimizer.param_groups
        plain = [dict(group) for group in groups]
        device = groups[0]["params"][0].device
        self._read = {name: torch.zeros((), device=device) for name in ("lr", "kept", "steps")}
        self.set(self._step)
        for group in groups:
            group |= {"lr": self._read["lr"], "steps": self._read["steps"], "capturable": True}
            if self._changes and group["weight_decay"]:
                self._shrunk += group["params"]
                group["weight_decay"] = 0.0
        try:
            yield
        finally:
            self._shrunk = []
            for group, own in zip(groups, plain, strict=True):
                group.clear()
                group |= own
            self._count(self._step)

    def _count(self, steps: int) -> None:
        if isinstance(self._optimizer, SignMomentum | GradientConductor):
            self._optimizer.set_steps(steps)
