"""Losses on masked patches, built by name: (B, M, C, p, p, p) prediction and target to named scalar terms.

``terms`` names what a loss gives. A loss whose ``needs_context`` is true is given two more arguments by its
method: the volume (B, C, D, H, W) and the hidden patches' places in raster order, int64 (B, M).
"""

from typing import Any

from torch import nn

from studykit.losses.mvc import MVCLoss
from studykit.losses.phys import PhysLoss
from studykit.losses.reconstruction import L2Loss
from studykit.registry import build

LOSSES: dict[str, type[nn.Module]] = {"l2": L2Loss, "mvc": MVCLoss, "phys": PhysLoss}


def build_loss(name: str, **overrides: Any) -> nn.Module:
    """Loss ``name`` with its defaults, but for ``overrides``.

    Raises:
        ValueError: unknown name or option; the message lists the known ones.
    """
    return build("loss", LOSSES, name, overrides)
