"""Scores of single structures where classes unite several: the same people, labelled vertebra by vertebra."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from studykit.data.cohorts.designs import COHORT, DESIGNS
from studykit.data.cohorts.structures import classes_of
from studykit.data.labelled import open_labelled
from studykit.data.volumes.cache import PreparedVolume
from studykit.data.volumes.grids import spacing
from studykit.studies.spine_ablation.vertebrae import instances, smallest, structure_rows, whole

SPINES, VERTEBRAE = f"{COHORT}spines/", f"{COHORT}vertebrae/"
CORD = "spinal cord"


def single_structures(source: str, spacing_mm: float) -> dict[str, NDArray[np.integer]]:
    """Subject → its map (D, H, W) with a label of its own for each of the structures of ``vertebrae``.

    Empty for a source that is no cohort of spines: nobody knows them there.
    """
    if not source.startswith(SPINES):
        return {}
    found = open_labelled(source.replace(SPINES, VERTEBRAE), spacing_mm)
    return {volume.subject: np.asarray(volume.labels).T for volume in found.prepared.volumes}


def structure_measure(
    truths: dict[str, NDArray[np.integer]],
) -> Callable[[PreparedVolume, NDArray[np.integer]], list[dict[str, Any]]]:
    """The measure of :func:`structure_rows` for subjects of the cohort of spines."""
    design = DESIGNS["spines"]
    names = dict(enumerate(DESIGNS["vertebrae"].classes, start=1))
    united = {
        name: label
        for label, (_, own) in enumerate(classes_of(design.structures, design.united), start=1)
        for name in own
    }

    def measure(volume: PreparedVolume, found: NDArray[np.integer]) -> list[dict[str, Any]]:
        return structure_rows(found, truths[volume.subject], names, united, voxel_ml(volume))

    return measure


def small_structures(rows: pd.DataFrame) -> pd.DataFrame:
    """Dice of each subject's smallest third of its structures, of the smallest, and of the spinal cord.

    Args:
        rows: with ``subject``, ``class``, ``dice`` and ``ml``, such as :func:`structure_measure` gives.
    """
    found = []
    for subject, own in rows.groupby("subject"):
        dice = own.set_index("class")["dice"]
        ranked = own.to_dict("records")
        third = [dice[name] for name in smallest(ranked, 1 / 3)]
        one = {"smallest third": float(np.mean(third)), "smallest": float(dice[smallest(ranked, 0)[0]])}
        found.append({"subject": subject, **one, CORD: float(dice.get(CORD, np.nan))})
    return pd.DataFrame(found)


def whole_structures(
    volumes: Sequence[PreparedVolume], truths: dict[str, NDArray[np.integer]]
) -> pd.DataFrame:
    """Vertebrae that each subject's field of view holds whole; how many it holds at all, and pieces counted.

    The pieces are those of its own two classes: where both numbers agree, counting finds every vertebra.
    """
    names, rows = dict(enumerate(DESIGNS["vertebrae"].classes, start=1)), []
    for volume in volumes:
        truth, ml = truths[volume.subject], voxel_ml(volume)
        spine = [label for label, name in names.items() if name not in ("sacrum", CORD)]
        held = [label for label in spine if (truth == label).sum() * ml >= 1]
        counted = len(instances(np.asarray(volume.labels).T, (1, 2), ml)[1])
        inside = [names[label] for label in held if whole(truth, label, ml)]
        row = {"subject": volume.subject, "whole vertebrae": ", ".join(inside)}
        rows.append(row | {"vertebrae in view": len(held), "pieces counted": counted})
    return pd.DataFrame(rows)


def voxel_ml(volume: PreparedVolume) -> float:
    """Volume of a voxel."""
    return float(np.prod(spacing(volume.affine))) / 1000
