"""Volumes decoded and prepared once, then mapped from disk.

An entry is a folder named after the hash of the image's and labels' contents, the modality, the settings,
``PREPARATION_VERSION`` and, with labels, ``LABELS_VERSION``: the same file elsewhere is found again, a
changed one is not. ``meta.json`` is written last; an entry that lacks it, or whose arrays do not have the
size it states, is rebuilt.
"""

import json
import shutil
import warnings
from collections.abc import Callable
from collections.abc import Collection as Ids
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from studykit import atomic
from studykit.data.files.digests import text_sha256
from studykit.data.files.errors import BadVolume
from studykit.data.files.refs import Collection, Subject
from studykit.data.volumes.labels import read_labels
from studykit.data.volumes.look_alikes import suspicion
from studykit.data.volumes.volumes import (
    LABELS_VERSION,
    PREPARATION_VERSION,
    PreparedArrays,
    VolumeSettings,
    prepare_arrays,
    read_volume,
)


@dataclass(frozen=True)
class PreparedVolume:
    """A prepared image, mapped read-only from the cache.

    Attributes:
        subject: subject id; images of one subject share it.
        array: (X, Y, Z) float32, RAS+, standardised over the foreground.
        foreground: (X, Y, Z) bool.
        labels: (X, Y, Z) integers, None where there are none.
        affine: 4x4, voxel index to RAS mm.
        modality: as the source states it.
        key: hash of the image's and labels' contents and the settings.
        labels_path: what messages call its label map.
    """

    subject: str
    array: NDArray[np.float32]
    foreground: NDArray[np.bool_]
    labels: NDArray[np.integer[Any]] | None
    affine: NDArray[np.float64]
    modality: str
    key: str
    labels_path: str = ""


@dataclass(frozen=True)
class Refused:
    """An image that was left out: its subject, the path of the file at fault, and why."""

    subject: str
    path: str
    reason: str


@dataclass(frozen=True)
class Prepared:
    """A prepared collection.

    Attributes:
        volumes: in the collection's order.
        refused: images that could not be used.
        settings: how they were prepared.
        fingerprint: hash of subject ids, contents and settings, for the identity of runs; paths do not
            matter.
    """

    name: str
    volumes: tuple[PreparedVolume, ...]
    refused: tuple[Refused, ...]
    settings: VolumeSettings
    fingerprint: str

    def select(self, ids: Ids[str]) -> tuple[PreparedVolume, ...]:
        """The volumes of some subjects, such as one part of a split."""
        wanted = set(ids)
        return tuple(volume for volume in self.volumes if volume.subject in wanted)


def prepare(
    collection: Collection, settings: VolumeSettings | None = None, *, subjects: Ids[str] | None = None
) -> Prepared:
    """Decode, check and prepare a collection's volumes, or take them from the cache.

    Volumes that cannot be used are left out with a warning and listed in ``refused``.

    Args:
        subjects: ids to prepare; default all.

    Raises:
        ValueError: an id that the collection does not have, or not one volume can be used.
    """
    from tqdm import tqdm

    settings = settings or VolumeSettings()
    unknown = sorted(set(subjects or ()) - set(collection.ids))
    if unknown:
        raise ValueError(
            f"{collection.name} has no subject {unknown[0]!r}; known: {', '.join(collection.ids)}"
        )
    chosen = [s for s in collection.subjects if subjects is None or s.id in subjects]
    volumes, refused = [], []
    for subject in tqdm(chosen, desc=f"prepare {collection.name}", unit="volume", disable=None):
        try:
            volumes.append(_prepare_one(subject, settings, collection.cache))
        except BadVolume as error:
            refused.append(Refused(subject.id, error.path, error.reason))
            warnings.warn(f"left out {subject.id}: {error}", stacklevel=2)
    _warn_of_twins(volumes)
    if not volumes:
        reasons = "\n".join(f"  {entry.path}: {entry.reason}" for entry in refused)
        raise ValueError(f"{collection.name}: not one of {len(chosen)} volumes can be used\n{reasons}")
    fingerprint = text_sha256(json.dumps([[volume.subject, volume.key] for volume in volumes]))
    return Prepared(collection.name, tuple(volumes), tuple(refused), settings, fingerprint)


def _warn_of_twins(volumes: list[PreparedVolume]) -> None:
    """Say it where two subjects have one image: a person under two names may be on both sides of a split."""
    owners: dict[str, str] = {}
    twins = [(owners.setdefault(v.key, v.subject), v.subject) for v in volumes]
    pairs = sorted({f"{first} and {second}" for first, second in twins if first != second})
    if pairs:
        warnings.warn(f"the same image is of several subjects: {', '.join(pairs[:5])}", stacklevel=3)


