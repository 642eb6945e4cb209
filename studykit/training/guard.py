"""What stops a training early: seen alike by every rank, and read without waiting for the device.

And what is said of one that came to its end with features that have collapsed.
"""

from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from studykit.training.distributed import World

COLLAPSED = "val/collapsed/"
"""Records of this name are 1 where a validation saw that end of collapse, else 0."""
JUDGED_FROM = 100
"""Optimizer steps below which no training is said to have collapsed: a network says much the same of all
samples before it has learnt anything."""

AHEAD = 8
"""Steps that the host may queue on a GPU before it looks at how the first of them went."""


def collapsed_to(record: Mapping[str, Any]) -> str:
    """To which end features have collapsed by the record after the last step, empty for none.

    >>> collapsed_to({"step": 200, "val/collapsed/constant": 1.0, "val/collapsed/uniform": 0.0})
    'constant'
    """
    if record["step"] < JUDGED_FROM:
        return ""
    ends = (name.removeprefix(COLLAPSED) for name in record if name.startswith(COLLAPSED) and record[name])
    return next(ends, "")


class Stop(NamedTuple):
    """Reasons to stop: the first step with a loss or gradient not finite (0: none), a signal on some rank."""

    diverged_at: int
    interrupted: bool


class Guard:
    """Watches every step for a value that is not finite, and for a signal on any rank.

    On CUDA the flags travel to the host behind the kernels of their step, into a ring of :data:`AHEAD` steps;
    :meth:`read` gives those of the oldest. So the host is never more steps ahead than that, and waits for one
    that is over while others are queued already.
    """

    def __init__(self, world: World, device: torch.device) -> None:
        self._world = world
        self._cuda = device.type == "cuda"
        self._diverged_at = torch.zeros((), dtype=torch.int64, device=device)
        self._posted: deque[tuple[Tensor, torch.cuda.Event | None]] = deque(maxlen=AHEAD if self._cuda else 1)

    def post(self, step: int, values: Tensor, interrupted: bool) -> None:
        """Note step ``step`` (from 1): ``values`` that have to be finite, and whether a signal came here."""
        good = torch.isfinite(values).all() | (self._diverged_at > 0)
        self._diverged_at = self._diverged_at.where(good, step)
        flags = torch.stack([self._diverged_at, torch.full_like(self._diverged_at, int(interrupted))])
        flags = self._world.maximum(flags)
        if not self._cuda:
            self._posted.append((flags, None))
            return
        on_host = torch.empty(flags.shape, dtype=flags.dtype, pin_memory=True)
        on_host.copy_(flags, non_blocking=True)
        event = torch.cuda.Event()
        event.record()
        self._posted.append((on_host, event))

    def read(self, *, latest: bool) -> Stop:
        """Flags of the last step if ``latest``, or if an earlier one raised one; else of the oldest kept."""
        stop = self._at(-1 if latest else 0)
        return self._at(-1) if any(stop) else stop

    def _at(self, index: int) -> Stop:
        flags, event = self._posted[index]
        if event is not None:
            event.synchronize()
        diverged_at, interrupted = flags.tolist()
        return Stop(diverged_at, bool(interrupted))
