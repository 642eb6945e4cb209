"""A teacher that is the running mean of its student (Tarvainen and Valpola 2017)."""

import math

import torch
from torch import nn


def rising_momentum(step: int, steps: int, horizon: float) -> float:
    """Share of itself that a teacher keeps at a step, 1 - 1 / (horizon · steps) at first and 1 in the end.

    It grows along half a cosine.

    >>> rising_momentum(0, 1000, 0.1), rising_momentum(1000, 1000, 0.1)
    (0.99, 1.0)

    Args:
        step: of ``steps``.
        horizon: steps that the teacher is a mean of at first, as a share of the training.
    """
    start = 1 - 1 / max(horizon * steps, 1)
    return 1 - (1 - start) * (1 + math.cos(math.pi * step / steps)) / 2


@torch.no_grad()
def follow(teacher: nn.ModuleDict, student: nn.Module, momentum: float) -> None:
    """Move each part of a teacher towards the student's part of that name, in place.

    >>> student = nn.ModuleDict({"net": nn.Linear(1, 1)})
    >>> teacher = nn.ModuleDict({"net": nn.Linear(1, 1)})
    >>> follow(teacher, student, 0.0)
    >>> torch.equal(teacher["net"].weight, student["net"].weight)
    True

    Args:
        teacher: parts by name, the names of attributes or items of ``student``.
        momentum: share of the teacher's own weights that is kept.
    """
    for name, part in teacher.items():
        own = student.get_submodule(name)
        for old, new in zip(part.parameters(), own.parameters(), strict=True):
            old.lerp_(new.detach(), 1 - momentum)
