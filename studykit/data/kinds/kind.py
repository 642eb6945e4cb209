"""What a kind of source is: its names, the lines of the registry, and how its volumes come."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from studykit.data.files.archives import Archive, fetch_all
from studykit.data.files.digests import text_sha256
from studykit.data.files.refs import Collection, Subject
from studykit.data.files.traits import Traits

if TYPE_CHECKING:
    from studykit.data.angiography.subjects import Row
    from studykit.data.volumes.cache import Prepared

ORIGINS = ("sample", "made", "public", "own")
"""Inside packages of the package index; drawn or cut when first used; downloaded; where the user has them."""


@dataclass(frozen=True)
class Source:
    """One line of the registry; nothing is read or fetched for it.

    Attributes:
        name: what :func:`studykit.data.sources.check_source_name` passes; words in capitals stand for what
            the user chooses, as in ``folder:PATH`` and ``cohort:heads/SCANNER:N``.
        megabytes: what has to be downloaded, 0 for data of one's own.
        subjects: number of subjects, None where the folder or the name decides.
    """

    name: str
    holds: str
    subjects: int | None
    megabytes: int
    licence: str
    citation: str
    how: str


class SourceKind:
    """A kind of source with files: one subclass a file of :mod:`studykit.data.kinds`.

    Attributes:
        prefix: what the names of its sources start with.
        origin: one of :data:`ORIGINS`.
        labelled: whether its volumes are labelled by one set of classes.
        with_traits: names of its lines whose sources have :meth:`traits`.
        with_aneurysms: whether its sources have :meth:`aneurysms`.
    """

    prefix: ClassVar[str]
    origin: ClassVar[Literal["sample", "made", "public", "own"]]
    labelled: ClassVar[bool] = False
    with_traits: ClassVar[tuple[str, ...]] = ()
    with_aneurysms: ClassVar[bool] = False

    def lines(self) -> tuple[Source, ...]:
        """Its lines of the registry; needs no network."""
        raise NotImplementedError

    def knows(self, name: str) -> bool:
        """Whether a name with the prefix is a source of this kind: a listed one, or any path of one's own.

        Raises:
            ValueError: it is not, and the message says what the name lacks.
        """
        if self.origin == "own":
            return name != self.prefix
        return any(name == line.name for line in self.lines())

    def path(self, name: str) -> Path | None:
        """Where the user's own volumes lie, None where they are not the user's own."""
        if self.origin != "own":
            return None
        return Path(name.removeprefix(self.prefix)).expanduser().absolute()

    def open(self, name: str, cache: Path) -> Collection:
        """Its files; what is missing is fetched first."""
        raise NotImplementedError

    def fetch(self, name: str, cache: Path) -> str:
        """Bring what a source lacks; gives what is at hand then, in words."""
        collection = self.open(name, cache)
        return f"{len(collection.subjects)} volumes of {len(collection.ids)} subjects at hand"

    def prepare(self, name: str, spacing_mm: float, intensity: str, cache: Path) -> "Prepared":
        """Its volumes at a spacing, with whatever labels they have."""
        from studykit.data.volumes.cache import prepare
        from studykit.data.volumes.volumes import VolumeSettings

        return prepare(self.open(name, cache), VolumeSettings(spacing_mm=spacing_mm, intensity=intensity))

    def prepare_labelled(self, name: str, spacing_mm: float, cache: Path) -> "Prepared":
        """Its labelled volumes, one for each label map; the others are among the refused.

        Raises:
            ValueError: there is no label map at all.
        """
        from studykit.data.volumes.cache import Refused, prepare
        from studykit.data.volumes.volumes import LABELS_VERSION, VolumeSettings

        collection = self.open(name, cache)
        chosen, without = _one_image_each(collection)
        prepared = prepare(replace(collection, subjects=chosen), VolumeSettings(spacing_mm=spacing_mm))
        left_out = [Refused(s.id, s.image.name, "has no label map") for s in without]
        fingerprint = text_sha256(f"{prepared.fingerprint}:labels {LABELS_VERSION}")
        return replace(prepared, refused=(*prepared.refused, *left_out), fingerprint=fingerprint)

    def classes(self, name: str, cache: Path) -> Mapping[int, str] | None:
        """Label → class of the opened source, without the background; None where they are not declared.

        An empty name stands for voxels that are not labelled.

        Raises:
            ValueError: a declaration that cannot be read.
        """
        return None

    def traits(self, name: str, cache: Path) -> Traits | None:
        """Labels of the subjects themselves, such as sex; None where the source has none.

        Raises:
            ValueError: a table that cannot be read or does not fit the subjects.
        """
        return None

    def aneurysms(self, name: str, spacing_mm: float, cache: Path) -> "tuple[Prepared, tuple[Row, ...]]":
        """Its labelled volumes, and a row on the aneurysms of each.

        Raises:
            ValueError: it says nothing of aneurysms.
        """
        raise ValueError(f"{name} says nothing of aneurysms and their places")


class MadeKind(SourceKind):
    """A kind whose volumes are drawn, or cut from samples, when they are first used; it has no files."""

    origin = "made"

    def archives(self, name: str) -> tuple[Archive, ...]:
        """What its volumes are made from."""
        raise NotImplementedError

    def templates(self, name: str) -> tuple[str, ...]:
        """Label maps that its volumes are drawn from; none where they are cut from archives."""
        return ()

    def open(self, name: str, cache: Path) -> Collection:
        raise ValueError(
            f"{name} has no files of its own: its volumes are made when they are first used, by "
            "studykit.data.sources.prepared_source or studykit.data.labelled.open_labelled"
        )

    def fetch(self, name: str, cache: Path) -> str:
        found = fetch_all(dict.fromkeys(self.archives(name)), cache / "archives")
        return f"{len(found)} archives at hand; its volumes are made from them when they are first used"

    def prepare(self, name: str, spacing_mm: float, intensity: str, cache: Path) -> "Prepared":
        if intensity != "auto":
            raise ValueError(f"{name} is prepared with intensity 'auto' alone, got {intensity!r}")
        return self.make(name, spacing_mm, cache)

    def prepare_labelled(self, name: str, spacing_mm: float, cache: Path) -> "Prepared":
        return self.make(name, spacing_mm, cache)

    def make(self, name: str, spacing_mm: float, cache: Path) -> "Prepared":
        """Its volumes, made the first time and mapped from the cache afterwards.

        Labels are 1 + index into the :meth:`classes`, 0 for the background.
        """
        raise NotImplementedError


def megabytes(archives: tuple[Archive, ...]) -> int:
    """Download of some archives, each counted once."""
    return sum(archive.megabytes for archive in set(archives))


def _one_image_each(collection: Collection) -> tuple[tuple[Subject, ...], list[Subject]]:
    """The first image of every label map, and the images without one."""
    chosen: dict[Any, Subject] = {}
    without = []
    for subject in collection.subjects:
        if subject.labels is None:
            without.append(subject)
        else:
            chosen.setdefault(subject.labels, subject)
    if not chosen:
        raise ValueError(
            f"{collection.name}: not one of {len(without)} images has a label map; looked for labelsTr "
            "beside imagesTr, labels beside images, and names that end in _seg, _mask, _dseg or the like"
        )
    if without:
        names = ", ".join(sorted({subject.id for subject in without})[:5])
        warnings.warn(f"left out {len(without)} images without a label map: {names}", stacklevel=4)
    return tuple(chosen.values()), without
