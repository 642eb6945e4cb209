"""``folder:PATH``: the user's own volumes, as they lie, see :mod:`studykit.data.files.folder`."""

import warnings
from collections.abc import Mapping
from pathlib import Path

from studykit.data.files.folder import survey
from studykit.data.files.listing import classes_under
from studykit.data.files.refs import Collection
from studykit.data.files.text import counted
from studykit.data.files.traits import Traits, folder_traits
from studykit.data.kinds.kind import Source, SourceKind


class Folder(SourceKind):
    prefix = "folder:"
    origin = "own"
    labelled = True
    with_traits = ("folder:PATH",)

    def lines(self) -> tuple[Source, ...]:
        return (
            Source(
                "folder:PATH",
                "your own NIfTI, MHA/MHD, NRRD, MGZ or DICOM files: BIDS, imagesTr/labelsTr, images/labels, "
                "or flat",
                None,
                0,
                "your own data",
                "",
                "read where it lies",
            ),
        )

    def open(self, name: str, cache: Path) -> Collection:
        from studykit.data.volumes.look_alikes import without_maps

        found = survey(self.path(name))
        subjects, maps = without_maps(found.subjects)
        unused = tuple(sorted((*found.unused, *maps), key=lambda entry: entry.path))
        own = Collection(name, subjects, "your own data", "", cache, unused, found.others)
        if unused:
            said = f"{counted(len(unused), 'file')} not used; studykit data check says why"
            warnings.warn(said, stacklevel=4)
        return own

    def classes(self, name: str, cache: Path) -> Mapping[int, str] | None:
        return classes_under(self.path(name))

    def traits(self, name: str, cache: Path) -> Traits:
        root = self.path(name)
        return folder_traits(root, [subject.id for subject in survey(root).subjects])


KIND = Folder()
