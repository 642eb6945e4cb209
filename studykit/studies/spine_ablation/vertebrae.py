"""Single vertebrae out of a map of odd and even ones, and how well each was found.

Neighbours are of two classes, so a vertebra is a connected piece of one class, and pieces are counted from
below (as TotalSpineSeg does). A vertebra that was missed, or has grown together with the next of its class,
shows in the count: two neighbouring pieces are then of one class.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

LEAST_ML = 1.0
"""Smaller pieces are crumbs, and what a field of view cuts to less is no vertebra to be found."""


def instances(
    labels: NDArray[np.integer], classes: Sequence[int], voxel_ml: float
) -> tuple[NDArray[np.int32], list[int]]:
    """Connected pieces of some classes, counted along the first axis.

    >>> column = np.zeros((6, 3, 3), int)
    >>> column[:2], column[2:4], column[4:] = 1, 2, 1
    >>> pieces, whose = instances(column, (1, 2), voxel_ml=1.0)
    >>> pieces[:, 1, 1].tolist(), whose
    ([1, 1, 2, 2, 3, 3], [1, 2, 1])

    Args:
        labels: (D, H, W), D upwards.
        classes: labels whose pieces are vertebrae.
        voxel_ml: volume of a voxel; pieces below :data:`LEAST_ML` are dropped.

    Returns:
        (D, H, W): 0, or 1 for the lowest piece, 2 for the next; and the class of each piece.
    """
    pieces = []
    for label in classes:
        found, count = ndimage.label(labels == label)
        sizes = np.bincount(found.ravel(), minlength=count + 1)[1:]
        middles = ndimage.center_of_mass(found > 0, found, range(1, count + 1)) if count else []
        for number, (size, middle) in enumerate(zip(sizes, middles, strict=True), start=1):
            if size * voxel_ml >= LEAST_ML:
                pieces.append((middle[0], label, found == number))
    result = np.zeros(labels.shape, np.int32)
    pieces.sort(key=lambda piece: piece[0])
    for number, (_, _, where) in enumerate(pieces, start=1):
        result[where] = number
    return result, [label for _, label, _ in pieces]


def breaks(whose: Sequence[int]) -> int:
    """Neighbouring pieces of one class: between them a vertebra was missed, or one of them is two.

    >>> breaks([1, 2, 1, 2]), breaks([1, 1, 2])
    (0, 1)
    """
    return sum(one == two for one, two in itertools.pairwise(whose))


def whole(labels: NDArray[np.integer], label: int, voxel_ml: float) -> bool:
    """Whether the field of view holds a structure that it does not cut above or below."""
    mask = labels == label
    return bool(mask.sum() * voxel_ml >= LEAST_ML and not mask[[0, -1]].any())


def structure_rows(
    found: NDArray[np.integer],
    truth: NDArray[np.integer],
    structures: Mapping[int, str],
    united: Mapping[str, int],
    voxel_ml: float,
) -> list[dict[str, Any]]:
    """How well each structure of a subject was found: vertebrae piece by piece, others as classes.

    A true vertebra is held against the piece it overlaps with, each piece serving one vertebra, so that Dice
    summed over them is largest. A vertebra without a piece of its own was missed and has Dice 0. Vertebrae
    that the field of view cuts above or below are not scored; their pieces are theirs nevertheless.

    Args:
        found: (D, H, W) classes, D upwards.
        truth: (D, H, W), each structure with a label of its own.
        structures: label of ``truth`` → its name.
        united: structure → its class in ``found``; several vertebrae share one, other structures have one
            alone.
        voxel_ml: volume of a voxel.

    Returns:
        rows with ``class`` (the structure), ``dice``, ``ml`` (of the truth) and ``missed`` (0 or 1), from
        below.
    """
    present = {label: name for label, name in structures.items() if name in united and (truth == label).any()}
    shared = [label for label in present if _shared(present[label], united)]
    pieces, _ = instances(found, sorted({united[present[label]] for label in shared}), voxel_ml)
    count = int(pieces.max())
    overlap = np.array([_dice(truth == label, pieces, count) for label in shared]).reshape(len(shared), count)
    own = dict(zip(*linear_sum_assignment(-overlap), strict=True))
    dice = {label: overlap[row, own[row]] if row in own else 0.0 for row, label in enumerate(shared)}
    for label, name in present.items():
        if label not in dice:
            both = (truth == label) & (found == united[name])
            dice[label] = 2 * both.sum() / ((truth == label).sum() + (found == united[name]).sum())
    rows = [
        {
            "class": name,
            "dice": float(dice[label]),
            "ml": float((truth == label).sum() * voxel_ml),
            "missed": float(dice[label] == 0),
            "height": float(np.argwhere(truth == label)[:, 0].mean()),
        }
        for label, name in present.items()
        if label not in shared or whole(truth, label, voxel_ml)
    ]
    rows.sort(key=lambda row: row.pop("height"))
    return rows


def smallest(rows: Sequence[Mapping[str, Any]], share: float) -> list[str]:
    """Names of the smallest structures of a subject by their true volume, at least one.

    >>> smallest([{"class": "a", "ml": 3.0}, {"class": "b", "ml": 1.0}, {"class": "c", "ml": 2.0}], 1 / 3)
    ['b']
    """
    ranked = sorted(rows, key=lambda row: row["ml"])
    return [row["class"] for row in ranked[: max(1, round(share * len(ranked)))]]


def _shared(name: str, united: Mapping[str, int]) -> bool:
    return sum(value == united[name] for value in united.values()) > 1


def _dice(mask: NDArray[np.bool_], pieces: NDArray[np.int32], count: int) -> NDArray[np.float64]:
    """Dice of one mask with each of ``count`` pieces."""
    both = np.bincount(pieces[mask], minlength=count + 1)[1:]
    return 2 * both / (mask.sum() + np.bincount(pieces.ravel(), minlength=count + 1)[1:])
