"""``dataset.json``, the listing of the Decathlon and of nnU-Net: labels, channels, training images."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from studykit.data.files.text import read_text

LISTING = "dataset.json"
IGNORED = ""
"""In the place of a class's name."""


def read_listing(listing: Path) -> dict[str, Any]:
    """The whole listing.

    Raises:
        ValueError: it is no regular file, no JSON, or JSON but no object.
    """
    if listing.is_symlink() and not listing.exists():
        raise ValueError(f"{listing} is a broken link: fetch what it leads to, or delete it")
    if not listing.is_file():
        raise ValueError(f"{listing} is no regular file")
    try:
        content = json.loads(read_text(listing))
    except RecursionError as error:
        raise ValueError(f"{listing} is nested too deep to be a listing") from error
    except ValueError as error:
        raise ValueError(f"{listing} is no JSON: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f'{listing} must be a JSON object with "labels", it is a {type(content).__name__}')
    return content


def read_channels(listing: Path) -> dict[int, str]:
    """Channel → its name, as far as a listing tells: a ``dataset.json`` may be of any kind."""
    try:
        content = read_listing(listing)
    except ValueError:
        return {}
    names = content.get("channel_names") or content.get("modality") or {}
    if not isinstance(names, Mapping):
        return {}
    return {int(key): str(value) for key, value in names.items() if str(key).isdecimal()}


def read_classes(listing: Path) -> dict[int, str]:
    """Label → class, in the order of labels and without the background.

    Either way of writing: the Decathlon's ``{"1": "anterior"}`` and nnU-Net's ``{"anterior": 1}``. nnU-Net's
    ``ignore`` is no class but says that a voxel is not labelled: its name is ``IGNORED`` here.

    Raises:
        ValueError: no ``labels``, regions of several labels, labels that are no whole numbers from 0, or one
            that stands twice.
    """
    labels = read_listing(listing).get("labels")
    if not isinstance(labels, Mapping):
        raise ValueError(f'{listing} has no "labels", such as {{"0": "background", "1": "anterior"}}')
    pairs = [_pair(listing, key, value) for key, value in labels.items()]
    names = dict(sorted(pair for pair in pairs if pair[0] > 0))
    names = {label: IGNORED if name.lower() == "ignore" else name for label, name in names.items()}
    if (
        len({label for label, _ in pairs}) < len(pairs)
        or len(set(names.values())) < len(names)
        or not any(names.values())
    ):
        raise ValueError(f"{listing}: labels must be distinct, at least one besides 0; got {dict(labels)}")
    return names


def classes_under(root: Path) -> dict[int, str] | None:
    """:func:`read_classes` of a folder's listing, or the same ones of all its tasks; None without a listing.

    A task is a folder below ``root``, or one further down, that has a listing beside its images or labels.

    Raises:
        ValueError: see :func:`read_classes`; or tasks with several sets of classes, or with and without one.
    """
    if os.path.lexists(root / LISTING):
        return read_classes(root / LISTING)
    tasks = sorted(
        {path.parent for depth in ("*", "*/*") for path in root.glob(f"{depth}/labels[Tt]r") if path.is_dir()}
    )
    listed = {task: os.path.lexists(task / LISTING) for task in tasks}
    if not any(listed.values()):
        return None
    found = {task: read_classes(task / LISTING) if known else None for task, known in listed.items()}
    first = tasks[0]
    for task, classes in found.items():
        if classes != found[first]:
            raise ValueError(
                f"{root} holds tasks of several sets of classes, {first.name} {_text(found[first])} and "
                f"{task.name} {_text(classes)}: open each as a source of its own"
            )
    return found[first]


def _text(classes: Mapping[int, str] | None) -> str:
    if classes is None:
        return f"without a {LISTING}"
    return "with " + ", ".join(f"{label} {name or 'not labelled'}" for label, name in classes.items())


def _pair(listing: Path, key: str, value: Any) -> tuple[int, str]:
    """(label, class) of an entry, whichever of its two sides is the number."""
    if key.isdecimal() and isinstance(value, str):
        return int(key), value
    if type(value) is int and value >= 0:
        return value, key
    raise ValueError(
        f"{listing}: a class has one whole number from 0; got {key!r}: {value!r}. Regions that unite several "
        "labels are not known here: declare the labels themselves"
    )
