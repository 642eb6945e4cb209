"""One optimizer step at a constant global batch: drawn, cut into parts, differentiated, clipped, applied."""

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Protocol

import torch
from torch import Tensor, nn

from studykit.training.config import CONDUCTED, TrainingConfig
from studykit.training.distributed import World
from studykit.training.gcond import GradientConductor
from studykit.training.graphs import GraphedStep, Graphs, refusal
from studykit.training.optimizers import build_optimizer
from studykit.training.rates import Rates
from studykit.training.state import TrainingState


class Batches(Protocol):
    """Where volumes come from."""

    def draw(self, generator: torch.Generator, rows: slice | None = None) -> Tensor:
        """``rows`` of a new global batch, (B, C, D, H, W); the generator moves on alike whatever the rows."""


class Trainable(Protocol):
    """What the training asks of a module: every :class:`studykit.methods.method.Method` is one."""

    def begin_step(self, step: int, steps: int) -> None:
        """Called before each step with the number of those taken and of all."""

    def draw_masks(
        self, batch_size: int, generator: torch.Generator, volumes: Tensor | None = None, rows: slice = ...
    ) -> Tensor:
        """Masks of ``rows`` of a batch of ``batch_size``, whose volumes these are; one row each.

        The generator moves on alike whatever the rows and the volumes are.
        """

    def __call__(self, volumes: Tensor, masks: Tensor) -> dict[str, Tensor]:
        """Named loss terms, weighted, each a mean over the rows; their sum is minimised."""


class OutOfMemoryError(RuntimeError):
    """The device is too small for a part of the batch; the message names the settings that help."""


class Step:
    """Calling it moves a training one optimizer step on; nothing in it makes the host wait for the device.

    Args:
        graphs: what captures steps, see :mod:`studykit.training.graphs`; None where all are eager.
        note: told how steps are taken, where they could be captured.
    """

    def __init__(
        self,
        method: nn.Module,
        batches: Batches,
        config: TrainingConfig,
        device: torch.device,
        world: World,
        graphs: Graphs | None,
        note: Callable[[str], object],
    ) -> None:
        self.optimizer = build_optimizer(method, config, world)
        self._method = method
        self._module = world.wrap(torch.compile(method) if config.compile else method, device)
        self._batches = batches
        self._config = config
        self._device = device
        self._world = world
        self._rows = world.rows(config.batch_size, config.accumulate)
        self._rates = Rates(self.optimizer, config)
        self._graphed: GraphedStep | None = None
        if graphs is not None and (reason := refusal(config, world)):
            note(f"eager: {reason}")
        elif graphs is not None:
            self._graphed = GraphedStep(self._take, self._rates, graphs, note, self.optimizer.zero_grad)

    def __call__(self, state: TrainingState) -> dict[str, Tensor]:
        """This rank's mean loss terms (``train/<term>``), their sum (``train/total``) and ``grad_norm``.

        Where a conductor takes the terms apart, also what it tells, see :meth:`GradientConductor.step`.
        """
        with self._memory_explained():
            self._method.begin_step(state.step, self._config.steps)
            batch = self._draw(state.order, state.masks)
            self._rates.set(state.step)
            return (self._graphed or self._take)(*batch)

    def _take(self, volumes: Tensor, masks: Tensor) -> dict[str, Tensor]:
        """All of a step that the device does by itself, once its batch is drawn and its rates are set."""
        losses = self._differentiate(volumes, masks)
        told = self._apply()
        self.optimizer.zero_grad()
        return {**losses, **told}

    def _apply(self) -> dict[str, Tensor]:
        if isinstance(self.optimizer, GradientConductor):
            return self.optimizer.step(clip_norm=self._config.clip_norm)
        limit = math.inf if self._config.clip_norm is None else self._config.clip_norm
        norm = nn.utils.clip_grad_norm_(self._method.parameters(), limit)
        self._rates.shrink()
        self.optimizer.step()
        return {"grad_norm": norm}

    def compile(self) -> None:
        """Compile before the clock starts, on a batch of its own; gradients and buffers stay as they were."""
        buffers = {name: value.clone() for name, value in self._method.named_buffers()}
        with fork_random_state(self._device), self._memory_explained():
            self._differentiate(*self._draw(torch.Generator(), torch.Generator()))
        self.optimizer.zero_grad()
        for name, value in self._method.named_buffers():
            value.copy_(buffers[name])

    def release(self) -> None:
        """Give back the memory of a captured step, which is the device's as long as there is a way to it."""
        self._graphed = None

    def _draw(self, order: torch.Generator, masks: torch.Generator) -> tuple[Tensor, Tensor]:
        """This rank's volumes and masks of a new global batch, on the device."""
        config, rows = self._config, self._rows
        volumes = self._batches.draw(order, rows)
        if len(volumes) != rows.stop - rows.start:
            raise ValueError(
                f"the batches gave {len(volumes)} volumes for rows {rows.start} to {rows.stop} of a batch of "
                f"{config.batch_size}: their batch size has to be that of the training"
            )
        volumes = volumes.to(self._device, non_blocking=True)
        return volumes, self._method.draw_masks(config.batch_size, masks, volumes, rows)

    def _differentiate(self, volumes: Tensor, masks: Tensor) -> dict[str, Tensor]:
        """Leave the gradient of the global batch's mean; return this rank's mean terms and their sum."""
        count = self._config.accumulate
        parts = zip(volumes.chunk(count), masks.chunk(count), strict=True)
        means: dict[str, Tensor] = {}
        for index, part in enumerate(parts, start=1):
            reduces = index == count and not isinstance(self.optimizer, GradientConductor)
            with nullcontext() if reduces else self._world.no_sync(self._module):
                with autocast(self._config, self._device, cache=self._graphed is None):
                    terms = self._module(*part)
                self._backward(terms)
            for name, term in terms.items():
                share = term.detach().float() / count
                means[f"train/{name}"] = means.get(f"train/{name}", 0) + share
        return {**means, "train/total": torch.stack(list(means.values())).sum()}

    def _backward(self, terms: dict[str, Tensor]) -> None:
        total = sum(terms.values())
        if isinstance(self.optimizer, GradientConductor):
            self.optimizer.backward(terms if self._config.optimizer in CONDUCTED else {"total": total})
        else:
            (total / self._config.accumulate).backward()

    @contextmanager
    def _memory_explained(self) -> Iterator[None]:
        try:
            yield
        except (MemoryError, RuntimeError) as error:
            known = isinstance(error, (MemoryError, torch.OutOfMemoryError))
            if not known and "can't allocate memory" not in str(error):
                raise
            count = self._config.accumulate
            part = (self._rows.stop - self._rows.start) // count
            raise OutOfMemoryError(
                f"out of memory on {self._device} with {part} volume(s) at once: batch_size "
                f"{self._config.batch_size} over {self._world.size} process(es), accumulate {count}. "
                + (
                    "Raise accumulate: the same step, in smaller parts."
                    if part > 1
                    else "The part is one volume already: use precision bf16 or a smaller model."
                )
            ) from error


def autocast(
    config: TrainingConfig, device: torch.device, *, cache: bool = True
) -> AbstractContextManager[None]:
    """At the training's precision; a captured step keeps no ``cache`` of weights in half precision."""
    return torch.autocast(
        device.type, dtype=torch.bfloat16, enabled=config.precision == "bf16", cache_enabled=cache
    )


def fork_random_state(device: torch.device) -> AbstractContextManager[None]:
    """While open, draws from torch's global generators are apart; what they were comes back on leaving."""
    return torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])
