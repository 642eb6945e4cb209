"""Who is in an angiography cohort: each subject's head, arteries and aneurysm, from a seed and a number.

As in :mod:`studykit.data.cohorts.subjects`, a subject keeps its shape and its id when the cohort gets more
subjects, another scanner or another resolution. Nothing here needs data: it is the cohort's truth.
"""

import json
import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from studykit.data.angiography.aneurysms import Aneurysm, place_aneurysm
from studykit.data.angiography.scanners import find_angiography_scanner
from studykit.data.angiography.sites import SITES, label_vector, site_number
from studykit.data.angiography.vessel_trees import Tree, grow_branches, grow_ring
from studykit.data.cohorts.scanners import Scanner
from studykit.data.cohorts.templates import template_source
from studykit.data.files.digests import text_sha256
from studykit.data.volumes.volumes import VolumeSettings

HU_WINDOW = (-100.0, 600.0)
"""For CT; bone above it looks no brighter."""
PERCENTILES = (0.5, 99.9)
"""For MR; the arteries stay below the upper one."""
SIZE, ROTATION_DEGREES, SHIFT_MM = 0.03, 5.0, 2.0
"""Standard deviations: of the logarithm of lengths, of the turn about each axis, of the place along it."""
MOST_DEVIATIONS = 2.0
"""No drawn number of these is further from its mean, in standard deviations."""


@dataclass(frozen=True, kw_only=True)
class AngiographySettings:
    """A cohort.

    Subject n of a seed has its arteries and its head whatever the other settings are. ``share`` of the first
    subjects have an aneurysm, however many these are, and thirteen of them in a row have it at all the sites.

    Attributes:
        scanner: name (see :data:`studykit.data.angiography.scanners.ANGIOGRAPHY_SCANNERS`) or a
            :class:`~studykit.data.cohorts.scanners.Scanner`.
        share: of subjects with an aneurysm, one each.
        diameters_mm: smallest and largest; logarithms are uniform.
        shape: voxels along X, Y, Z about the middle of the ring of Willis.
        templates: heads, see :data:`studykit.data.cohorts.templates.TEMPLATES`; each subject has one of them.

    Raises:
        ValueError: an unknown name (the message lists the known ones) or a number out of range.
    """

    subjects: int
    scanner: str | Scanner = "mra"
    share: float = 0.5
    diameters_mm: tuple[float, float] = (4.0, 12.0)
    spacing_mm: float = 1.5
    shape: tuple[int, int, int] = (48, 48, 48)
    seed: int = 0
    templates: tuple[str, ...] = ("pitt-50038", "mni-ibsr", "mni-neuromorphometrics")

    def __post_init__(self) -> None:
        if self.subjects < 1 or self.spacing_mm <= 0 or min(self.shape) < 8 or len(self.shape) != 3:
            raise ValueError(
                "a cohort needs subjects from 1, spacing_mm above 0 and three sides from 8 voxels; got "
                f"{self.subjects}, {self.spacing_mm} and {self.shape}"
            )
        low, high = self.diameters_mm
        if not 0 < low <= high or not 0 <= self.share <= 1:
            raise ValueError(
                "an angiography cohort needs rising positive diameters_mm and a share from 0 to 1; got "
                f"{self.diameters_mm} and {self.share}"
            )
        bodies = [name for name in self.templates if template_source(name).anatomy != "head"]
        if bodies or not self.templates:
            raise ValueError(f"templates must be heads, at least one; got {self.templates}")
        assert self.used_scanner

    @property
    def used_scanner(self) -> Scanner:
        return self.scanner if isinstance(self.scanner, Scanner) else find_angiography_scanner(self.scanner)

    @property
    def prepared(self) -> VolumeSettings:
        """How images are prepared: neither resampled nor cut."""
        return VolumeSettings(
            spacing_mm=self.spacing_mm, crop=False, hu_window=HU_WINDOW, percentiles=PERCENTILES
        )


@dataclass(frozen=True)
class AngiographyRow:
    """The truth about one subject.

    Attributes:
        id: the same for the same subject whatever the scanner, resolution or share.
        site: one of :data:`studykit.data.angiography.sites.SITES`, ``""`` without an aneurysm.
        diameter_mm: of the sphere of the sac's volume; NaN without.
        centre_mm: of the sac in RAS mm, the volume's middle being 0; NaN without.
    """

    id: str
    present: bool
    site: str
    diameter_mm: float
    centre_mm: tuple[float, float, float]

    @property
    def site_number(self) -> int:
        """1 + place in ``SITES``, 0 without an aneurysm."""
        return site_number(self.site)

    @property
    def labels(self) -> tuple[int, ...]:
        """The 14 labels of :data:`studykit.data.angiography.sites.LABELS`, 0 or 1."""
        return label_vector(*[self.site] * self.present)