def _prepare_one(subject: Subject, settings: VolumeSettings, cache: Path) -> PreparedVolume:
    key = _entry_key(subject, settings, cache)
    # What is learnt from images alone does not depend on how labels are resampled: the key stays.
    entry = key if subject.labels is None else text_sha256(f"{key}:labels {LABELS_VERSION}")[:32]
    found = cached_arrays(cache, entry, lambda: _decode(subject, settings))
    if found.doubt:
        warnings.warn(f"{subject.id}: {subject.image.name} {found.doubt}", stacklevel=3)
    arrays = (found.image, found.foreground, found.labels, found.affine)
    labels_path = "" if subject.labels is None else subject.labels.name
    return PreparedVolume(subject.id, *arrays, subject.modality, key, labels_path)


def cached_arrays(cache: Path, key: str, make: Callable[[], PreparedArrays]) -> PreparedArrays:
    """The entry ``key``, mapped from disk; made first where it is missing or damaged, by one process.

    Raises:
        OSError: the entry has to be made and the cache cannot be written.
    """
    entry = cache / "volumes" / key
    found = _open_entry(entry)
    if found is None:
        try:
            entry.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(entry.with_suffix(".lock")):
                found = _open_entry(entry)
                if found is None:
                    _write_entry(entry, make())
                    found = _open_entry(entry)
        except OSError as error:
            raise OSError(
                f"the cache {cache} cannot be written ({error.strerror or error}): make room or give rights "
                "there, or set STUDYKIT_DATA to another folder"
            ) from error
    assert found is not None
    return found


def opened_arrays(cache: Path, key: str) -> PreparedArrays | None:
    """The entry ``key``, mapped from disk; None where it is missing or damaged."""
    return _open_entry(cache / "volumes" / key)


def _entry_key(subject: Subject, settings: VolumeSettings, cache: Path) -> str:
    memory = cache / "digests"
    contents = []
    for ref in (subject.image, subject.labels):
        if ref is not None:
            try:
                contents.append(ref.content_key(memory))
            except OSError as error:
                raise BadVolume(ref.name, f"cannot be read: {error.strerror}") from error
    fit = subject.labels_fit if subject.labels is not None else None
    identity = [PREPARATION_VERSION, contents, fit, subject.modality, settings.identity()]
    return text_sha256(json.dumps(identity, sort_keys=True))[:32]


def _decode(subject: Subject, settings: VolumeSettings) -> PreparedArrays:
    volume = read_volume(subject.image)
    doubt = suspicion(volume.array)
    labels = None
    if subject.labels is not None:
        labels = read_labels(subject.labels, volume, subject.labels_fit)
    return replace(prepare_arrays(volume, labels, subject.modality, settings), doubt=doubt)


def _write_entry(entry: Path, prepared: PreparedArrays) -> None:
    """Write arrays in Fortran order: (X, Y, Z) here is a C-ordered (Z, Y, X) tensor without a copy."""
    if entry.exists():
        shutil.rmtree(entry)
    entry.mkdir(parents=True)
    meta: dict[str, Any] = {"affine": prepared.affine.tolist(), "intensity": prepared.intensity, "arrays": {}}
    meta |= {"doubt": prepared.doubt} if prepared.doubt else {}
    for name in ("image", "foreground", "labels"):
        array = getattr(prepared, name)
        if array is None:
            continue
        with atomic.replace_into(entry / f"{name}.npy") as temporary, open(temporary, "wb") as file:
            np.save(file, np.asfortranarray(array), allow_pickle=False)
        meta["arrays"][name] = _stated(entry / f"{name}.npy", array)
    atomic.write_json(entry / "meta.json", meta)


def _stated(path: Path, array: NDArray[Any]) -> dict[str, Any]:
    return {"shape": list(array.shape), "dtype": str(array.dtype), "bytes": path.stat().st_size}


def _open_entry(entry: Path) -> PreparedArrays | None:
    """The mapped entry; None where it is missing or damaged."""
    try:
        meta = json.loads((entry / "meta.json").read_text(encoding="utf-8"))
        arrays: dict[str, Any] = {}
        for name, stated in meta["arrays"].items():
            if name not in ("image", "foreground", "labels"):
                return None
            path = entry / f"{name}.npy"
            array = np.load(path, mmap_mode="r", allow_pickle=False)
            if _stated(path, array) != stated:
                return None
            arrays[name] = array
        affine = np.array(meta["affine"], dtype=np.float64).reshape(4, 4)
        return PreparedArrays(
            arrays["image"],
            arrays["foreground"],
            arrays.get("labels"),
            affine,
            meta["intensity"],
            meta.get("doubt", ""),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError):
        return None
