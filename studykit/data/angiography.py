"""A semi-synthetic angiography cohort: drawn arteries, some with an aneurysm, in the tissue of a real head.

Head and scanner are those of :mod:`studykit.data.cohort`; arteries and aneurysms are drawn from a seed, and so
where an aneurysm is, and how large, is known. What is learnt on it is evidence about mechanisms, not about
patients. A subject with an aneurysm is the same without it where ``share`` makes it healthy.

    settings = AngiographySettings(subjects=60)
    cohort = make_angiographies(settings)      # volumes as studykit.data.cache.prepare gives them
    truth = draw_angiographies(settings)       # presence, site, diameter and centre of each
"""

import json
from dataclasses import asdict, dataclass, replace
from functools import cache as remembered
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from numpy.typing import NDArray

from studykit.data.aneurysm_sites import SITES, label_vector, site_number
from studykit.data.aneurysms import Aneurysm, place_aneurysm
from studykit.data.angiography_scanners import find_angiography_scanner
from studykit.data.cache import Prepared, PreparedVolume, cached_arrays
from studykit.data.deformation import smooth_noise
from studykit.data.digests import text_sha256
from studykit.data.regions import REGIONS
from studykit.data.scanners import Scanner
from studykit.data.synthesis import Pose, acquire, mean_intensity, region_means, template_points
from studykit.data.templates import Template, load_template, template_source
from studykit.data.vessel_rendering import blood_shares
from studykit.data.vessel_trees import Tree, Vessel, grow_tree
from studykit.data.volumes import PREPARATION_VERSION, PreparedArrays, Volume, VolumeSettings, prepare_arrays
from studykit.home import data_dir

ANGIOGRAPHY_VERSION = 1
"""Raised when the same settings give other voxels or another truth than before."""

FIELD_MM = 72.0
"""Side of the field of view that :func:`open_angiography` takes."""
HU_WINDOW = (-100.0, 600.0)
"""For CT; bone above it looks no brighter."""
PERCENTILES = (0.5, 99.9)
"""For MR; the arteries stay below the upper one."""

BACKGROUND, VESSEL, ANEURYSM = 0, 1, 2
LEAST_SHARE = 0.3
"""Of a voxel that blood fills, for the label of a vessel or an aneurysm."""

SIZE, ROTATION_DEGREES, SHIFT_MM = 0.03, 5.0, 2.0
"""Standard deviations: of the logarithm of lengths, of the turn about each axis, of the place along it."""
WARP_MM, WARP_DISTANCE_MM, FIELD_STEP = 2.5, 50.0, 8
"""Of the head's tissue: displacement, distance of its control points, voxels of the template a field voxel."""
MOST_DEVIATIONS = 2.0
BLOOD_SPREAD = 0.04
"""Standard deviation of the logarithm of blood's intensity along and between arteries of one subject."""


