"""``dataset.json``, the listing of the Decathlon and of nnU-Net: which labels a task has."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LISTING = "dataset.json"


def read_classes(listing: Path) -> dict[int, str]:
    """Label → class, in the order of labels and without the background.

    Either way of writing: the Decathlon's ``{"1": "anterior"}`` and nnU-Net's ``{"anterior": 1}``.

    Raises:
        ValueError: no ``labels``, regions of several labels, labels that are no whole numbers from 0, or one
            that stands twice.
    """
    labels = json.loads(listing.read_text(encoding="utf-8")).get("labels")
    if not isinstance(labels, Mapping):
        raise ValueError(f'{listing} has no "labels", such as {{"0": "background", "1": "anterior"}}')
    pairs = [_pair(listing, key, value) for key, value in labels.items()]
    names = dict(sorted(pair for pair in pairs if pair[0] > 0))
    if len({label for label, _ in pairs}) < len(pairs) or len(set(names.values())) < len(names) or not names:
        raise ValueError(f"{listing}: labels must be distinct, at least one besides 0; got {dict(labels)}")
    return names


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
