"""Label maps under the name of an image: told by their voxels, as few whole numbers in patches."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from studykit.data.files.errors import BadVolume
from studykit.data.files.refs import Subject, Unused
from studykit.data.files.text import readable
from studykit.data.files.walk import stem
from studykit.data.volumes.labels import distinct
from studykit.data.volumes.volumes import Volume, look_at_volume

MOST_VALUES = 12
"""Whole values up to which an image alone may be a label map."""
MOST_LABELS = 256
"""The same for one that lies beside its image."""
LEAST_VOXELS = 20
"""For every label, on average."""
LEAST_ALIKE = 0.5
"""Of the neighbours that are not both background, how many have one label."""
GLANCE_STEP = 4
SAMPLED_VOXELS = 20_000

_SEPARATOR = re.compile(r"[_\-. ]+")


def without_maps(subjects: Sequence[Subject]) -> tuple[tuple[Subject, ...], list[Unused]]:
    """Images without those that are label maps of others by their voxels, and these, with the reason.

    Such a one has the grid of an image beside it whose name begins its own, and its voxels are labels'. No
    other image is read.
    """
    homes = {(s.image.path.parent, stem(s.image.path).casefold()): s for s in subjects if not s.image.parts}
    maps: dict[Path, str] = {}
    for (folder, name), subject in homes.items():
        for before in _beginnings(name):
            image = homes.get((folder, before))
            if image is not None and _is_map_of(subject, image):
                maps[subject.image.path] = (
                    f"holds few whole values on the grid of {readable(image.image.path.name)}: taken for a "
                    "label map; with a name that ends in _seg it would be that image's"
                )
                break
    kept = tuple(s for s in subjects if s.image.parts or s.image.path not in maps)
    return kept, [Unused(path, reason) for path, reason in maps.items()]


def suspicion(array: NDArray[Any]) -> str:
    """Whether an image has few values, all whole, or many in patches, as label maps have; empty where not."""
    values = _few(array, MOST_VALUES)
    if values is None and _in_patches(array[..., array.shape[2] // 2]) and _has_labels(array):
        values = _few(array, MOST_LABELS)
    return "" if values is None else f"has {len(values)} whole values: a label map?"


def sample(array: NDArray[Any]) -> NDArray[Any]:
    """Some voxels, evenly apart."""
    step = max(1, round((array.size / SAMPLED_VOXELS) ** (1 / 3)))
    return _every(step, array)


def _is_map_of(subject: Subject, image: Subject) -> bool:
    try:
        seen, _ = look_at_volume(subject.image)
        return _has_labels(seen.array) and _one_grid(seen, look_at_volume(image.image)[0])
    except BadVolume:
        return False


def _one_grid(first: Volume, second: Volume) -> bool:
    return first.array.shape == second.array.shape and np.allclose(first.affine, second.affine, atol=1e-3)


def _has_labels(array: NDArray[Any]) -> bool:
    values = _few(array, MOST_LABELS)
    if values is None or array.size < LEAST_VOXELS * len(values):
        return False
    return _in_patches(array)


def _in_patches(array: NDArray[Any]) -> bool:
    """Whether neighbours along the first axis are mostly alike, but for where both have the lowest value."""
    one, next_one, low = array[1:], array[:-1], array.min()
    inside = (one != low) | (next_one != low)
    return bool(inside.any()) and (one == next_one)[inside].mean() >= LEAST_ALIKE


def _few(array: NDArray[Any], most: int) -> NDArray[Any] | None:
    """The distinct values where they are whole and at most so many, else None."""
    some = sample(array)
    # A few voxels tell most images: to sort many takes longer than to read them.
    for part in (_every(GLANCE_STEP, some), some):
        values = np.unique(part)
        if len(values) > most or (values % 1).any():
            return None
    values = distinct(array)
    return None if len(values) > most or (values % 1).any() else values


def _every(step: int, array: NDArray[Any]) -> NDArray[Any]:
    return array[::step, ::step, ::step]


def _beginnings(name: str) -> Iterator[str]:
    """A name up to each of its separators, the longest first."""
    return (name[: match.start()] for match in reversed(list(_SEPARATOR.finditer(name))) if match.start())
