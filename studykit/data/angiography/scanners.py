"""Scanners of the angiography cohort: CT with contrast agent in the arteries, and time-of-flight MR.

They add to :mod:`studykit.data.cohorts.scanners` what makes blood bright. Plausible, not measured.
"""

from collections.abc import Mapping
from types import MappingProxyType

from studykit.data.cohorts.scanners import Scanner

_CTA = Scanner(
    "cta",
    "CT",
    (
        ("air", -1000.0),
        ("lung", -840.0),
        ("fat", -100.0),
        ("fluid", 8.0),
        ("grey matter", 44.0),
        ("deep grey matter", 42.0),
        ("white matter", 30.0),
        ("muscle", 60.0),
        ("organ", 80.0),
        ("blood", 340.0),
        ("marrow", 200.0),
        ("bone", 600.0),
    ),
    spread=12.0,
    texture=12.0,
    bias=0.0,
    resolution_mm=(0.8, 0.8, 1.0),
    noise=30.0,
)
_MRA = Scanner(
    "mra",
    "MR",
    (
        ("air", 0.0),
        ("lung", 0.05),
        ("fat", 0.55),
        ("fluid", 0.16),
        ("grey matter", 0.4),
        ("deep grey matter", 0.4),
        ("white matter", 0.36),
        ("muscle", 0.34),
        ("organ", 0.4),
        ("blood", 1.0),
        ("marrow", 0.4),
        ("bone", 0.1),
    ),
    spread=0.03,
    texture=0.03,
    bias=0.1,
    resolution_mm=(0.8, 0.8, 1.0),
    noise=0.06,
)

ANGIOGRAPHY_SCANNERS: Mapping[str, Scanner] = MappingProxyType({s.name: s for s in (_CTA, _MRA)})


def find_angiography_scanner(name: str) -> Scanner:
    """A scanner by name.

    Raises:
        ValueError: unknown name; the message lists the known ones.
    """
    if name not in ANGIOGRAPHY_SCANNERS:
        raise ValueError(f"unknown angiography scanner {name!r}; known: {', '.join(ANGIOGRAPHY_SCANNERS)}")
    return ANGIOGRAPHY_SCANNERS[name]
