"""The spines of two real CTs, cut and labelled as a cohort of spines is: ``real-spines``.

The cohort descends from these very label maps, so the anatomy is no new one: what is tested is whether a
model trained on painted images reads real ones. Their labels were made by a model and not by an expert.
"""

from pathlib import Path

from studykit.data.cohorts.designs import DESIGNS, REAL_SPINES
from studykit.data.cohorts.real_subjects import RealSubject, prepare_real
from studykit.data.files.samples import BODIES
from studykit.data.volumes.cache import Prepared


def prepare_real_spines(spacing_mm: float, *, cache: str | Path | None = None) -> Prepared:
    """Both spines with the classes and the field of view of the design ``spines``, see :func:`prepare_real`.

    Raises:
        archives.ArchiveUnavailable: no network and no copy of an archive.
    """
    bodies = [RealSubject(sample, "totalsegmentator") for sample in BODIES if sample.labels is not None]
    return prepare_real(REAL_SPINES, bodies, DESIGNS["spines"], spacing_mm, cache=cache)
