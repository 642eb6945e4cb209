"""Who is in a semi-synthetic cohort: each subject's template, size, shape, group and scanner, from a seed.

A subject is drawn from the seed, its number and its template alone. It keeps its shape and its id when the
cohort gets more subjects, another scanner, another resolution or another effect: the same people can be
scanned twice, or with and without an effect, and a split by id keeps them apart. Another seed means other
people.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from studykit.data.cohorts.regions import STRUCTURES
from studykit.data.cohorts.scanners import Scanner, find_scanner
from studykit.data.cohorts.structures import classes_of
from studykit.data.cohorts.templates import template_source
from studykit.data.files.digests import text_sha256

MOST_DEVIATIONS = 2.5
"""No drawn size or shape is further from its mean, in standard deviations."""

Factors = tuple[tuple[str, float], ...]
"""(structure, number) pairs."""


@dataclass(frozen=True)
class Variation:
    """How much subjects of one template differ.

    Attributes:
        size: standard deviation of the logarithm of the whole body's volume.
        aspect: of the logarithm of the stretch along each axis; the three keep the volume.
        structures: of the logarithm of single structures' volumes.
        rotation_degrees: standard deviation of the turn about each axis.
        shift_mm: of the place in the field of view, along each axis.
        warp: (distance of control points in mm, standard deviation of the velocity in mm) pairs: smooth
            random deformations of all that is there.
        mirrored: whether half of the subjects are mirrored left to right.
    """

    size: float
    aspect: float
    structures: Factors
    rotation_degrees: float
    shift_mm: float
    warp: tuple[tuple[float, float], ...]
    mirrored: bool


VARIATIONS: Mapping[str, Variation] = MappingProxyType(
    {
        "head": Variation(
            size=0.09,
            aspect=0.025,
            structures=(
                ("lateral ventricle", 0.3),
                ("thalamus", 0.06),
                ("caudate", 0.08),
                ("putamen", 0.08),
                ("hippocampus", 0.09),
                ("amygdala", 0.09),
            ),
            rotation_degrees=4.0,
            shift_mm=3.0,
            warp=((50.0, 2.5), (18.0, 0.8)),
            mirrored=True,
        ),
        "body": Variation(
            size=0.12,
            aspect=0.04,
            structures=(("spleen", 0.25), ("kidney", 0.12), ("liver", 0.1), ("stomach", 0.2), ("heart", 0.1)),
            rotation_degrees=3.0,
            shift_mm=8.0,
            warp=((90.0, 6.0), (40.0, 1.5)),
            mirrored=False,
        ),
    }
)
"""For each anatomy, about what healthy adults differ by. Chosen, not fitted."""

YIELDING: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"head": ("cortex", "white matter"), "body": ("", "muscles")}
)
"""What gives way to a structure that grows, and fills the place of one that shrinks."""


@dataclass(frozen=True)
class Group:
    """An effect of known size: factors on what each of the group's subjects would have without it.

    Attributes:
        size: on the whole body's volume.
        structures: on single structures' volumes, such as ``(("hippocampus", 0.8),)``.
    """

    name: str
    size: float = 1.0
    structures: Factors = ()


@dataclass(frozen=True, kw_only=True)
class CohortSettings:
    """A cohort.

    Groups, templates and scanners are crossed: subjects take all combinations in turn, the group changing
    fastest, so that none of them tells another.

    Attributes:
        name: what messages call it; two cohorts that differ in nothing else have the same volumes.
        templates: names, all heads or all bodies; see :data:`studykit.data.cohorts.templates.TEMPLATES`.
        scanners: names or :class:`~studykit.data.cohorts.scanners.Scanner` objects.
        structures: what is labelled; default all of the anatomy.
        centre: structures that the field of view is centred on; default the labelled ones.
        united: (class, structures) pairs of structures that share a label; each other one has its own.
        shape: voxels along X, Y, Z.
        variation: default the anatomy's.

    Raises:
        ValueError: an unknown name (the message lists the known ones), heads mixed with bodies, or a number
            out of range.
    """

    name: str
    subjects: int
    templates: tuple[str, ...] = ("pitt-50038", "mni-ibsr", "mni-neuromorphometrics")
    scanners: tuple[str | Scanner, ...] = ("t1",)
    groups: tuple[Group, ...] = (Group("all"),)
    structures: tuple[str, ...] = ()
    centre: tuple[str, ...] = ()
    spacing_mm: float = 2.0
    shape: tuple[int, int, int] = (96, 112, 96)
    seed: int = 0
    variation: Variation | None = None
    united: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def __post_init__(self) -> None:
        anatomies = {template_source(name).anatomy for name in self.templates}
        if len(anatomies) != 1:
            raise ValueError(f"templates must be all heads or all bodies, at least one; got {self.templates}")
        if self.subjects < 1 or self.spacing_mm <= 0 or min(self.shape) < 8 or len(self.shape) != 3:
            raise ValueError(
                "a cohort needs subjects from 1, spacing_mm above 0 and three sides from 8 voxels; got "
                f"{self.subjects}, {self.spacing_mm} and {self.shape}"
            )
        known = STRUCTURES[self.anatomy]
        pairs = [pair for group in self.groups for pair in group.structures] + list(self.drawn.structures)
        for name in [*self.structures, *self.centre, *(name for name, _ in pairs)]:
            if name not in known:
                raise ValueError(f"a {self.anatomy} has no structure {name!r}; known: {', '.join(known)}")
        lists = {
            "structures": self.structures,
            "groups": [group.name for group in self.groups],
            "scanners": [scanner.name for scanner in self.used_scanners],
        }
        for what, names in lists.items():
            if len(set(names)) < len(names) or (not names and what != "structures"):
                raise ValueError(f"{what} must be distinct, at least one; got {', '.join(names) or 'none'}")
        shared = [name for _, members in self.united for name in members]
        if len(set(shared)) < len(shared) or not set(shared) <= set(self.labelled):
            raise ValueError(f"united structures must be labelled ones, each in one class; got {self.united}")
        for group in self.groups:
            if min([group.size, *(factor for _, factor in group.structures)]) <= 0:
                raise ValueError(f"group {group.name!r}: factors of volumes must be positive")

    @property
    def anatomy(self) -> str:
        """``"head"`` or ``"body"``."""
        return template_source(self.templates[0]).anatomy

    @property
    def labelled(self) -> tuple[str, ...]:
        """All structures that have a label."""
        return self.structures or STRUCTURES[self.anatomy]

    @property
    def classes(self) -> Mapping[str, tuple[str, ...]]:
        """Class → its structures, in the order of the labels, which start at 1."""
        return dict(classes_of(self.labelled, self.united))

    @property
    def used_scanners(self) -> tuple[Scanner, ...]:
        return tuple(s if isinstance(s, Scanner) else find_scanner(s) for s in self.scanners)

    @property
    def drawn(self) -> Variation:
        """The variation in use."""
        return VARIATIONS[self.anatomy] if self.variation is None else self.variation


@dataclass(frozen=True)
class SubjectPlan:
    """One subject before any voxel: the truth about it.

    Attributes:
        id: the same for the same person whatever the scanner, group, resolution or cohort.
        size: factor on the template's volume, the group's included.
        aspect: stretch along the template's X, Y, Z at that volume.
        factors: (structure, factor on its volume beyond ``size``), the group's included.
        rotation_degrees, shift_mm: pose about and along X, Y, Z.
        warp_seed, scan_seed: of the random deformation and of the image.
    """

    id: str
    template: str
    group: str
    scanner: Scanner
    size: float
    aspect: tuple[float, float, float]
    factors: Factors
    rotation_degrees: tuple[float, float, float]
    shift_mm: tuple[float, float, float]
    mirrored: bool
    warp_seed: int
    scan_seed: int

    def identity(self) -> dict[str, Any]:
        """Plain values for hashing: all that decides anatomy and image, without the names of groups."""
        return {key: value for key, value in asdict(self).items() if key not in ("id", "group")}


def draw_subjects(settings: CohortSettings) -> tuple[SubjectPlan, ...]:
    """Every subject of a cohort, in order. Needs no data: it is the cohort's table of truth."""
    return tuple(_draw(settings, number) for number in range(settings.subjects))