@dataclass(frozen=True, kw_only=True)
class AngiographySettings:
    """A cohort.

    Subject n of a seed has its arteries, its head and its aneurysm whatever the other settings are, but for
    the scanner's noise and for whether it has that aneurysm: ``share`` of any first subjects do, as nearly as
    can be. Thirteen subjects with an aneurysm in a row have it at all the sites.

    Attributes:
        scanner: name (see :data:`studykit.data.angiography_scanners.ANGIOGRAPHY_SCANNERS`) or a
            :class:`~studykit.data.scanners.Scanner`.
        share: of subjects with an aneurysm, one each.
        diameters_mm: smallest and largest; logarithms are uniform.
        shape: voxels along X, Y, Z about the middle of the ring of Willis.
        templates: heads, see :data:`studykit.data.templates.TEMPLATES`; each subject has one of them.

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
        site: one of :data:`studykit.data.aneurysm_sites.SITES`, ``""`` without an aneurysm.
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
        """The 14 labels of :data:`studykit.data.aneurysm_sites.LABELS`, 0 or 1."""
        return label_vector(*[self.site] * self.present)


def draw_angiographies(settings: AngiographySettings) -> tuple[AngiographyRow, ...]:
    """The table of truth, in order. Needs no data, and a few hundredths of a second a subject."""
    return tuple(_row(_draw(settings, number)) for number in range(settings.subjects))


def make_angiographies(settings: AngiographySettings, *, cache: str | Path | None = None) -> Prepared:
    """The volumes of a cohort, made the first time and mapped from the cache afterwards.

    Labels: 0 background, 1 vessel, 2 aneurysm.

    Args:
        cache: folder for archives, templates and volumes; default :func:`studykit.home.data_dir`.

    Raises:
        archives.ArchiveUnavailable: no network and no copy of a template's archive.
    """
    from tqdm import tqdm

    cache = data_dir() if cache is None else Path(cache)
    load = remembered(lambda name: load_template(name, cache))
    numbers = tqdm(range(settings.subjects), desc="angiographies", unit="volume", disable=None)
    volumes = [_make_one(settings, number, load, cache) for number in numbers]
    fingerprint = text_sha256(json.dumps([[volume.subject, volume.key] for volume in volumes]))
    name = f"angio:{settings.used_scanner.name}:{settings.subjects}"
    return Prepared(name, tuple(volumes), (), settings.prepared, fingerprint)


def angiography_settings(source: str, spacing_mm: float) -> AngiographySettings:
    """The cohort that a source's name stands for: ``angio:SCANNER:SUBJECTS``, or ``angio:SCANNER:SUBJECTS:SEED``.

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


def open_angiography(
    source: str, spacing_mm: float, *, cache: str | Path | None = None
) -> tuple[Prepared, tuple[AngiographyRow, ...]]:
    """Volumes and truth of a source by name, see :func:`angiography_settings`."""
    settings = angiography_settings(source, spacing_mm)
    prepared = make_angiographies(settings, cache=cache)
    return replace(prepared, name=source), draw_angiographies(settings)


@dataclass(frozen=True)
class _Plan:
    """One subject before any voxel."""

    id: str
    template: str
    rotation: NDArray[np.float64]
    size: float
    shift_mm: NDArray[np.float64]
    vessels: tuple[Vessel, ...]
    aneurysm: Aneurysm | None


def _draw(settings: AngiographySettings, number: int) -> _Plan:
    identity = f"angio-s{settings.seed}-{number:04d}"
    rng = np.random.default_rng(_seed("head", identity))
    template = settings.templates[rng.integers(len(settings.templates))]
    size = float(np.exp(SIZE * _normal(rng, 1)[0]))
    rotation = nib.eulerangles.euler2mat(*np.deg2rad(ROTATION_DEGREES * _normal(rng, 3)))
    shift = SHIFT_MM * _normal(rng, 3)
    grown = grow_tree(np.random.default_rng(_seed("arteries", identity)))
    tree: Tree = {
        name: replace(v, points=size * v.points @ rotation.T + shift, radii=size * v.radii)
        for name, v in grown.items()
    }
    before, after = (int(np.floor(settings.share * (number + more) + 1e-9)) for more in (0, 1))
    aneurysm = _aneurysm(settings, identity, before, tree) if after > before else None
    return _Plan(identity, template, rotation, size, shift, tuple(tree.values()), aneurysm)


def _aneurysm(settings: AngiographySettings, identity: str, rank: int, tree: Tree) -> Aneurysm:
    """That of the subject which ``rank`` others with one stand before."""
    turn, place = divmod(rank, len(SITES))
    order = np.random.default_rng(_seed("sites", str(settings.seed), str(turn))).permutation(len(SITES))
    rng = np.random.default_rng(_seed("aneurysm", identity))
    low, high = np.log(settings.diameters_mm)
    diameter = float(np.exp(low + (high - low) * rng.uniform()))
    return place_aneurysm(tree, SITES[order[place]], diameter, rng)


def _row(plan: _Plan) -> AngiographyRow:
    if plan.aneurysm is None:
        return AngiographyRow(plan.id, False, "", float("nan"), (float("nan"),) * 3)
    centre = tuple(float(value) for value in plan.aneurysm.centre)
    return AngiographyRow(plan.id, True, plan.aneurysm.site, plan.aneurysm.diameter_mm, centre)