@dataclass(frozen=True)
class SeriesRow:
    """What the challenge says of a series.

    Attributes:
        id: of the series.
        labels: 0 or 1 for each of :data:`studykit.data.angiography.sites.LABELS`.
        diameter_mm: NaN: the challenge has points.
    """

    id: str
    labels: tuple[int, ...]
    diameter_mm: float = math.nan


Row = AngiographyRow | SeriesRow
"""What is known of a subject's aneurysms."""


@dataclass(frozen=True)
class AngiographyPlan:
    """One subject before any voxel.

    Attributes:
        rotation: 3x3, of the head in the field of view.
        size: factor on lengths, but not on the aneurysm's.
        site, diameter_mm: of the aneurysm; ``""`` and NaN without.
    """

    id: str
    template: str
    rotation: NDArray[np.float64]
    size: float
    shift_mm: NDArray[np.float64]
    site: str
    diameter_mm: float

    def arteries(self) -> tuple[Tree, Tree]:
        """Ring and branches in mm from the middle of the field of view."""
        ring = grow_ring(np.random.default_rng(derived_seed("ring", self.id)))
        branches = grow_branches(ring, np.random.default_rng(derived_seed("branches", self.id)))
        return self._placed(ring), self._placed(branches)

    def aneurysm(self) -> Aneurysm | None:
        """The sac in mm from the middle of the field of view."""
        if not self.site:
            return None
        ring = self._placed(grow_ring(np.random.default_rng(derived_seed("ring", self.id))))
        rng = np.random.default_rng(derived_seed("sac", self.id))
        return place_aneurysm(ring, self.site, self.diameter_mm, rng)

    def _placed(self, tree: Tree) -> Tree:
        return {
            name: replace(
                v, points=self.size * v.points @ self.rotation.T + self.shift_mm, radii=self.size * v.radii
            )
            for name, v in tree.items()
        }


def plan_angiography(settings: AngiographySettings, number: int) -> AngiographyPlan:
    """Subject ``number`` of a cohort, from 0."""
    import nibabel as nib

    identity = f"angio-s{settings.seed}-{number:04d}"
    rng = np.random.default_rng(derived_seed("head", identity))
    template = settings.templates[rng.integers(len(settings.templates))]
    size = float(np.exp(SIZE * _normal(rng, 1)[0]))
    rotation = nib.eulerangles.euler2mat(*np.deg2rad(ROTATION_DEGREES * _normal(rng, 3)))
    shift = SHIFT_MM * _normal(rng, 3)
    low, high = np.log(settings.diameters_mm)
    diameter = float(np.exp(low + (high - low) * rng.uniform()))
    rank, after = (int(np.floor(settings.share * (number + more) + 1e-9)) for more in (0, 1))
    if after == rank:
        return AngiographyPlan(identity, template, rotation, size, shift, "", float("nan"))
    turn, place = divmod(rank, len(SITES))
    order = np.random.default_rng(derived_seed("sites", str(settings.seed), str(turn))).permutation(
        len(SITES)
    )
    return AngiographyPlan(identity, template, rotation, size, shift, SITES[order[place]], diameter)


def draw_angiographies(settings: AngiographySettings) -> tuple[AngiographyRow, ...]:
    """The table of truth, in order. Needs no data."""
    return tuple(_row(plan_angiography(settings, number)) for number in range(settings.subjects))


def _row(plan: AngiographyPlan) -> AngiographyRow:
    sac = plan.aneurysm()
    if sac is None:
        return AngiographyRow(plan.id, False, "", float("nan"), (float("nan"),) * 3)
    centre = tuple(float(value) for value in sac.centre)
    return AngiographyRow(plan.id, True, plan.site, plan.diameter_mm, centre)


def derived_seed(*words: str) -> int:
    """A seed of its own for each use of a subject."""
    return int(text_sha256(json.dumps(words))[:12], 16)


def _normal(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    return rng.standard_normal(count).clip(-MOST_DEVIATIONS, MOST_DEVIATIONS)


FIELD_MM = 72.0
"""Side of the field of view that :func:`open_angiography` takes."""


def angiography_settings(source: str, spacing_mm: float) -> AngiographySettings:
    """The cohort of a name: ``angio:SCANNER:SUBJECTS``, or ``angio:SCANNER:SUBJECTS:SEED``.

    The field of view is a cube of ``FIELD_MM``, rounded to voxels.

    Raises:
        ValueError: another form, an unknown scanner, or numbers out of range.
    """
    kind, *rest = source.split(":")
    if kind != "angio" or len(rest) not in (2, 3) or not all(part.isdecimal() for part in rest[1:]):
        raise ValueError(
            f"unknown angiography source {source!r}; known: angio:SCANNER:SUBJECTS and "
            "angio:SCANNER:SUBJECTS:SEED, such as angio:mra:60"
        )
    scanner, subjects, seed = rest[0], int(rest[1]), int(rest[2]) if len(rest) > 2 else 0
    side = round(FIELD_MM / spacing_mm)
    return AngiographySettings(
        subjects=subjects, scanner=scanner, spacing_mm=spacing_mm, shape=(side,) * 3, seed=seed
    )
