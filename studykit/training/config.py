"""Settings of one training, checked before any work."""

from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any, ClassVar

PRECISIONS = ("fp32", "bf16")
OPTIMIZERS = ("adamw", "sign-momentum", "gcond", "gcond-single", "upgrad")
CONDUCTED = ("gcond", "upgrad")
"""Optimizers that take the gradient of each loss term apart."""


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How one method is trained; defaults as in the masked autoencoder's recipe (He et al. 2022, table 8).

    Raises:
        ValueError: a value that no training can have; the message names it.
    """

    version: ClassVar[int] = 1
    """Raised when one setting and seed give other weights than before: seeds, optimizer, schedule, step."""

    steps: int
    """Optimizer steps."""
    batch_size: int
    """Volumes an optimizer step sees, over all ranks and accumulated parts."""
    lr: float
    """Peak learning rate."""
    eval_every: int
    """Steps between two records; the first is at step 0, the last after the last step."""
    checkpoint_every: int
    """Steps between two checkpoints; there is always one after the last step."""
    accumulate: int = 1
    """Parts each rank cuts its share of the batch into: more parts need less memory for the same step."""
    min_lr: float = 0.0
    weight_decay: float = 0.05
    betas: tuple[float, float] = (0.9, 0.95)
    warmup_steps: int = 0
    clip_norm: float | None = None
    """Largest norm of the gradient, None for no limit."""
    precision: str = "fp32"
    """``bf16`` runs forward and loss under autocast; weights and optimizer stay in fp32."""
    compile: bool = False
    """Whether the method's forward goes through ``torch.compile``."""
    snapshot_every: int | None = None
    """Steps between two copies of the weights that are kept, None for none."""
    optimizer: str = "adamw"
    """``adamw``. ``sign-momentum`` with a trust ratio for each tensor. ``gcond`` reconciles the gradients of
    the loss terms, then takes sign momentum; ``gcond-single`` is the same on their sum, as released;
    ``upgrad`` reconciles them by a peer's rule instead. β₁ is the momentum of all."""
    trust_clip: float = 10.0
    """Largest trust ratio of sign momentum."""
    keep_best: bool = False
    """Whether the weights of the smallest validation ``error`` so far are kept, beside the last ones."""
    weight_decay_end: float | None = None
    """What the weight decay goes to along half a cosine over all steps, None for one that stays."""
    norm_start: float | None = None
    """What ``gcond``'s averages of norms start at: None for the first norms, 1.0 in the published code."""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "TrainingConfig":
        """From plain values, such as JSON gives.

        Raises:
            ValueError: an unknown or a missing name; the message lists the known ones.
        """
        known = {field.name: field for field in fields(cls)}
        unknown = sorted(values.keys() - known.keys())
        missing = [name for name, field in known.items() if field.default is MISSING and name not in values]
        if unknown or missing:
            complaints = [f"unknown {', '.join(unknown)}"] * bool(unknown)
            complaints += [f"missing {', '.join(missing)}"] * bool(missing)
            raise ValueError(f"training settings: {'; '.join(complaints)}. Known: {', '.join(known)}")
        return cls(**values)

    def identity(self) -> dict[str, Any]:
        """Plain values that decide the numbers of a training.

        Settings that came later are left out at their default, so that trainings from before keep theirs.
        """
        later = {"optimizer": "adamw", "trust_clip": 10.0, "keep_best": False}
        later |= {"weight_decay_end": None, "norm_start": None}
        return {k: v for k, v in asdict(self).items() if k not in later or v != later[k]}

    def __post_init__(self) -> None:
        object.__setattr__(self, "betas", tuple(self.betas))
        for name in ("steps", "batch_size", "eval_every", "checkpoint_every", "accumulate"):
            value = getattr(self, name)
            self._demand(isinstance(value, int) and value >= 1, name, "a whole number of at least 1")
        every = self.snapshot_every
        self._demand(
            every is None or (isinstance(every, int) and every >= 1), "snapshot_every", "None or at least 1"
        )
        self._demand(
            isinstance(self.warmup_steps, int) and 0 <= self.warmup_steps < self.steps,
            "warmup_steps",
            f"a whole number from 0 to steps - 1 = {self.steps - 1}",
        )
        self._demand(self.lr > 0, "lr", "above 0")
        self._demand(0 <= self.min_lr <= self.lr, "min_lr", f"between 0 and lr = {self.lr}")
        self._demand(self.weight_decay >= 0, "weight_decay", "at least 0")
        end = self.weight_decay_end
        self._demand(
            end is None or (end > 0 and self.weight_decay > 0),
            "weight_decay_end",
            "None, or above 0 where weight_decay is above 0, too",
        )
        self._demand(
            len(self.betas) == 2 and all(0 <= beta < 1 for beta in self.betas),
            "betas",
            "two numbers in [0, 1)",
        )
        self._demand(self.clip_norm is None or self.clip_norm > 0, "clip_norm", "None or above 0")
        self._demand(self.precision in PRECISIONS, "precision", f"one of {', '.join(PRECISIONS)}")
        self._demand(self.optimizer in OPTIMIZERS, "optimizer", f"one of {', '.join(OPTIMIZERS)}")
        self._demand(self.trust_clip > 0, "trust_clip", "above 0")
        start = self.norm_start
        self._demand(
            start is None or (start > 0 and self.optimizer == "gcond"),
            "norm_start",
            "None, or above 0 with the optimizer gcond",
        )
        self._demand(
            self.optimizer == "adamw" or self.weight_decay == 0,
            "weight_decay",
            f"0 with {self.optimizer}: only adamw has one",
        )

    def _demand(self, holds: bool, name: str, what: str) -> None:
        if not holds:
            raise ValueError(f"{name} is {getattr(self, name)!r}, it must be {what}")