def _draw(settings: CohortSettings, number: int) -> SubjectPlan:
    turn, group = divmod(number, len(settings.groups))
    turn, template = divmod(turn, len(settings.templates))
    chosen, name = settings.groups[group], settings.templates[template]
    scanner = settings.used_scanners[turn % len(settings.scanners)]
    identity = f"{name}-s{settings.seed}-{number:04d}"
    rng = np.random.default_rng(_seed("shape", identity))
    variation = settings.drawn
    size, *aspect = _normal(rng, 4) * [variation.size, *[variation.aspect] * 3]
    rotation, shift = _normal(rng, 3) * variation.rotation_degrees, _normal(rng, 3) * variation.shift_mm
    mirrored = variation.mirrored and bool(rng.uniform() < 0.5)
    own = {s: float(np.exp(d * _normal(rng, 1)[0])) for s, d in variation.structures}
    for structure, factor in chosen.structures:
        own[structure] = own.get(structure, 1.0) * factor
    return SubjectPlan(
        identity,
        name,
        chosen.name,
        scanner,
        float(np.exp(size)) * chosen.size,
        tuple(float(value) for value in np.exp(aspect - np.mean(aspect))),
        tuple(own.items()),
        tuple(rotation.tolist()),
        tuple(shift.tolist()),
        mirrored,
        _seed("warp", identity),
        _seed("scan", identity, scanner.name),
    )


def _normal(rng: np.random.Generator, count: int) -> np.ndarray:
    return rng.standard_normal(count).clip(-MOST_DEVIATIONS, MOST_DEVIATIONS)


def _seed(*words: str) -> int:
    return int(text_sha256(json.dumps(words))[:12], 16)
