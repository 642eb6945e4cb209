"""Arms: what a study compares. A method with its settings, its training settings at a profile, its tuning."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Arm:
    """One method with its settings.

    Attributes:
        name: for people, and for the seeds.
        method: name for :func:`studykit.methods.build_method`.
        options: of the method, sizes of the model and its loss among them.
        training: changes to the study's training settings, the learning rate among them.
        rate_scale: the learning rates that it is tuned over, over those of the profile; an optimizer that
            does not divide by the gradient's size needs other rates than AdamW.
        tuned_by: held-out values with their weights, whose sum picks the learning rate: the arm's own loss.
        starts_as: name of the arm whose initial weights it has, empty for weights of its own.
        starts_from: name of the arm whose trained weights it takes over, empty for none.
        parts: of the model, which it takes over.
        subjects: that it trains on, empty for all of the study's training subjects.
        trait: of the subjects, which a classification tells apart.
    """

    name: str
    method: str
    options: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    rate_scale: float = 1.0
    tuned_by: Mapping[str, float] = field(default_factory=lambda: {"error": 1.0})
    starts_as: str = ""
    starts_from: str = ""
    parts: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    trait: str = ""

    def at_rate(self, learning_rate: float) -> "Arm":
        """The arm at another peak learning rate."""
        return replace(self, training={**self.training, "lr": learning_rate})
