"""Losses on masked patches, built by name: (B, M, C, p, p, p) prediction and target to named scalar terms."""

from typing import Any

from torch import nn

from studykit.losses.reconstruction import L2Loss
from studykit.registry import build

LOSSES: dict[str, type[nn.Module]] = {"l2": L2Loss}


def build_loss(name: str, **overrides: Any) -> nn.Module:
    """Loss ``name`` with its defaults, but for ``overrides``.

    Raises:
        ValueError: unknown name or option; the message lists the known ones.
    """
    return build("loss", LOSSES, name, overrides)
