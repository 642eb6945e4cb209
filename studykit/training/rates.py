"""Learning rate and weight decay of each step: numbers of the host, or scalars where a graph reads them."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from studykit.training.config import TrainingConfig
from studykit.training.gcond import GradientConductor
from studykit.training.schedules import half_cosine, warmup_cosine


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
    """The rates of an optimizer, set before each of its steps.

    A captured step cannot be given another number: it reads the learning rate from a scalar on its device.
    The fused kernel knows a decay as a number only, so one that changes is applied ahead of it, as AdamW
    does: p ← p · (1 - lr · decay).

    Args:
        optimizer: its ``param_groups`` get the numbers, captured or not, so that they are what it says of
            itself and what checkpoints hold.
    """

    def __init__(self, optimizer: torch.optim.Optimizer | GradientConductor, config: TrainingConfig) -> None:
        self._optimizer = optimizer
        self._config = config
        self._changes = config.weight_decay_end is not None
        self._lr: Tensor | None = None
        self._kept: Tensor | None = None
        self._shrunk: list[Tensor] = []

    def set(self, step: int) -> None:
        """Those of optimizer step ``step``, counted from 0; the host does not wait for the device."""
        lr, decay = learning_rate(self._config, step), weight_decay(self._config, step)
        for group in self._optimizer.param_groups:
            group["lr"] = lr
            if self._changes and group["weight_decay"]:
                group["weight_decay"] = decay
        if self._lr is not None:
            self._lr.fill_(lr)
            self._kept.fill_(1 - lr * decay)

    def shrink(self) -> None:
        """Apply a weight decay that the optimizer is not told of; nothing unless a step is being captured."""
        parameters = [parameter for parameter in self._shrunk if parameter.grad is not None]
        if parameters:
            with torch.no_grad():
                torch._foreach_mul_(parameters, self._kept)

    @contextmanager
    def on_device(self) -> Iterator[None]:
        """While open the optimizer reads its rates from the device of its parameters."""
        groups = self._optimizer.param_groups
        plain = [{key: group[key] for key in ("lr", "capturable", "weight_decay")} for group in groups]
        lr, decay = plain[0]["lr"], max(group["weight_decay"] for group in plain)
        device = groups[0]["params"][0].device
        self._lr, self._kept = (torch.tensor(rate, device=device) for rate in (lr, 1 - lr * decay))
        for group in groups:
            group |= {"lr": self._lr, "capturable": True}
            if self._changes and group["weight_decay"]:
                self._shrunk += group["params"]
                group["weight_decay"] = 0.0
        try:
            yield
        finally:
            self._shrunk = []
            for group, own in zip(groups, plain, strict=True):
                group |= own
