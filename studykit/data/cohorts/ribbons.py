"""A whole head around a label map that has the cortex and the deep grey matter alone.

The map says where cortex, hippocampus, amygdala, thalamus, caudate, putamen and pallidum of a person are.
All else is ours, by geometry, and nobody's anatomy: white matter fills what the cortex encloses; the
lateral ventricles are the room medial to the caudate nearest to it, so much of it that they have
:data:`VENTRICLE_ML` in everybody; cerebellum and brain stem are ellipsoids at a plausible place; fluid,
skull, fat and skin are shells of equal thickness, without face or neck. There is no third ventricle and no
callosum across the midline. Deep narrow sulci count as white matter where the cortex of both banks leaves a
gap.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from studykit.data.cohorts.regions import REGIONS
from studykit.data.cohorts.structures import SCHEMES
from studykit.data.volumes.foreground import bounding_box

RIBBON_VERSION = 2
"""Raised when the same label map gives other voxels than before."""

SCHEME = "desikan-killiany"
RIGHT = 41
"""What is added to the id of a left structure for the right one."""

VENTRICLE_ML = 16.0
"""Of both lateral ventricles together, in everybody."""
VENTRICLE_REACH_MM = 20.0
"""No part of them is farther from the caudate."""
SEAL_MM = 3.0
"""Holes of the cortex up to twice as wide do not let the outside in."""
HULL_MM, CORE_MM = 8.0, 14.0
"""Gaps up to twice as wide are inside the cerebrum; and between the deep grey matter and the cingulate."""
BASE_MM = 14.0
"""Gaps of the whole brain up to twice as wide that no fluid fills are the skull's base."""
WIDENED_MM = 14
"""How far outside and inside grow into what the seal left open."""
SEPTUM_MM = 1.5
"""Half of what parts the ventricles."""
FLUID_MM, BONE_MM, FAT_MM, SKIN_MM = 2.0, 6.0, 4.0, 1.5
"""Shells around the brain, from within."""
CEREBELLUM_MM, CEREBELLUM_AT_MM = (46.0, 27.0, 23.0), (-37.0, -17.0)
"""Half axes, and place behind and above the middle of the hippocampi."""
STEM_MM, STEM_AT_MM = (12.0, 12.0, 30.0), (-9.0, -32.0)
"""Half axes, and place behind and above the middle of the thalami."""

_MEDIAL = (2, 9, 15, 22, 25, 35, 36, 37, 38, 39, 40)
"""Left ids of the cingulate's four parts, the parahippocampal cortex and the deep grey matter."""

_STEPS = (slice(1, None), slice(None, -1))

Mask = NDArray[np.bool_]


def ribbon_head(labels: NDArray[np.int32], voxel_mm: float) -> NDArray[np.uint8]:
    """Regions of a head, indices into ``REGIONS["head"]``, cut to the head with a margin of air.

    Args:
        labels: (X, Y, Z), RAS+, ids of the scheme ``desikan-killiany``.
        voxel_mm: side of its cubic voxels.

    Raises:
        ValueError: a structure that all else is placed by is missing.
    """
    missing = [
        n for n, ids in SCHEMES[SCHEME].items() if n != "brain stem" and not np.isin(ids, labels).any()
    ]
    if missing:
        raise ValueError(f"a head is not built around a label map without {', '.join(missing)}")
    labels = _framed(labels, round((FLUID_MM + BONE_MM + FAT_MM + SKIN_MM) / voxel_mm) + 4, voxel_mm)
    index = {region: place for place, region in enumerate(REGIONS["head"])}
    regions = np.zeros(labels.shape, dtype=np.uint8)
    white, hull = np.zeros((2, *labels.shape), dtype=bool)
    box = bounding_box(labels > 0, [round((HULL_MM + SEAL_MM) / voxel_mm)] * 3)
    white[box], hull[box] = _inside(labels[box], voxel_mm)
    cerebellum, core, stem = _hindbrain(labels, hull, voxel_mm)
    brain = hull | cerebellum | stem
    skull = np.cumsum([FLUID_MM + BONE_MM, FAT_MM, SKIN_MM])
    depth = _smooth_depth(brain, BASE_MM, voxel_mm)
    for tissue, reach in reversed(list(zip(("bone", "fat", "muscle"), skull, strict=True))):
        regions[depth <= reach] = index["", tissue]
    regions[_smooth_depth(brain, HULL_MM, voxel_mm) <= FLUID_MM] = index["", "fluid"]
    regions[cerebellum] = index["cerebellar cortex", "grey matter"]
    regions[core] = index["cerebellar white matter", "white matter"]
    regions[stem] = index["brain stem", "white matter"]
    regions[white] = index["white matter", "white matter"]
    regions[_ventricles(labels, hull, voxel_mm)] = index["lateral ventricle", "fluid"]
    tissues = dict(REGIONS["head"])
    for name, ids in SCHEMES[SCHEME].items():
        regions[np.isin(labels, ids)] = index[name, tissues[name]]
    return regions


def _framed(labels: NDArray[np.int32], margin: int, voxel_mm: float) -> NDArray[np.int32]:
    """The label map with room around it: below for the cerebellum and the stem."""
    below = round(2 * CEREBELLUM_MM[2] / voxel_mm)
    cut = labels[bounding_box(labels > 0, [0, 0, 0])]
    return np.pad(cut, [(margin, margin), (margin, margin), (margin + below, margin)])


