"""Where a detector is surest of an aneurysm, and whether that place touches one."""

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from studykit.methods.detection import Detector
from studykit.runs.weights import networks_device
from studykit.studies.mim_masking.detection_scores import surest_cells

AT_ONCE = 8
"""Volumes that go through the network together."""


@torch.no_grad()
def surest_places(method: Detector, images: Tensor, spacing_mm: float) -> tuple[NDArray, float]:
    """Middle of the surest cell of each volume, (N, 3) in mm from its own along X, Y, Z; and a cell's side.

    Args:
        method: in evaluation mode; it is moved to where networks run, a card where there is one.
        images: (N, 1, D, H, W).
        spacing_mm: side of a voxel.
    """
    side, device = method.cell[0] * spacing_mm, networks_device()
    method = method.to(device)
    cells = [method.cell_map(x.to(device)).cpu() for x in images.split(AT_ONCE)]
    return surest_cells(torch.cat(cells), side), side


def touches(cells: ArrayLike, side: float, centres: ArrayLike, reach: ArrayLike) -> NDArray:
    """Whether each cell, widened by the aneurysm's radius, holds the aneurysm's centre: bool (N,).

    Args:
        cells, centres: (N, 3) in mm.
        side: of a cell, in mm.
        reach: (N,) radius in mm.

    >>> touches([[0.0, 0.0, 0.0]], 4.0, [[0.0, 3.5, 0.0]], [2.0]).tolist()
    [True]
    """
    away = np.abs(np.asarray(cells) - np.asarray(centres)).max(axis=1)
    return away <= side / 2 + np.asarray(reach)
