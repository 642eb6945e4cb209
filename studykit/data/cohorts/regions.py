"""The tissue of every voxel of a head or trunk: from a label map, and where that is empty from its image.

A region is a pair of a structure (or none) and a tissue. A label map knows its structures; the image beside
it tells skull, muscle and fat of a head, soft tissue and bone of a trunk, gas in the bowel, and the shell of
a vertebra.
"""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from studykit.data.cohorts.structures import BODY_STRUCTURES, HEAD_STRUCTURES, SPINE

Region = tuple[str, str]
"""A structure, ``""`` for none, and a tissue."""

TISSUES = (
    "air",
    "lung",
    "fat",
    "fluid",
    "grey matter",
    "deep grey matter",
    "white matter",
    "muscle",
    "organ",
    "blood",
    "marrow",
    "bone",
)

STRUCTURES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"head": HEAD_STRUCTURES, "body": BODY_STRUCTURES}
)

_HEAD_TISSUE = dict.fromkeys(HEAD_STRUCTURES, "deep grey matter") | {
    "cortex": "grey matter",
    "white matter": "white matter",
    "lateral ventricle": "fluid",
    "third and fourth ventricle": "fluid",
    "cerebellar cortex": "grey matter",
    "cerebellar white matter": "white matter",
    "brain stem": "white matter",
    "hippocampus": "grey matter",
    "amygdala": "grey matter",
}
_BODY_TISSUE = dict.fromkeys(BODY_STRUCTURES, "organ") | {
    "gallbladder": "fluid",
    "lung": "lung",
    "trachea": "air",
    "bladder": "fluid",
    "heart": "blood",
    "aorta": "blood",
    "vena cava": "blood",
    "other vessels": "blood",
    "spinal cord": "white matter",
    "muscles": "muscle",
}
_BONES = (*SPINE, "other bones")
_HOLLOW = ("stomach", "small bowel", "colon")

REGIONS: Mapping[str, tuple[Region, ...]] = MappingProxyType(
    {
        "head": (
            *(("", tissue) for tissue in ("air", "fluid", "bone", "muscle", "fat")),
            *_HEAD_TISSUE.items(),
        ),
        "body": (
            *(("", tissue) for tissue in ("air", "fat", "muscle", "bone")),
            *((name, tissue) for name, tissue in _BODY_TISSUE.items() if name not in _BONES),
            *((name, tissue) for name in _BONES for tissue in ("marrow", "bone")),
            *((name, "air") for name in _HOLLOW),
            ("lung", "blood"),
        ),
    }
)
"""Anatomy → its regions, air first."""

SULCUS_MM = 6.0
"""Gaps of the brain up to twice as wide are fluid."""
RIM_MM = 1.0
"""Of fluid between brain and skull."""
SKIN_MM = 3.0
"""No bone lies less deep, even where the image is dark."""
SCALP_MM = 7.0
"""Deeper than this an average head, in which muscles and fat have run together, has no fat."""
GAS_HU, LUNG_VESSEL_HU, FAT_HU, SOFT_HU, COMPACT_HU = -250.0, -350.0, -15.0, 180.0, 280.0


def head_regions(
    image: NDArray[np.float32],
    structure: NDArray[np.uint8],
    inside: NDArray[np.bool_],
    voxel_mm: float,
    *,
    contours: bool,
) -> NDArray[np.uint8]:
    """Regions of a T1-weighted head, indices into ``REGIONS["head"]``.

    Fluid lies in the gaps of the brain and around it. Outside, dark is bone (or air in it), bright is fat,
    and muscle is between.

    Args:
        image: (X, Y, Z).
        structure: 0 or 1 + index into ``STRUCTURES["head"]``.
        inside: whether a voxel belongs to the head.
        contours: whether the labels are contours of the image's own subject. Else they are an atlas on an
            average head, and the image parts cortex and cerebellum into grey matter, white matter and fluid.
    """
    index = {region: place for place, region in enumerate(REGIONS["head"])}
    first = index["cortex", "grey matter"]
    regions = np.where(structure > 0, structure + np.uint8(first - 1), np.uint8(0))
    if not contours:
        fluid, white = _boundaries(image[structure > 0], 3)
        for grey, core in (("cortex", "white matter"), ("cerebellar cortex", "cerebellar white matter")):
            was_grey = regions == index[grey, "grey matter"]
            regions[was_grey & (image > white)] = index[core, "white matter"]
            regions[was_grey & (image < fluid)] = index["", "fluid"]
    brain = structure > 0
    closed = _distance(_distance(brain, voxel_mm) <= SULCUS_MM, voxel_mm, within=True) > SULCUS_MM - RIM_MM
    rest = (inside | closed) & (regions == 0)
    regions[rest & closed] = index["", "fluid"]
    rest &= ~closed
    dark, bright = _boundaries(image[rest], 3)
    regions[rest] = index["", "muscle"]
    depth = _distance(inside | closed, voxel_mm, within=True)
    regions[rest & (image < dark) & (depth > SKIN_MM)] = index["", "bone"]
    regions[rest & (image > bright) & (contours | (depth <= SCALP_MM))] = index["", "fat"]
    return regions


def body_regions(
    image: NDArray[np.float32], structure: NDArray[np.uint8], inside: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """Regions of a trunk's CT in HU, indices into ``REGIONS["body"]``; see :func:`head_regions`."""
    index = {region: place for place, region in enumerate(REGIONS["body"])}
    of_structure = [0]
    for name in STRUCTURES["body"]:
        of_structure.append(index[name, "marrow" if name in _BONES else _BODY_TISSUE[name]])
    regions = np.array(of_structure, dtype=np.uint8)[structure]
    number = {name: 1 + place for place, name in enumerate(STRUCTURES["body"])}
    compact, gas = image > COMPACT_HU, image < GAS_HU
    for name in _BONES:
        regions[compact & (structure == number[name])] = index[name, "bone"]
    for name in _HOLLOW:
        regions[gas & (structure == number[name])] = index[name, "air"]
    regions[(structure == number["lung"]) & (image > LUNG_VESSEL_HU)] = index["lung", "blood"]
    rest = inside & (structure == 0) & ~gas
    regions[rest] = index["", "muscle"]
    regions[rest & (image < FAT_HU)] = index["", "fat"]
    regions[rest & (image > SOFT_HU)] = index["", "bone"]
    return regions


def _boundaries(values: NDArray[np.float32], classes: int) -> list[float]:
    """What parts intensities into classes, midway between their means (Lloyd's iteration from quantiles)."""
    centres = np.quantile(values, (np.arange(classes) + 0.5) / classes)
    for _ in range(100):
        edges = (centres[1:] + centres[:-1]) / 2
        member = np.digitize(values, edges)
        moved = np.array([values[member == k].mean(dtype=np.float64) for k in range(classes)])
        if np.allclose(moved, centres, rtol=1e-4):
            break
        centres = moved
    return [float(edge) for edge in edges]


def _distance(mask: NDArray[np.bool_], voxel_mm: float, *, within: bool = False) -> NDArray[np.float32]:
    """Distance in mm of each voxel to the mask; ``within``: of the mask's voxels to the outside."""
    from scipy import ndimage

    return ndimage.distance_transform_edt(mask if within else ~mask, sampling=voxel_mm).astype(np.float32)
