"""The volumes of any source by its name: files are decoded, cohorts drawn, and both mapped from the cache."""

from pathlib import Path

from studykit.data.angiography.cohort import open_angiography
from studykit.data.cohorts.cohort import make_cohort
from studykit.data.cohorts.designs import ANGIO, COHORT, REAL_HEADS, cohort_settings
from studykit.data.cohorts.real_heads import prepare_real_heads
from studykit.data.sources import open_source
from studykit.data.volumes.cache import Prepared, prepare
from studykit.data.volumes.volumes import VolumeSettings


def prepared_source(
    source: str, spacing_mm: float, intensity: str = "auto", *, cache: str | Path | None = None
) -> Prepared:
    """The volumes of a source at a spacing: made the first time, mapped from the cache afterwards.

    Args:
        source: any name that :func:`studykit.data.sources.check_source_name` passes.
        intensity: see :class:`studykit.data.volumes.volumes.VolumeSettings`; cohorts and ``real-heads`` have
            ``"auto"`` alone.
        cache: default :func:`studykit.home.data_dir`.

    Raises:
        ValueError: unknown name (the message lists the known ones), or an intensity that a cohort has not.
    """
    made = source.startswith((COHORT, ANGIO)) or source == REAL_HEADS
    if made and intensity != "auto":
        raise ValueError(f"{source} is prepared with intensity 'auto' alone, got {intensity!r}")
    if source == REAL_HEADS:
        return prepare_real_heads(spacing_mm, cache=cache)
    if source.startswith(ANGIO):
        return open_angiography(source, spacing_mm, cache=cache)[0]
    if made:
        return make_cohort(cohort_settings(source, spacing_mm), cache=cache)
    settings = VolumeSettings(spacing_mm=spacing_mm, intensity=intensity)
    return prepare(open_source(source, cache=cache), settings)
