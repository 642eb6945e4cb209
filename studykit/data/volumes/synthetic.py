"""Volumes that are made and not read: kept in the cache, those that it lacks are made on all cores."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from studykit.data.cores import on_all_cores
from studykit.data.volumes.cache import PreparedVolume, cached_arrays, opened_arrays
from studykit.data.volumes.volumes import PreparedArrays

PART = 4
"""Volumes that a process makes at a time."""
LEAST_PARTS = 6
"""Fewer are made sooner than processes start."""


class SyntheticVolume(ABC):
    """One volume, as far as it is known before it is made.

    Attributes:
        subject: whose it is.
        modality: of its image.
        template: what it is made from; volumes of one template are made in one process as far as can be.
        key: of what it is made of; another key means other voxels.
        cache: folder that it is kept in.
    """

    subject: str
    modality: str
    template: str
    key: str
    cache: Path

    @abstractmethod
    def make(self) -> PreparedArrays:
        """Its voxels, from nothing but what is known of it."""

    def kept(self) -> PreparedVolume | None:
        """As the cache has it; None where it has to be made."""
        found = opened_arrays(self.cache, self.key)
        return None if found is None else self._named(found)

    def volume(self) -> PreparedVolume:
        """As the cache has it, or else made now.

        Raises:
            OSError: it has to be made and the cache cannot be written.
        """
        return self._named(cached_arrays(self.cache, self.key, self.make))

    def _named(self, found: PreparedArrays) -> PreparedVolume:
        arrays = (found.image, found.foreground, found.labels, found.affine)
        return PreparedVolume(self.subject, *arrays, self.modality, self.key)


def all_made(volumes: Sequence[SyntheticVolume], what: str) -> tuple[PreparedVolume, ...]:
    """All of them, in order; what is missing is made, and a bar shows how far that is.

    Args:
        what: that the bar says is made.
    """
    from tqdm import tqdm

    kept = [volume.kept() for volume in volumes]
    missing = [volume for volume, there in zip(volumes, kept, strict=True) if there is None]
    with tqdm(total=len(missing), desc=what, unit="volume", disable=None if missing else True) as bar:
        for count in on_all_cores(_make, _parts(missing), least=LEAST_PARTS):
            bar.update(count)
    return tuple(there or volume.volume() for volume, there in zip(volumes, kept, strict=True))


def _parts(volumes: Sequence[SyntheticVolume]) -> list[list[SyntheticVolume]]:
    of_template: dict[str, list[SyntheticVolume]] = {}
    for volume in volumes:
        of_template.setdefault(volume.template, []).append(volume)
    return [own[k : k + PART] for own in of_template.values() for k in range(0, len(own), PART)]


def _make(part: Sequence[SyntheticVolume]) -> int:
    for volume in part:
        volume.volume()
    return len(part)
