"""Tissue classes from the label maps of the two labelled sample heads, whose ids follow different schemes.

The heads are labelled by different means. FreeSurfer segmented the ABIDE subject itself. The map beside
Colin27 is CAT12's maximum-probability atlas of 35 scans of other people in MNI space: it fits Colin27 to some
millimetres, so its labels are coarse. Sulcal fluid has no label in the first and is mostly part of the cortex
in the second.
"""

import torch
from torch import Tensor

TISSUES = ("no label", "cortex", "white matter", "ventricles", "deep grey matter")
LEFT_OUT = -1

LABELLED_HEADS = {"Pitt_50038": "freesurfer", "Colin27": "neuromorphometrics"}
"""Labelled subjects of ``sample-heads`` and the scheme of their labels."""

_SCHEMES: dict[str, dict[int, tuple[int, ...]]] = {
    # FreeSurferColorLUT; cortex of the cerebrum by parcel (aparc), of the cerebellum as a whole (8, 47).
    "freesurfer": {
        0: (0,),
        1: (3, 42, 8, 47, *range(1000, 1036), *range(2000, 2036)),
        2: (2, 41, 7, 46, 77, 78, 79, *range(251, 256)),
        3: (4, 5, 14, 15, 31, 43, 44, 63, 72),
        4: (10, 11, 12, 13, 17, 18, 26, 49, 50, 51, 52, 53, 54, 58),
        # Brain stem, CSF outside the ventricles, ventral diencephalon, vessels, chiasm, other dark spots.
        LEFT_OUT: (16, 24, 28, 30, 60, 62, 80, 81, 82, 85),
    },
    # Neuromorphometrics (BrainCOLOR); cortex by parcel from 100 on, cerebellum 38, 39 and its vermis 71-73.
    "neuromorphometrics": {
        0: (0,),
        1: (38, 39, 42, 43, 71, 72, 73, *range(100, 208)),
        2: (40, 41, 44, 45),
        3: (4, 11, 15, 49, 50, 51, 52),
        4: (23, 30, 31, 32, 36, 37, 47, 48, 55, 56, 57, 58, 59, 60),
        # Brain stem, CSF outside the ventricles, ventral diencephalon, vessels, chiasm, basal forebrain.
        LEFT_OUT: (35, 46, 61, 62, 63, 64, 69, 75, 76),
    },
}


def tissue_classes(labels: Tensor, scheme: str) -> Tensor:
    """Index into :data:`TISSUES` of each voxel of an integer label map, -1 where no class is asked for.

    Raises:
        ValueError: unknown scheme, or ids that the scheme does not have: the map follows another one.
    """
    if scheme not in _SCHEMES:
        raise ValueError(f"Unknown scheme {scheme!r}. Known: {', '.join(_SCHEMES)}.")
    class_of = {label: tissue for tissue, ids in _SCHEMES[scheme].items() for label in ids}
    present, place = labels.unique(return_inverse=True)
    strange = [label for label in present.tolist() if label not in class_of]
    if strange:
        raise ValueError(
            f"The label map has ids that {scheme} does not have: {', '.join(map(str, strange[:10]))}. "
            f"Known schemes: {', '.join(_SCHEMES)}."
        )
    return torch.tensor([class_of[label] for label in present.tolist()])[place]


def majority_class(classes: Tensor) -> Tensor:
    """Class that more than half of a patch's voxels have: int64 (..., voxels) to (...), -1 where none has.

    Voxels of class -1 count as voxels of no class.
    """
    counts = torch.stack([(classes == tissue).sum(dim=-1) for tissue in range(len(TISSUES))], dim=-1)
    most, tissue = counts.max(dim=-1)
    return torch.where(2 * most > classes.shape[-1], tissue, LEFT_OUT)
