"""What a training carries from step to step, and therefore all that its checkpoint has to hold."""

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from studykit.training.checkpoint import CheckpointError, random_states, set_random_states
from studykit.training.distributed import World


class Stopwatch:
    """Seconds of training; evaluation and writing happen while it stands still."""

    def __init__(self, device: torch.device) -> None:
        self.seconds = 0.0
        self._device = device
        self._since = 0.0

    def start(self) -> None:
        self._since = time.perf_counter()

    def stop(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        self.seconds += time.perf_counter() - self._since


class Averages:
    """Means of named scalars over steps, summed on their device."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.count = 0

    def add(self, values: Mapping[str, Tensor]) -> None:
        for name, value in values.items():
            self.sums[name] = self.sums[name] + value if name in self.sums else value.float()
        self.count += 1

    def take(self, world: World) -> dict[str, float]:
        """Means over steps and ranks, in one transfer to the host; the sums start again from nothing."""
        if not self.count:
            return {}
        means = world.mean(torch.stack(list(self.sums.values())) / self.count).tolist()
        names = list(self.sums)
        self.sums, self.count = {}, 0
        return dict(zip(names, means, strict=True))


class TrainingState:
    """Weights, optimizer, position, clock, running averages and every random state of one training.

    ``order`` draws the batches and ``masks`` the masks: two CPU generators, alike on every rank, so that two
    arms with one seed see the same volumes in the same order, whatever their masks are. torch's global
    generator, which feeds dropout, is seeded apart for each rank.
    """

    def __init__(
        self,
        method: nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        seed: int,
        device: torch.device,
        world: World,
    ) -> None:
        self.method = method
        self.optimizer = optimizer
        self.device = device
        self.world = world
        order, masks, *noise = np.random.SeedSequence(seed).generate_state(2 + world.size, np.uint64).tolist()
        self.order = torch.Generator().manual_seed(order)
        self.masks = torch.Generator().manual_seed(masks)
        torch.manual_seed(noise[world.rank])
        self.step = 0
        self.clock = Stopwatch(device)
        self.averages = Averages()
        self.recorded_step = 0
        self.recorded_seconds = 0.0

    def capture(self) -> dict[str, Any]:
        """The state as tensors and plain values; every rank has to call it."""
        return {
            "method": self.method.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.clock.seconds,
            "generators": {"order": self.order.get_state(), "masks": self.masks.get_state()},
            "random": self.world.gather(random_states(self.device)),
            "averages": {"sums": self.averages.sums, "count": self.averages.count},
            "recorded": {"step": self.recorded_step, "seconds": self.recorded_seconds},
        }

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Go on from a captured state; a rank that it does not know keeps the dropout seed it started with.

        Raises:
            CheckpointError: the weights do not fit the method.
        """
        try:
            self.method.load_state_dict(saved["method"])
            self.optimizer.load_state_dict(saved["optimizer"])
        except (RuntimeError, ValueError) as error:
            raise CheckpointError(
                f"the checkpoint does not fit {type(self.method).__name__}: {error}"
            ) from error
        self.step = saved["step"]
        self.clock.seconds = saved["seconds"]
        self.order.set_state(saved["generators"]["order"])
        self.masks.set_state(saved["generators"]["masks"])
        if self.world.rank < len(saved["random"]):
            set_random_states(saved["random"][self.world.rank], self.device)
        self.averages.sums = {n: value.to(self.device) for n, value in saved["averages"]["sums"].items()}
        self.averages.count = saved["averages"]["count"]
        self.recorded_step = saved["recorded"]["step"]
        self.recorded_seconds = saved["recorded"]["seconds"]
