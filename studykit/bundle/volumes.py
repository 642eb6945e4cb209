"""Volumes for a machine without network: prepared ones in half precision, cohorts by what they come from.

Entries keep their keys: the machine finds them as if it had prepared them itself, and its runs have the
identities that they have here. Archives are left behind, see
:func:`studykit.data.files.archives.leave_stand_in`. Half precision changes a voxel by at most a thousandth of
its volume's deviation or so; by how much is told, and goes into the manifest.
"""

import json
import shutil
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from studykit.bundle.sources import Volumes
from studykit.data.files.archives import Archive, leave_stand_in
from studykit.data.kinds.kind import MadeKind
from studykit.data.kinds.samples import Samples
from studykit.data.sources import kind_of
from studykit.data.volumes.cache import Prepared, cached_arrays
from studykit.data.volumes.volumes import PreparedArrays
from studykit.home import data_dir

ARRAYS = ("image", "foreground", "labels")


def carry(wanted: Iterable[Volumes], folder: Path) -> float:
    """Put volumes, templates and stand-ins into ``folder``; gives the largest change of a voxel.

    Raises:
        ValueError: a source of the user's own, or one that has to be downloaded.
    """
    from studykit.data.cohorts.templates import load_template

    cache, largest = data_dir(), 0.0
    members: dict[Archive, set[str]] = defaultdict(set)
    for one in wanted:
        kind = kind_of(one.source)
        if isinstance(kind, Samples):
            slices = {
                part for subject in kind.open(one.source, cache).subjects for part in subject.image.parts
            }
            for archive in kind.archives(one.source):
                members[archive] |= slices
        elif isinstance(kind, MadeKind):
            for archive in kind.archives(one.source):
                members[archive] |= set()
        else:
            raise ValueError(
                f"{one.source} is not carried: copy it to the machine, and give it as -p data there"
            )
        templates = kind.templates(one.source) if isinstance(kind, MadeKind) else ()
        for name in templates:
            _copy(cache / "templates" / f"{load_template(name).key}.npz", folder / "templates")
        for entry in () if templates else _entries(one):
            largest = max(largest, _pack(entry, folder / "volumes"))
    for archive, names in members.items():
        leave_stand_in(archive, folder / "archives", names)
    return largest


def unpack(folder: Path, cache: Path) -> int:
    """Bring what :func:`carry` left into a cache of volumes; gives the number of volumes.

    Raises:
        ValueError: a carried file is damaged.
    """
    for part in ("templates", "archives"):
        for path in sorted((folder / part).glob("*")):
            _copy(path, cache / part)
    packed = sorted((folder / "volumes").glob("*.npz"))
    for path in packed:
        try:
            cached_arrays(cache, path.stem, lambda path=path: _unpacked(path))
        except (BadZipFile, KeyError, EOFError, ValueError) as error:
            raise ValueError(f"{path.name} is damaged: {error}") from error
    return len(packed)


def halves(image: NDArray[np.float32]) -> dict[str, NDArray[np.uint8]]:
    """An image in half precision, its high and its low bytes apart: so they compress by an eighth more."""
    parts = np.ascontiguousarray(image.T).astype("<f2").view(np.uint8).reshape(*image.T.shape, 2)
    return {"low": parts[..., 0], "high": parts[..., 1]}


def whole(low: NDArray[np.uint8], high: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The inverse of :func:`halves`, but for what half precision has lost."""
    return np.stack([low, high], axis=-1).view("<f2")[..., 0].astype(np.float32).T


def _entries(one: Volumes) -> list[Path]:
    """Folders of the cache in which the volumes of a source lie."""
    kind, cache = kind_of(one.source), data_dir()
    if one.labelled:
        prepared: Prepared = kind.prepare_labelled(one.source, one.spacing_mm, cache)
    else:
        prepared = kind.prepare(one.source, one.spacing_mm, one.intensity, cache)
    return [Path(volume.array.filename).parent for volume in prepared.volumes]  # type: ignore[attr-defined]


def _pack(entry: Path, folder: Path) -> float:
    """One entry of the cache as a file; gives the largest change of a voxel."""
    held = {name: np.load(entry / f"{name}.npy") for name in ARRAYS if (entry / f"{name}.npy").exists()}
    image = held.pop("image")
    packed = halves(image)
    folder.mkdir(parents=True, exist_ok=True)
    meta = json.loads((entry / "meta.json").read_text(encoding="utf-8"))
    meta = json.dumps({name: meta[name] for name in ("affine", "intensity")})
    np.savez_compressed(folder / f"{entry.name}.npz", meta=np.array(meta), **packed, **held)
    return float(np.abs(whole(**packed) - image).max())


def _unpacked(path: Path) -> PreparedArrays:
    with np.load(path, allow_pickle=False) as held:
        meta = json.loads(str(held["meta"]))
        labels = held["labels"] if "labels" in held else None
        affine = np.array(meta["affine"])
        image = whole(held["low"], held["high"])
        return PreparedArrays(image, held["foreground"], labels, affine, meta["intensity"])


def _copy(path: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, folder / path.name)
