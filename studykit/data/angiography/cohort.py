"""A semi-synthetic angiography cohort: drawn arteries, some with an aneurysm, in the tissue of a real head.

The heads are those of :mod:`studykit.data.cohorts.cohort`; arteries and aneurysms are drawn from a seed, and
so it is known where an aneurysm is, and how large. Some arteries are widened in the healthy as in the others.
What is learnt on it is evidence about mechanisms, not about patients.

    settings = AngiographySettings(subjects=60)
    cohort = make_angiographies(settings)      # volumes as studykit.data.volumes.cache.prepare gives them
    truth = draw_angiographies(settings)       # presence, site, diameter and centre of each
"""

import json
from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from studykit.data.angiography.rendering import blood_shares
from studykit.data.angiography.subjects import (
    AngiographyPlan,
    AngiographyRow,
    AngiographySettings,
    angiography_settings,
    derived_seed,
    draw_angiographies,
    plan_angiography,
)
from studykit.data.cohorts.deformation import smooth_noise
from studykit.data.cohorts.regions import REGIONS
from studykit.data.cohorts.synthesis import Pose, acquire, mean_intensity, region_means, template_points
from studykit.data.cohorts.templates import Template, load_template
from studykit.data.files.digests import text_sha256
from studykit.data.volumes.cache import Prepared
from studykit.data.volumes.synthetic import SyntheticVolume, all_made
from studykit.data.volumes.volumes import PREPARATION_VERSION, PreparedArrays, Volume, prepare_arrays
from studykit.home import data_dir

ANGIOGRAPHY_VERSION = 2
"""Raised when the same settings give other voxels or another truth than before."""

BACKGROUND, VESSEL, ANEURYSM = 0, 1, 2
LEAST_SHARE = 0.3
"""Of a voxel that blood fills, for the label of a vessel or an aneurysm: half would lose the thin ones."""

WARP_MM, WARP_DISTANCE_MM, FIELD_STEP = 2.5, 50.0, 8
"""Of the head's tissue: displacement, distance of control points, voxels of the template a field voxel."""
BLOOD_SPREAD, BLOOD_DISTANCE_MM = 0.04, 12.0
"""Standard deviation of the logarithm of blood's intensity in a subject, distance of control points."""


def make_angiographies(settings: AngiographySettings, *, cache: str | Path | None = None) -> Prepared:
    """The volumes of a cohort, made the first time and mapped from the cache afterwards.

    Labels: 0 background, 1 vessel, 2 aneurysm.

    Args:
        cache: folder for archives, templates and volumes; default :func:`studykit.home.data_dir`.

    Raises:
        archives.ArchiveUnavailable: no network and no copy of a template's archive.
    """
    cache = data_dir() if cache is None else Path(cache)
    plans = [plan_angiography(settings, number) for number in range(settings.subjects)]
    keys = {name: load_template(name, cache).key for name in dict.fromkeys(plan.template for plan in plans)}
    volumes = all_made(
        [AngiographyVolume(plan, settings, keys[plan.template], cache) for plan in plans], "angiographies"
    )
    fingerprint = text_sha256(json.dumps([[volume.subject, volume.key] for volume in volumes]))
    name = f"angio:{settings.used_scanner.name}:{settings.subjects}"
    return Prepared(name, volumes, (), settings.prepared, fingerprint)


def open_angiography(
    source: str, spacing_mm: float, *, cache: str | Path | None = None
) -> tuple[Prepared, tuple[AngiographyRow, ...]]:
    """Volumes and truth of a source by name, see :func:`angiography_settings`."""
    settings = angiography_settings(source, spacing_mm)
    prepared = make_angiographies(settings, cache=cache)
    return replace(prepared, name=source), _truth(settings)


@lru_cache(maxsize=4)
def _truth(settings: AngiographySettings) -> tuple[AngiographyRow, ...]:
    """Each training of a study opens its cohort, and arteries take longer to grow than volumes to map."""
    return draw_angiographies(settings)


