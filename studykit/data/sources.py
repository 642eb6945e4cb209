"""Sources of volumes by name: what there is, its files, and its volumes as a study takes them.

Volumes are decoded or drawn once and then mapped from the cache. What a name stands for is the affair of its
kind, see :mod:`studykit.data.kinds`.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from studykit.data.files.refs import Collection
from studykit.data.kinds import kinds
from studykit.data.kinds.kind import Source, SourceKind
from studykit.home import data_dir

if TYPE_CHECKING:
    from studykit.data.volumes.cache import Prepared

DEFAULT_SOURCE = "sample-heads"

_CHOSEN = re.compile("[A-Z]+")
"""The part of a registry line's name that the user chooses."""


def list_sources() -> list[Source]:
    """All known sources, sample volumes first. Needs no network."""
    return [line for kind in kinds() for line in kind.lines()]


def sample_sources() -> tuple[str, ...]:
    """Names of the sources that every place with a package index has."""
    return tuple(line.name for kind in kinds() if kind.origin == "sample" for line in kind.lines())


def default_sources() -> tuple[str, ...]:
    """What ``studykit data fetch`` brings: the samples, and label maps that only cohorts are drawn from."""
    return (*sample_sources(), "cohort:people/site-a:1")


def kind_of(name: str) -> SourceKind:
    """The kind that a source's name belongs to.

    Raises:
        ValueError: no text, or an unknown name; the message lists the known ones or says what the name lacks.
    """
    if not isinstance(name, str):
        raise ValueError(f"a data source is a text such as {DEFAULT_SOURCE!r} or 'folder:PATH', got {name!r}")
    for kind in kinds():
        if name.startswith(kind.prefix) and kind.knows(name):
            return kind
    known = ", ".join(source.name for source in list_sources())
    raise ValueError(f"unknown data source {name!r}; known: {known}")


def check_source_name(name: str) -> None:
    """Refuse a name that :func:`prepared_source` would not know, before any work.

    Raises:
        ValueError: see :func:`kind_of`.
    """
    kind_of(name)


def describe_source(name: str) -> Source:
    """The line of the registry that a source's name falls under.

    Raises:
        ValueError: see :func:`kind_of`.
    """
    lines = kind_of(name).lines()
    exact = [line for line in lines if line.name == name]
    return (exact or [line for line in lines if name.startswith(_CHOSEN.split(line.name)[0])])[0]


def own_path(name: str) -> Path | None:
    """Where the user's own data lie, an absolute path; None for other sources.

    Raises:
        ValueError: see :func:`kind_of`.
    """
    return kind_of(name).path(name)


def open_source(name: str, *, cache: str | Path | None = None) -> Collection:
    """Open a source of files by name and fetch what it lacks.

    Args:
        name: ``sample-heads``, ``sample-head-cts``, ``sample-bodies``, ``msd:TaskNN_Name``, ``folder:PATH``,
            …, see :func:`list_sources`.
        cache: folder for archives and decoded volumes; default :func:`studykit.home.data_dir`.

    Raises:
        ValueError: unknown name (the message lists the known ones), or volumes that are made, without files.
        archives.ArchiveUnavailable: no network and no copy; the message names the files and where to put
            them.
        archives.ArchiveCorrupt: an archive has the wrong digest.
        FileNotFoundError: ``folder:PATH`` does not exist or holds no volume.
    """
    return kind_of(name).open(name, cache_folder(cache))


def fetch_source(name: str, *, cache: str | Path | None = None) -> str:
    """Bring what a source lacks; gives what is at hand then, in words.

    Raises what :func:`open_source` raises, but for sources without files.
    """
    return kind_of(name).fetch(name, cache_folder(cache))


def prepared_source(
    source: str, spacing_mm: float, intensity: str = "auto", *, cache: str | Path | None = None
) -> "Prepared":
    """The volumes of a source at a spacing: made the first time, mapped from the cache afterwards.

    Args:
        source: any name that :func:`check_source_name` passes.
        intensity: see :class:`studykit.data.volumes.volumes.VolumeSettings`; what is made, such as a cohort,
            has ``"auto"`` alone.
        cache: default :func:`studykit.home.data_dir`.

    Raises:
        ValueError: unknown name (the message lists the known ones), or an intensity that a cohort has not.
    """
    return kind_of(source).prepare(source, spacing_mm, intensity, cache_folder(cache))


def cache_folder(given: str | Path | None) -> Path:
    """The folder for archives and decoded volumes: a given one, or :func:`studykit.home.data_dir`.

    Raises:
        ValueError: it is no path.
    """
    if given is not None and not isinstance(given, str | Path):
        raise ValueError(f"cache is the path of a folder, or None, got {given!r}")
    return data_dir() if given is None else Path(given)
