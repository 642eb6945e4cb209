"""One network at one size: what it takes by counting, and what a step of it takes on the clock."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn

from studykit.masking import num_masked, random_patch_mask
from studykit.metrics.activations import kept_bytes
from studykit.metrics.compute import count_flops, count_parameters
from studykit.metrics.step_cost import available_bytes, measure_step
from studykit.studies.bertswin_compute.cost_model import counted_parts

MASK_RATIO = 0.75
MOST_OF_MEMORY, MARGIN = 0.8, 1.5
"""A step is timed where its counted bytes, times the margin, stay below this share of what is free."""


def counted(
    build: Callable[..., nn.Module], side: int, patch: int, *, own_mask: bool = False
) -> dict[str, Any]:
    """What a network takes for one volume of ``side`` voxels an axis, counted on its graph.

    Args:
        build: makes the network from ``img_size`` and ``patch_size``.
        patch: voxels an axis of a patch.
        own_mask: whether the network draws its mask itself, as MONAI's does.

    Returns:
        ``side``, ``patch``, ``parameters``, forward operations by ``parts``, operations of a ``training``
        step (2 per multiply-accumulate), and bytes ``kept`` for backward in fp32.
    """
    model, shape = build(img_size=side, patch_size=patch), (1, 1, side, side, side)
    given = _inputs(side, patch, own_mask)
    flops = count_flops(model, shape, backward=True, **given)
    return {
        "side": side,
        "patch": patch,
        "parameters": count_parameters(model),
        "parts": counted_parts(flops.by_module),
        "training": flops.total,
        "kept": kept_bytes(model, shape, **given),
    }


def timed(
    build: Callable[..., nn.Module], side: int, device: str, *, own_mask: bool = False, patch: int = 16
) -> dict[str, float | None]:
    """Seconds and peak memory of forward and backward of one volume, beside the bytes that counting gives.

    Where these would not fit into what is free on the device, nothing is run and both are None.
    """
    shape, given = (1, 1, side, side, side), _inputs(side, patch, own_mask)
    build = partial(build, img_size=side, patch_size=patch)
    model = build()
    bytes_counted = kept_bytes(model, shape, **given) + 4 * count_parameters(model)
    row = {"side": side, "counted (GB)": bytes_counted / 1e9}
    if MARGIN * bytes_counted > MOST_OF_MEMORY * available_bytes(device):
        return row | {"seconds": None, "peak (GB)": None}
    cost = measure_step(build, shape, device, **given)
    return row | {"seconds": cost.seconds, "peak (GB)": cost.peak_bytes / 1e9}


def _inputs(side: int, patch: int, own_mask: bool) -> dict[str, Any]:
    """What a network takes beside the volume."""
    if own_mask:
        return {}
    grid = (side // patch,) * 3
    mask = random_patch_mask(grid, MASK_RATIO, 1, torch.Generator().manual_seed(0))
    return {"mask": mask, "num_visible": grid[0] ** 3 - num_masked(grid, MASK_RATIO)}
