"""Labelled heads made a second: our cohort against TorchIO's transforms.

TorchIO is of the extra ``peers``; it is imported by this benchmark alone.
"""

import itertools
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from timing import compared, is_quick, processor, race, write_result

from studykit.data.cohorts.cohort import make_cohort
from studykit.data.cohorts.designs import DESIGNS, cohort_settings
from studykit.data.cohorts.regions import REGIONS
from studykit.data.cohorts.subjects import CohortSettings
from studykit.data.cohorts.templates import load_template
from studykit.home import data_dir

NOTES = (
    "Making {subjects} labelled heads of the design {design}, T1-weighted, at {spacings} mm. Ours: "
    "make_cohort into an empty cache, all counted: templates read and measured, invertible deformations "
    "that resize structures, images with partial volumes, preparation, volumes written. Peer: TorchIO's "
    "RandomAffine, RandomElasticDeformation, RandomLabelsToImage, RandomBiasField, RandomBlur, "
    "RandomNoise and ZNormalization on a label map of {regions} regions that lies in memory on the grid "
    "of the result, nothing written. One process each; make_cohort takes as many as there are cores. "
    "Subjects a second are from the medians."
)
WHY = (
    "ours makes an invertible deformation on the template's own grid, the flows of two velocities "
    "composed, which costs the same however coarse the result; TorchIO moves the result's grid once"
)
DESIGN = DESIGNS["heads"]
SOURCE = "cohort:heads/t1:{}"
SPACINGS_MM = (3.0, 1.5)


def ours(settings: CohortSettings, seeds: "itertools.count[int]", archives: Path) -> None:
    """Make a cohort of people that were never made before."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("archives", "templates"):
            (Path(folder) / name).symlink_to(archives / name)
        make_cohort(replace(settings, seed=next(seeds)), cache=folder)


def label_map(spacing_mm: float) -> torch.Tensor:
    """Regions of the first template (1, X, Y, Z) on the design's field of view, nearest neighbour."""
    template = load_template(DESIGN.templates[0])
    index = [
        ((side - 1) / 2 + (np.arange(new) - (new - 1) / 2) * spacing_mm / template.voxel_mm)
        .round()
        .astype(int)
        for side, new in zip(template.regions.shape, DESIGN.shape(spacing_mm), strict=True)
    ]
    return torch.from_numpy(template.regions[np.ix_(*index)][None])


def by_torchio(labels: torch.Tensor, spacing_mm: float) -> Callable[[], object]:
    """One subject a call: an object with ``image`` and ``labels``, both (1, X, Y, Z)."""
    import torchio

    affine = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    subject = torchio.Subject(labels=torchio.LabelMap(tensor=labels, affine=affine))
    transform = torchio.Compose(
        [
            torchio.RandomAffine(scales=0.1, degrees=10, translation=5),
            torchio.RandomElasticDeformation(num_control_points=7, max_displacement=7.5),
            torchio.RandomLabelsToImage(label_key="labels", image_key="image"),
            torchio.RandomBiasField(),
            torchio.RandomBlur(std=(0, 1)),
            torchio.RandomNoise(std=(0, 0.1)),
            torchio.ZNormalization(),
        ]
    )
    return partial(transform, subject)


def main(quick: bool) -> None:
    subjects, rows = 2 if quick else 20, []
    for spacing in SPACINGS_MM:
        settings = cohort_settings(SOURCE.format(subjects), spacing)
        for name in settings.templates:
            load_template(name)
        one = by_torchio(label_map(spacing), spacing)
        times = race(
            {
                "ours": partial(ours, settings, itertools.count(1), data_dir()),
                "peer": lambda one=one: [one() for _ in range(subjects)],
            },
            rounds=1 if quick else 3 if spacing < 2 else 7,
            warm_up=0 if quick or spacing < 2 else 1,
            clock=processor,
        )
        row = compared(times["ours"], times["peer"], why=WHY)
        rates = {f"{name} (subjects/s)": subjects / row[f"{name} (ms)"] * 1e3 for name in ("ours", "peer")}
        side = DESIGN.shape(spacing)[0]
        rows.append({"voxels": f"{side}³", "peer of make_cohort": "TorchIO"} | rates | row)
    notes = NOTES.format(
        subjects=subjects,
        design=DESIGN.name,
        spacings=" and ".join(f"{spacing:g}" for spacing in SPACINGS_MM),
        regions=len(REGIONS["head"]),
    )
    write_result("cohort", rows, notes, quick=quick)


if __name__ == "__main__":
    main(is_quick(__doc__))
