"""``msd:TaskNN_Name``: the tasks of the Medical Segmentation Decathlon."""

from collections.abc import Mapping
from pathlib import Path

from studykit.data.files.decathlon import TASKS, open_task
from studykit.data.files.listing import LISTING, read_classes
from studykit.data.files.refs import Collection
from studykit.data.kinds.kind import Source, SourceKind

_LICENCE, _CITATION = "CC-BY-SA-4.0", "Antonelli et al. 2022, Nat Commun 13:4128"


class Decathlon(SourceKind):
    prefix = "msd:"
    origin = "public"
    labelled = True

    def lines(self) -> tuple[Source, ...]:
        how = "downloaded by MONAI's DecathlonDataset"
        return tuple(
            Source(f"msd:{t.name}", t.holds, t.subjects, t.megabytes, _LICENCE, _CITATION, how) for t in TASKS
        )

    def open(self, name: str, cache: Path) -> Collection:
        subjects = open_task(name.removeprefix(self.prefix), cache)
        return Collection(name, subjects, _LICENCE, _CITATION, cache)

    def classes(self, name: str, cache: Path) -> Mapping[int, str]:
        return read_classes(cache / "msd" / name.removeprefix(self.prefix) / LISTING)


KIND = Decathlon()
