"""Losses on masked patches, built by name; :mod:`studykit.losses.patch_loss` says what they keep to."""

from typing import Any

from studykit.losses.mvc import MVCLoss
from studykit.losses.patch_loss import PatchLoss
from studykit.losses.phys import PhysLoss
from studykit.losses.reconstruction import L2Loss
from studykit.registry import build

LOSSES: dict[str, type[PatchLoss]] = {"l2": L2Loss, "mvc": MVCLoss, "phys": PhysLoss}


def build_loss(name: str, **overrides: Any) -> PatchLoss:
    """Loss ``name`` with its defaults, but for ``overrides``.

    Raises:
        ValueError: unknown name or option; the message lists the known ones.
    """
    return build("loss", LOSSES, name, overrides)
