"""Tissue classes from the label maps of the two labelled sample heads, whose ids follow different schemes.

Ids are those of :data:`studykit.data.cohorts.structures.SCHEMES`.

The heads are labelled by different means. FreeSurfer segmented the ABIDE subject itself. The map beside
Colin27 is CAT12's maximum-probability atlas of 35 scans of other people in MNI space: it fits Colin27 to some
millimetres, so its labels are coarse. Sulcal fluid has no label in the first and is mostly part of the cortex
in the second.
"""

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from studykit.data.cohorts.structures import SCHEMES

TISSUES = ("no label", "cortex", "white matter", "ventricles", "deep grey matter")
LEFT_OUT = -1

LABELLED_HEADS = {"Pitt_50038": "freesurfer", "Colin27": "neuromorphometrics"}
"""Labelled subjects of ``sample-heads`` and the scheme of their labels."""

_TISSUE_OF: Mapping[str, int] = MappingProxyType(
    {
        "cortex": 1,
        "cerebellar cortex": 1,
        "white matter": 2,
        "cerebellar white matter": 2,
        "lateral ventricle": 3,
        "third and fourth ventricle": 3,
        **dict.fromkeys(("thalamus", "caudate", "putamen", "pallidum", "hippocampus", "amygdala"), 4),
        # With the ventral diencephalon; and CSF outside the ventricles, vessels, chiasm, other dark spots.
        "brain stem": LEFT_OUT,
        "": LEFT_OUT,
    }
)
"""Structure of a head → index into :data:`TISSUES`."""


def tissue_classes(labels: Tensor, scheme: str) -> Tensor:
    """Index into :data:`TISSUES` of each voxel of an integer label map, -1 where no class is asked for.

    Raises:
        ValueError: unknown scheme, or ids that the scheme does not have: the map follows another one.
    """
    known = [name for name, structures in SCHEMES.items() if set(structures) <= _TISSUE_OF.keys()]
    if scheme not in known:
        raise ValueError(f"Unknown scheme {scheme!r}. Known: {', '.join(known)}.")
    class_of = {i: _TISSUE_OF[name] for name, ids in SCHEMES[scheme].items() for i in ids} | {0: 0}
    present, place = labels.unique(return_inverse=True)
    strange = [label for label in present.tolist() if label not in class_of]
    if strange:
        raise ValueError(
            f"The label map has ids that {scheme} does not have: {', '.join(map(str, strange[:10]))}. "
            f"Known schemes: {', '.join(known)}."
        )
    return torch.tensor([class_of[label] for label in present.tolist()])[place]


def majority_class(classes: Tensor) -> Tensor:
    """Class that more than half of a patch's voxels have: int64 (..., voxels) to (...), -1 where none has.

    Voxels of class -1 count as voxels of no class.
    """
    counts = torch.stack([(classes == tissue).sum(dim=-1) for tissue in range(len(TISSUES))], dim=-1)
    most, tissue = counts.max(dim=-1)
    return torch.where(2 * most > classes.shape[-1], tissue, LEFT_OUT)