class AngiographyVolume(SyntheticVolume):
    """A subject of an angiography cohort.

    Args:
        template_key: of the template that the plan names.
    """

    def __init__(
        self, plan: AngiographyPlan, settings: AngiographySettings, template_key: str, cache: Path
    ) -> None:
        scanner = settings.used_scanner
        self.subject, self.modality, self.template = plan.id, scanner.modality, plan.template
        self.cache, self._plan, self._settings = cache, plan, settings
        identity = [
            [ANGIOGRAPHY_VERSION, PREPARATION_VERSION, template_key, plan.id, asdict(scanner)],
            [plan.site, plan.diameter_mm] if plan.site else None,
            [settings.shape, settings.prepared.identity()],
        ]
        self.key = text_sha256(json.dumps(identity, sort_keys=True))[:32]

    def make(self) -> PreparedArrays:
        return _synthesize(self._plan, _template(self.template, self.cache), self._settings)


@lru_cache(maxsize=4)
def _template(name: str, cache: Path) -> Template:
    return load_template(name, cache)


def _synthesize(plan: AngiographyPlan, template: Template, settings: AngiographySettings) -> PreparedArrays:
    """Tissue of the template under its own deformation, blood in it, and the image of the scanner."""
    import nibabel as nib

    scanner, spacing = settings.used_scanner, settings.spacing_mm
    rng = np.random.default_rng(derived_seed("scan", plan.id, scanner.name))
    means = region_means("head", scanner, rng)
    image, body = _tissue(plan, template, settings, means)
    vessels = [vessel for tree in plan.arteries() for vessel in tree.values()]
    vessel, sac = blood_shares(vessels, plan.aneurysm(), settings.shape, spacing)
    blood = dict(scanner.means)["blood"] + scanner.spread * rng.standard_normal()
    local = smooth_noise(settings.shape, BLOOD_DISTANCE_MM / spacing, 1, rng)[0]
    share = np.clip(vessel + sac, 0, 1)
    image = (1 - share) * image + share * np.float32(blood) * np.exp(BLOOD_SPREAD * local)
    image = acquire(image, body | (share > 0), [spacing] * 3, scanner, rng)
    labels = np.where(share < LEAST_SHARE, BACKGROUND, np.where(sac > vessel, ANEURYSM, VESSEL))
    middle = (np.array(settings.shape) - 1) / 2
    affine = nib.affines.from_matvec(np.eye(3) * spacing, -spacing * middle)
    volume = Volume(image.astype(np.float32), affine, plan.id)
    return prepare_arrays(volume, labels.astype(np.int32), scanner.modality, settings.prepared)


def _tissue(
    plan: AngiographyPlan, template: Template, settings: AngiographySettings, means: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Mean intensity of the head without its arteries, and where there is more than air: (X, Y, Z)."""
    spacing, voxel = settings.spacing_mm, template.voxel_mm
    to_template = plan.rotation.T / (plan.size * voxel)
    first = -spacing * (np.array(settings.shape) - 1) / 2 - plan.shift_mm
    pose = Pose(to_template * spacing, to_template @ first + _ring_middle(template))
    field, field_voxel = [-(-side // FIELD_STEP) for side in template.regions.shape], voxel * FIELD_STEP
    rng = np.random.default_rng(derived_seed("warp", plan.id))
    warp = WARP_MM / field_voxel * smooth_noise(field, WARP_DISTANCE_MM / field_voxel, 3, rng)
    points = template_points(pose, settings.shape, torch.from_numpy(warp), FIELD_STEP)
    image = mean_intensity(template.regions, points, means, np.linalg.norm(pose.matrix, axis=1))
    air = np.array([tissue == "air" for _, tissue in REGIONS["head"]], dtype=np.float32)
    return image, mean_intensity(template.regions, points, air, np.zeros(3)) < 0.5


def _ring_middle(template: Template) -> NDArray[np.float64]:
    """Where the ring of Willis lies, in template voxels: between the amygdalae."""
    return np.argwhere(template.mask("amygdala")).mean(axis=0)
