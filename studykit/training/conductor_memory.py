"""What a GradientConductor holds for its losses, and which of it the next step depends on."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from studykit.training.task_gradients import TaskGradients


@dataclass
class ConductorMemory:
    """Gradients, momentum and statistics of N named losses; with one, no earlier step to compare with.

    Attributes:
        gathered, earlier: raw gradients of this step and of the one before.
        momentum: fp32 (parameters,), moving average of the resolved sums.
        norms, norm_average: float64 (tasks,), of the raw gradients of the last step, and over time.
        wins: int64 (tasks,), wins in a row.
    """

    losses: list[str]
    gathered: TaskGradients
    earlier: TaskGradients | None
    momentum: Tensor
    norms: Tensor
    norm_average: Tensor
    wins: Tensor

    @classmethod
    def for_losses(cls, losses: list[str], parameters: list[nn.Parameter]) -> "ConductorMemory":
        tasks = len(losses)
        gathered = TaskGradients(tasks, parameters)
        earlier = TaskGradients(tasks, parameters) if tasks > 1 else None
        momentum = torch.zeros_like(gathered.flat[0])
        norms, averages = momentum.new_zeros(2, tasks, dtype=torch.float64)
        return cls(losses, gathered, earlier, momentum, norms, averages, torch.zeros_like(norms).long())

    def tensors(self) -> dict[str, Tensor]:
        """What the next step depends on, by name."""
        tensors = {name: getattr(self, name) for name in ("momentum", "norms", "norm_average", "wins")}
        return tensors if self.earlier is None else {**tensors, "earlier": self.earlier.flat}
