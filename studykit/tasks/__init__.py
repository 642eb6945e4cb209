"""What a method is trained for, one file a task: its data recipe, its training batches, its validation.

A task is a module with ``Recipe``, a frozen dataclass that JSON can hold, and ``ground(recipe, method,
training, world)``, which gives training batches on the device and a validation. A validation's ``error`` is
the smaller the better, whatever the task. What a task asks of its methods is what their base says:
:mod:`studykit.methods.method`, :mod:`studykit.methods.masked_modelling`.
"""

from importlib import import_module
from types import ModuleType
from typing import Any, ClassVar, Protocol

TASKS = ("reconstruction", "segmentation", "detection", "classification")


class Recipe(Protocol):
    """The data of a run."""

    version: ClassVar[int]
    source: str
    fingerprint: str
    crop_size: int

    def identity(self) -> dict[str, Any]:
        """Plain values that decide the data."""


def task_module(name: str) -> ModuleType:
    """The module of a task.

    Raises:
        ValueError: unknown name; the message lists the known ones.
    """
    if name not in TASKS:
        raise ValueError(f"Unknown task {name!r}. Known: {', '.join(TASKS)}.")
    return import_module(f"studykit.tasks.{name}")
