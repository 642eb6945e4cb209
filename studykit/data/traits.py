"""What a source says of its subjects beside their images: sex, disease, and in cohorts who scanned them."""

from pathlib import Path

from studykit.data.files.traits import Traits
from studykit.data.kinds import kinds
from studykit.data.sources import kind_of
from studykit.home import data_dir


def open_traits(source: str, *, cache: str | Path | None = None) -> Traits:
    """Two-valued labels of a source's subjects; reads tables and names of files, no volume.

    Ids are those of the volumes that :func:`studykit.data.sources.prepared_source` gives.

    Args:
        source: ``cohort:people/SCANNER:N``, ``cohort:people-unseen/SCANNER:N``, or a ``folder:PATH`` with
            one of the tables of :mod:`studykit.data.files.traits`.
        cache: default :func:`studykit.home.data_dir`.

    Raises:
        ValueError: an unknown source or one without traits (the message lists those that have some); of a
            folder, see :func:`studykit.data.files.traits.folder_traits`.
        FileNotFoundError: ``folder:PATH`` does not exist or holds no volume.
    """
    found = _traits(source, cache)
    if found is None:
        known = ", ".join(name for kind in kinds() for name in kind.with_traits)
        raise ValueError(f"{source} says nothing of its subjects' traits; sources with traits: {known}")
    return found


def has_traits(source: str, *, cache: str | Path | None = None) -> bool:
    """Whether a source says anything of its subjects beside their images.

    Raises what :func:`open_traits` raises of a folder.
    """
    return _traits(source, cache) is not None


def _traits(source: str, cache: str | Path | None) -> Traits | None:
    return kind_of(source).traits(source, data_dir() if cache is None else Path(cache))
