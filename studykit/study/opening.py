"""Opening a study: its settings are checked before any volume is read."""

from collections.abc import Sequence
from dataclasses import replace
from numbers import Real

from studykit import home
from studykit.arms.ownership import own_parameters
from studykit.arms.setups import Setup, profile_of, setup_of
from studykit.claims.paper import studies
from studykit.data.sources import check_source_name, sample_sources
from studykit.study.ground import Ground
from studykit.study.labelled_ground import DetectionGround, LabelledGround, TraitsGround
from studykit.study.study import Study

GROUNDS = {
    "": Ground, "segmentation": LabelledGround, "detection": DetectionGround, "traits": TraitsGround,
}  # fmt: skip
"""By the task of a study's labels."""


def open_study(
    name: str,
    profile: str = "smoke",
    seeds: Sequence[int] | int | None = None,
    *,
    data: str | None = None,
    spacing_mm: float | None = None,
    nproc: int = 1,
) -> Study:
    """Open a study and check its settings. Its volumes are decoded when they are first asked for.

    Args:
        name: a study of the papers' claims.
        profile: ``smoke``, ``laptop``, ``gpu`` or ``paper``.
        seeds: repetitions, or a number of them; by default as many as the profile has.
        data: source of volumes, by default the study's own, see :mod:`studykit.arms.setups`.
        spacing_mm: voxel size after resampling, by default the profile's.
        nproc: processes a training runs in, one for each GPU.

    Raises:
        ValueError: unknown study, profile or source (the message lists the known ones), seeds that repeat or
            are no whole numbers, processes that cannot share a batch, or the paper's sizes on sample volumes.
    """
    known = studies()
    if name not in known:
        raise ValueError(f"Unknown study {name!r}. Known: {', '.join(known)}.")
    setup = setup_of(name)
    sizes = profile_of(setup, profile)
    if spacing_mm is not None:
        if not isinstance(spacing_mm, Real) or not spacing_mm > 0:
            raise ValueError(f"spacing_mm must be a positive number of millimetres, got {spacing_mm!r}.")
        sizes = replace(sizes, spacing_mm=spacing_mm)
    source = setup.source_at(sizes) if data is None else data
    check_source_name(source)
    if profile == "paper" and source in sample_sources():
        raise ValueError(
            f"The paper profile crops {sizes.crop_size}³ voxels of {sizes.spacing_mm} mm: the sample volumes "
            "are too coarse for it. Give data='folder:PATH' with volumes of that resolution."
        )
    if type(nproc) is not int or nproc < 1 or sizes.batch_size % nproc:
        batch = sizes.batch_size
        raise ValueError(f"nproc must be at least 1 and divide the batch of {batch}, got {nproc!r}.")
    checked = _checked_seeds(seeds, setup, sizes.repetitions)
    own = own_parameters(name, profile, {"data": data, "seeds": seeds, "spacing_mm": spacing_mm})
    folder = home.evidence_dir(name, profile, own=bool(own))
    return Study(GROUNDS[setup.labels](name, sizes, setup, source, folder), checked, nproc)


def _checked_seeds(seeds: Sequence[int] | int | None, setup: Setup, repetitions: int) -> tuple[int, ...]:
    if seeds is None or (type(seeds) is int and seeds > 0):
        return setup.seeds(repetitions if seeds is None else seeds)
    whole = isinstance(seeds, Sequence) and all(type(seed) is int for seed in seeds)
    if not whole or not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(
            f"seeds must be a list of distinct whole numbers, or how many, at least one; got {seeds!r}."
        )
    return tuple(seeds)
