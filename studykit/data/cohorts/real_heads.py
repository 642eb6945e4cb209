"""The two labelled heads of real people, cut and labelled as a cohort of heads or of people is.

A model trained on the cohort is tested on them. They are not alike. Pitt_50038 has labels of his own, by
FreeSurfer, and none of the cohort's subjects descend from him. The labels of Colin27 are an atlas in MNI
space, the very one that the template ``mni-neuromorphometrics`` is made from: they fit him to some
millimetres, and subjects of that template have his labels, deformed.
"""

from pathlib import Path

from studykit.data.cohorts.designs import DESIGNS, REAL_HEADS
from studykit.data.cohorts.real_subjects import RealSubject, prepare_real
from studykit.data.cohorts.templates import MNI_SHRINK
from studykit.data.files.samples import HEADS
from studykit.data.volumes.cache import Prepared

_SCHEMES = {"Pitt_50038": ("freesurfer", 1.0), "Colin27": ("neuromorphometrics", MNI_SHRINK)}
"""Subject → scheme of its labels, and what lengths are multiplied by: Colin27 lies in MNI space, which is
larger than heads are, and is made smaller as the templates of that space are."""


def prepare_real_heads(
    spacing_mm: float,
    *,
    name: str = REAL_HEADS,
    design: str = "heads",
    cache: str | Path | None = None,
) -> Prepared:
    """Both heads with the structures and the field of view of a design of heads, see :func:`prepare_real`.

    Raises:
        archives.ArchiveUnavailable: no network and no copy of an archive.
    """
    heads = [RealSubject(s, *_SCHEMES[s.subject]) for s in HEADS if s.subject in _SCHEMES]
    return prepare_real(name, heads, DESIGNS[design], spacing_mm, cache=cache)
