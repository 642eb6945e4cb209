"""Vessels and aneurysms as shares of voxels: distance to the wall on a fine grid, then means of voxels."""

import itertools
import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from studykit.data.angiography.aneurysms import Aneurysm
from studykit.data.angiography.vessel_trees import Vessel

Shares = NDArray[np.float32]

FINEST_MM = 0.75
"""Voxels are parted until their parts are no longer than this."""
FAR = 1e3


def vessel_distance(
    vessels: Iterable[Vessel], shape: Sequence[int], spacing_mm: float
) -> NDArray[np.float32]:
    """Distance to the nearest wall, negative inside: (X, Y, Z) in voxels, ``FAR`` where none is near.

    Args:
        vessels: in mm from the grid's middle.
    """
    vessels = list(vessels)
    middle = (np.array(shape) - 1) / 2
    points = np.concatenate([vessel.points for vessel in vessels]) / spacing_mm + middle
    radii = np.concatenate([vessel.radii for vessel in vessels]) / spacing_mm
    field = np.full(shape, FAR, dtype=np.float32)
    reach = np.ceil(radii + 1.0).astype(int)
    for margin in np.unique(reach):
        near = (reach == margin) & ((points > -margin) & (points < np.array(shape) + margin)).all(axis=1)
        offsets = np.array(list(itertools.product(range(-margin, margin + 1), repeat=3)))
        voxel = np.rint(points[near]).astype(int)[:, None] + offsets
        distance = np.linalg.norm(voxel - points[near][:, None], axis=2) - radii[near][:, None]
        inside = ((voxel >= 0) & (voxel < np.array(shape))).all(axis=2)
        np.minimum.at(field, tuple(voxel[inside].T), distance[inside].astype(np.float32))
    return field


def sac_distance(aneurysm: Aneurysm, shape: Sequence[int], spacing_mm: float) -> NDArray[np.float32]:
    """As :func:`vessel_distance`, to the wall of a sac; exact for a sphere, to first order otherwise."""
    centre = aneurysm.centre / spacing_mm + (np.array(shape) - 1) / 2
    semi = np.linalg.norm(aneurysm.axes, axis=1)
    along = aneurysm.axes / semi[:, None]
    semi = semi / spacing_mm
    field = np.full(shape, FAR, dtype=np.float32)
    low = np.clip(np.floor(centre - semi.max() - 2), 0, shape).astype(int)
    high = np.clip(np.ceil(centre + semi.max() + 3), 0, shape).astype(int)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    axes = np.meshgrid(*(np.arange(a, b) for a, b in zip(low, high, strict=True)), indexing="ij")
    local = np.tensordot(along, np.stack(axes) - centre[:, None, None, None], axes=1)
    scaled = local / semi[:, None, None, None]
    level = np.linalg.norm(scaled, axis=0)
    slope = np.linalg.norm(scaled / semi[:, None, None, None], axis=0)
    field[box] = np.where(slope > 0, (level - 1) * level / np.maximum(slope, 1e-9), -semi.min())
    return field


def blood_shares(
    vessels: Iterable[Vessel], aneurysm: Aneurysm | None, shape: Sequence[int], spacing_mm: float
) -> tuple[Shares, Shares]:
    """Share of each voxel (X, Y, Z) that lies inside vessels, and share inside the sac but outside them."""
    parts = math.ceil(spacing_mm / FINEST_MM)
    fine, step = tuple(parts * side for side in shape), spacing_mm / parts
    vessel = vessel_distance(vessels, fine, step)
    inside = _pooled(_filled(vessel), parts)
    if aneurysm is None:
        return inside, np.zeros_like(inside)
    both = np.minimum(vessel, sac_distance(aneurysm, fine, step))
    return inside, _pooled(_filled(both), parts) - inside


def _filled(distance: NDArray[np.float32]) -> Shares:
    """Share of a voxel on the inner side of a plane wall at this distance from its middle."""
    return np.clip(0.5 - distance, 0, 1)


def _pooled(field: Shares, parts: int) -> Shares:
    x, y, z = (side // parts for side in field.shape)
    return field.reshape(x, parts, y, parts, z, parts).mean(axis=(1, 3, 5))