def _make_one(settings: AngiographySettings, number: int, load: Any, cache: Path) -> PreparedVolume:
    plan = _draw(settings, number)
    template, scanner = load(plan.template), settings.used_scanner
    identity = [
        [ANGIOGRAPHY_VERSION, PREPARATION_VERSION, template.key, plan.id, asdict(scanner)],
        None if plan.aneurysm is None else [plan.aneurysm.site, plan.aneurysm.diameter_mm],
        [settings.shape, settings.prepared.identity()],
    ]
    key = text_sha256(json.dumps(identity, sort_keys=True))[:32]
    found = cached_arrays(cache, key, lambda: _synthesize(plan, template, settings))
    return PreparedVolume(
        plan.id, found.image, found.foreground, found.labels, found.affine, scanner.modality, key
    )


def _synthesize(plan: _Plan, template: Template, settings: AngiographySettings) -> PreparedArrays:
    """Tissue of the template under its own deformation, blood in it, and the image of the scanner."""
    scanner, spacing = settings.used_scanner, settings.spacing_mm
    rng = np.random.default_rng(_seed("scan", plan.id, scanner.name))
    means = region_means("head", scanner, rng)
    image, body = _tissue(plan, template, settings, means)
    vessel, sac = blood_shares(plan.vessels, plan.aneurysm, settings.shape, spacing)
    blood = dict(scanner.means)["blood"] + scanner.spread * rng.standard_normal()
    local = smooth_noise(settings.shape, 12.0 / spacing, 1, rng)[0]
    share = np.clip(vessel + sac, 0, 1)
    image = (1 - share) * image + share * np.float32(blood) * np.exp(BLOOD_SPREAD * local)
    image = acquire(image, body | (share > 0), [spacing] * 3, scanner, rng)
    labels = np.where(share < LEAST_SHARE, BACKGROUND, np.where(sac > vessel, ANEURYSM, VESSEL))
    middle = (np.array(settings.shape) - 1) / 2
    affine = nib.affines.from_matvec(np.eye(3) * spacing, -spacing * middle)
    volume = Volume(image.astype(np.float32), affine, plan.id)
    return prepare_arrays(volume, labels.astype(np.int32), scanner.modality, settings.prepared)


def _tissue(
    plan: _Plan, template: Template, settings: AngiographySettings, means: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Mean intensity of the head without its arteries, and where there is more than air: (X, Y, Z)."""
    spacing, voxel = settings.spacing_mm, template.voxel_mm
    to_template = plan.rotation.T / (plan.size * voxel)
    first = -spacing * (np.array(settings.shape) - 1) / 2 - plan.shift_mm
    pose = Pose(to_template * spacing, to_template @ first + _ring_middle(template))
    field = [-(-side // FIELD_STEP) for side in template.regions.shape]
    rng = np.random.default_rng(_seed("warp", plan.id))
    warp = (
        WARP_MM / (voxel * FIELD_STEP) * smooth_noise(field, WARP_DISTANCE_MM / (voxel * FIELD_STEP), 3, rng)
    )
    points = template_points(pose, settings.shape, torch.from_numpy(warp), FIELD_STEP)
    image = mean_intensity(template.regions, points, means, np.linalg.norm(pose.matrix, axis=1))
    air = np.array([tissue == "air" for _, tissue in REGIONS["head"]], dtype=np.float32)
    return image, mean_intensity(template.regions, points, air, np.zeros(3)) < 0.5


def _ring_middle(template: Template) -> NDArray[np.float64]:
    """Where the ring of Willis lies, in template voxels: between the amygdalae."""
    return np.argwhere(template.mask("amygdala")).mean(axis=0)


def _normal(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    return rng.standard_normal(count).clip(-MOST_DEVIATIONS, MOST_DEVIATIONS)


def _seed(*words: str) -> int:
    return int(text_sha256(json.dumps(words))[:12], 16)
