"""What a result cost: core-hours, GPU-hours and floating-point operations, added up over runs."""

from collections.abc import Iterable
from dataclasses import dataclass

from studykit.claims.words import format_number


@dataclass(frozen=True)
class Cost:
    """Hours of processor cores and of GPUs, and FLOPs (2 × multiply-adds); costs add with ``+``."""

    cpu_hours: float = 0.0
    gpu_hours: float = 0.0
    flops: float = 0.0

    @classmethod
    def of_run(cls, seconds: float, device: str, count: float, flops: float = 0.0) -> "Cost":
        """The cost of ``seconds`` of wall-clock on ``count`` cores (device ``cpu``) or GPUs (``cuda``).

        A GPU that several runs share counts for each by its share.

        Raises:
            ValueError: another kind of device, a negative time, or no device at all.
        """
        if device not in ("cpu", "cuda"):
            raise ValueError(f"unknown device {device!r}; known: cpu, cuda")
        if seconds < 0 or count <= 0:
            raise ValueError(f"a run takes at least 0 s on some device, got {seconds} s on {count}")
        hours = seconds / 3600 * count
        return cls(hours, 0.0, flops) if device == "cpu" else cls(0.0, hours, flops)

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            self.cpu_hours + other.cpu_hours, self.gpu_hours + other.gpu_hours, self.flops + other.flops
        )

    def __str__(self) -> str:
        parts = [
            f"{format_number(amount)} {unit}"
            for amount, unit in (
                (self.cpu_hours, "CPU core-hours"),
                (self.gpu_hours, "GPU-hours"),
                (self.flops, "FLOPs"),
            )
            if amount
        ]
        return ", ".join(parts) or "no compute"


def total(costs: Iterable[Cost]) -> Cost:
    """The sum of all costs, nothing for none."""
    return sum(costs, Cost())
