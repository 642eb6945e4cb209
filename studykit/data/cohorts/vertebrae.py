"""Ids of vertebrae in public label maps of spines, and their two classes in turn.

VerSe (Sekuboyina et al. 2021, Med Image Anal 73:102166) counts from C1, SPIDER (van der Graaf et al. 2024,
Sci Data 11:264) from L5 upwards, with 100 for the canal, 101 to 125 for vertebrae that the image cuts and 201
to 225 for discs. Two classes in turn, as TotalSpineSeg has them, tell neighbours apart without 25 classes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from studykit.data.cohorts.structures import CERVICAL, LUMBAR, THORACIC, VERTEBRAE

ODD, EVEN = "odd vertebrae", "even vertebrae"
CANAL = "spinal canal"
TALLEST_MM = 90.0
"""No vertebra with its processes is taller."""

_VERSE = {**{number: level for number, level in enumerate(VERTEBRAE, start=1)}, 25: "L6", 28: "T13"}
_FROM_BELOW = dict(enumerate(reversed(VERTEBRAE), start=1))
_ORDER = (*reversed(CERVICAL), *reversed(THORACIC), "T13", *reversed(LUMBAR), "L6")


@dataclass(frozen=True)
class SpineScheme:
    """How a data set writes spines down.

    Attributes:
        levels: id → vertebra.
        others: id → a further class.
        left_out: ids that are background here.
        modality: of an image that does not say its own.
    """

    levels: Mapping[int, str]
    others: Mapping[int, str]
    left_out: frozenset[int]
    modality: str

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the labels 1, 2, … after :func:`in_turn`."""
        return (ODD, EVEN, *dict.fromkeys(self.others.values()))


SPINE_SCHEMES: Mapping[str, SpineScheme] = MappingProxyType(
    {
        "verse": SpineScheme(_VERSE, {}, frozenset(), "CT"),
        "spider": SpineScheme(
            _FROM_BELOW | {100 + number: level for number, level in _FROM_BELOW.items()},
            {100: CANAL},
            frozenset(range(201, 226)),
            "MR",
        ),
    }
)


def turns(levels: Iterable[str]) -> dict[str, str]:
    """Vertebra → odd or even, C1 being odd, so that neighbours differ whoever is there.

    A thirteenth thoracic vertebra moves the lumbar ones on by one, a missing twelfth moves them back.

    >>> turns(["T11", "T12", "L1"])
    {'T11': 'even vertebrae', 'T12': 'odd vertebrae', 'L1': 'even vertebrae'}
    >>> turns(["T11", "L1"])
    {'T11': 'even vertebrae', 'L1': 'odd vertebrae'}
    """
    present = set(levels)
    moved = ("T13" in present) - ({"T11", "L1"} <= present and "T12" not in present)
    found = {}
    for place, level in enumerate((name for name in _ORDER if name != "T13"), start=1):
        if level in present:
            found[level] = (EVEN, ODD)[(place + (moved if level[0] == "L" else 0)) % 2]
    if "T13" in present:
        found["T13"] = EVEN
    return {level: found[level] for level in _ORDER if level in found}


def in_turn(labels: NDArray[np.integer], scheme: str, tall_mm: float, where: str) -> NDArray[np.int16]:
    """A label map in the ids of a scheme as 0, or 1 + index into the scheme's classes.

    Args:
        labels: (X, Y, Z).
        tall_mm: voxel size along Z.
        where: what messages call the map.

    Raises:
        ValueError: an id that the scheme does not have, no vertebra, or the whole spine in one of them.
    """
    own = SPINE_SCHEMES[scheme]
    present = [int(value) for value in np.unique(labels) if value]
    known = own.levels.keys() | own.others.keys() | own.left_out
    if strange := [str(value) for value in present if value not in known]:
        raise ValueError(f"{where} has ids that {scheme} does not have: {', '.join(strange[:10])}")
    vertebrae = [value for value in present if value in own.levels]
    if not vertebrae:
        raise ValueError(f"{where} has no vertebra; its ids are {', '.join(map(str, [0, *present]))}")
    if len(vertebrae) == 1:
        slices = np.flatnonzero((labels == vertebrae[0]).any(axis=(0, 1)))
        tall = (slices[-1] - slices[0] + 1) * tall_mm
        if tall > TALLEST_MM:
            raise ValueError(
                f"{where} has one vertebra, id {vertebrae[0]}, and it is {tall:.0f} mm tall: the whole spine "
                "seems to be one class; each vertebra needs an id of its own"
            )
    parity = turns(own.levels[value] for value in vertebrae)
    number = {name: 1 + place for place, name in enumerate(own.classes)}
    new = {value: number[parity[own.levels[value]]] for value in vertebrae}
    new |= {value: number[name] for value, name in own.others.items()}
    table = np.array([new.get(value, 0) for value in [0, *present]], dtype=np.int16)
    return table[np.searchsorted([0, *present], labels)]