def _inside(labels: NDArray[np.int32], voxel_mm: float) -> tuple[Mask, Mask]:
    """What the cortex encloses and no structure is, and all that is inside the cerebrum, gaps included.

    Outside is what can be reached from the border without passing a cortex made thicker; then outside and
    inside grow in turn into what is left.
    """
    from scipy import ndimage

    brain, cortex = labels > 0, np.isin(labels, SCHEMES[SCHEME]["cortex"])
    core = np.zeros_like(brain)
    for side in (0, RIGHT):
        core |= _closed(np.isin(labels, np.array(_MEDIAL) + side), CORE_MM, voxel_mm)
    core &= ~cortex
    hull = ndimage.binary_fill_holes(_closed(brain, HULL_MM, voxel_mm))
    sealed = _distance(brain | core, voxel_mm) <= SEAL_MM
    number, _ = ndimage.label(~sealed)
    outside = number == number[0, 0, 0]
    inside, free = (~sealed & ~outside & hull) | core, ~(brain | core)
    for _ in range(round(WIDENED_MM / voxel_mm)):
        outside |= _grown(outside) & free & ~inside
        inside |= _grown(inside) & free & ~outside
    return inside & hull & ~brain, hull


def _ventricles(labels: NDArray[np.int32], hull: Mask, voxel_mm: float) -> Mask:
    """The voxels of no structure medial to the caudate point nearest to them that are nearest to it."""
    from scipy import ndimage

    caudate = np.isin(labels, (36, 36 + RIGHT))
    box = bounding_box(caudate, [round(VENTRICLE_REACH_MM / voxel_mm)] * 3)
    far, nearest = ndimage.distance_transform_edt(~caudate[box], sampling=voxel_mm, return_indices=True)
    aside = (np.abs(np.arange(labels.shape[0]) - _middle(labels)) * voxel_mm)[box[0]]
    medial = (aside[:, None, None] < aside[nearest[0]]) & (aside >= SEPTUM_MM)[:, None, None]
    low = np.argwhere(np.isin(labels, (35, 35 + RIGHT)))[:, 2].mean()
    medial &= ((labels == 0) & hull & (np.arange(labels.shape[2]) > low))[box]
    wanted = round(VENTRICLE_ML * 1000 / voxel_mm**3)
    found = np.zeros_like(hull)
    found[box] = medial & (far <= np.sort(far[medial])[:wanted][-1])
    return found


def _hindbrain(labels: NDArray[np.int32], hull: Mask, voxel_mm: float) -> tuple[Mask, Mask, Mask]:
    """Cerebellum, the white matter in it, and brain stem, as far as the cerebrum leaves room."""

    def ellipsoid(around: int, axes: Sequence[float], at: Sequence[float], scale: float = 1.0) -> Mask:
        centre = np.argwhere(np.isin(labels, (around, around + RIGHT))).mean(axis=0)
        centre = [_middle(labels), *(centre[1:] + np.array(at) / voxel_mm)]
        grid = np.ogrid[tuple(slice(0, side) for side in labels.shape)]
        parts = zip(grid, centre, axes, strict=True)
        return (sum(((g - c) * voxel_mm / (scale * a)) ** 2 for g, c, a in parts) < 1) & ~hull

    stem = ellipsoid(35, STEM_MM, STEM_AT_MM)
    cerebellum = ellipsoid(40, CEREBELLUM_MM, CEREBELLUM_AT_MM) & ~stem
    return cerebellum, cerebellum & ellipsoid(40, CEREBELLUM_MM, CEREBELLUM_AT_MM, 0.6), stem


def _middle(labels: NDArray[np.int32]) -> float:
    """Voxel of the mid-sagittal plane along X: halfway between the two sides' medial structures."""
    sides = (np.argwhere(np.isin(labels, np.array(_MEDIAL) + side))[:, 0].mean() for side in (0, RIGHT))
    return float(sum(sides)) / 2


def _grown(mask: Mask) -> Mask:
    """With the voxels that share a face with it."""
    grown = mask.copy()
    for axis in range(3):
        ahead, behind = (tuple(part if a == axis else slice(None) for a in range(3)) for part in _STEPS)
        grown[ahead] |= mask[behind]
        grown[behind] |= mask[ahead]
    return grown


def _smooth_depth(mask: Mask, radius: float, voxel_mm: float) -> NDArray[np.float32]:
    """Distance in mm from a mask whose gaps up to twice the radius are filled, on every second voxel."""
    from scipy import ndimage

    even = np.pad(mask, [(0, side % 2) for side in mask.shape])
    halved = even.reshape(*(n for side in even.shape for n in (side // 2, 2))).any(axis=(1, 3, 5))
    depth = _distance(_closed(halved, radius, 2 * voxel_mm), 2 * voxel_mm)
    fine = ndimage.zoom(depth, 2, order=1, grid_mode=True, mode="nearest")
    return fine[tuple(slice(0, side) for side in mask.shape)]


def _distance(mask: Mask, voxel_mm: float) -> NDArray[np.float32]:
    from scipy import ndimage

    return ndimage.distance_transform_edt(~mask, sampling=voxel_mm).astype(np.float32)


def _closed(mask: Mask, radius: float, voxel_mm: float) -> Mask:
    """With gaps up to twice the radius filled."""
    box = bounding_box(mask, [int(radius / voxel_mm) + 2] * 3)
    closed = np.zeros_like(mask)
    closed[box] = _distance(_distance(mask[box], voxel_mm) > radius, voxel_mm) > radius
    return closed
