"""A semi-synthetic labelled cohort: real label maps, deformed, resized, and imaged by a scanner that we name.

The labels are known by construction, and so are effects of groups and of scanners. What is learnt on it is
evidence about mechanisms, not about patients: all subjects descend from a few label maps.

    settings = CohortSettings(name="train", subjects=40, scanners=("t1",))
    cohort = make_cohort(settings)          # volumes as studykit.data.volumes.cache.prepare gives them
    truth = draw_subjects(settings)         # group, scanner, sizes of each
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from studykit.data.cohorts.making import CohortVolume, preparation
from studykit.data.cohorts.subjects import CohortSettings, draw_subjects
from studykit.data.cohorts.templates import Template, load_template
from studykit.data.files.digests import text_sha256
from studykit.data.volumes.cache import Prepared, PreparedVolume
from studykit.data.volumes.grids import spacing
from studykit.data.volumes.synthetic import all_made
from studykit.home import data_dir


def make_cohort(settings: CohortSettings, *, cache: str | Path | None = None) -> Prepared:
    """The volumes of a cohort, made the first time and mapped from the cache afterwards.

    Images are prepared as a source's are (window, standardisation, foreground), but neither resampled nor
    cut: all have ``settings.shape``. Labels are 1 + index into ``settings.classes``.

    Args:
        cache: folder for archives, templates and volumes; default :func:`studykit.home.data_dir`.

    Raises:
        ValueError: a template has none of the structures, or not one that a group's effect is on.
        archives.ArchiveUnavailable: no network and no copy of a template's archive.
    """
    cache = data_dir() if cache is None else Path(cache)
    plans = draw_subjects(settings)
    templates = {name: load_template(name, cache) for name in dict.fromkeys(plan.template for plan in plans)}
    for template in templates.values():
        _check_fits(settings, template)
    volumes = all_made(
        [CohortVolume(plan, settings, templates[plan.template].key, cache) for plan in plans],
        f"cohort {settings.name}",
    )
    fingerprint = text_sha256(json.dumps([[volume.subject, volume.key] for volume in volumes]))
    return Prepared(settings.name, volumes, (), preparation(settings), fingerprint)


def _check_fits(settings: CohortSettings, template: Template) -> None:
    if not set(settings.labelled) & set(template.structures):
        raise ValueError(
            f"template {template.name} has none of {', '.join(settings.labelled)}; it has "
            f"{', '.join(template.structures)}"
        )
    for group in settings.groups:
        for structure, _ in group.structures:
            if structure not in template.structures:
                raise ValueError(
                    f"group {group.name!r} changes {structure!r}, which template {template.name} does not "
                    f"have; it has {', '.join(template.structures)}"
                )


@dataclass(frozen=True)
class VolumeRow:
    """How large a structure is in a cohort's subjects of one template, and in the template itself.

    Attributes:
        source_ml: in the template.
        subjects: number of subjects that have it in their field of view.
        mean_ml, deviation_ml, smallest_ml, largest_ml: over those subjects, within the field of view; the
            deviation of one is NaN.
    """

    template: str
    structure: str
    source_ml: float
    subjects: int
    mean_ml: float
    deviation_ml: float
    smallest_ml: float
    largest_ml: float


def structure_volumes_ml(volume: PreparedVolume, structures: Iterable[str]) -> dict[str, float]:
    """Structure → its volume in the field of view; ``structures`` as in ``settings.classes``.

    Raises:
        ValueError: the volume has no labels.
    """
    if volume.labels is None:
        raise ValueError(f"{volume.subject} has no labels")
    structures = tuple(structures)
    count = np.bincount(np.asarray(volume.labels).ravel(order="K"), minlength=len(structures) + 1)
    voxel_ml = float(np.prod(spacing(volume.affine))) / 1000
    return {name: float(count[1 + place]) * voxel_ml for place, name in enumerate(structures)}


def volume_table(cohort: Prepared, settings: CohortSettings, *, cache: Path | None = None) -> list[VolumeRow]:
    """Volumes of classes beside the source's: one row for each template and class of it."""
    rows, template = [], {plan.id: plan.template for plan in draw_subjects(settings)}
    for name in dict.fromkeys(template.values()):
        source = load_template(name, cache).volumes_ml()
        own = [volume for volume in cohort.volumes if template[volume.subject] == name]
        measured = [structure_volumes_ml(volume, settings.classes) for volume in own]
        for structure, members in settings.classes.items():
            values = np.array([volumes[structure] for volumes in measured if volumes[structure] > 0])
            held = [source[member] for member in members if member in source]
            if held and len(values):
                deviation = values.std(ddof=1) if len(values) > 1 else np.nan
                numbers = map(float, (values.mean(), deviation, values.min(), values.max()))
                rows.append(VolumeRow(name, structure, sum(held), len(values), *numbers))
    return rows
