"""Rows of the study's tables: who has labels, the maps of a network, test scores, operations."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import nn

from studykit.claims.stats import mean_interval
from studykit.metrics.compute import count_parameters

if TYPE_CHECKING:
    from studykit.study.study import Study

NAMED = 2
"""Subjects that a cell names before it counts the rest."""


def subset_rows(
    subsets: Mapping[float, Sequence[str]], shares: Sequence[float]
) -> list[dict[str, str | int]]:
    """For each share of labels how many subjects it has, and who is new in it.

    Args:
        subsets: share → subjects, nested.
        shares: growing.

    >>> subset_rows({0.5: ["a"], 1.0: ["a", "b"]}, (0.5, 1.0))[1]
    {'labels': '100%', 'subjects': 2, 'newly labelled': 'b'}
    """
    rows, known = [], set()
    for share in shares:
        new = [subject for subject in subsets[share] if subject not in known]
        more = f" and {len(new) - NAMED} more" if len(new) > NAMED else ""
        words = ", ".join(new[:NAMED]) + more
        rows.append({"labels": f"{share:.0%}", "subjects": len(subsets[share]), "newly labelled": words})
        known = set(subsets[share])
    return rows


def map_rows(
    model: nn.Module, crop_size: int, heads: Sequence[int] = (), window: int = 0
) -> Iterator[dict[str, str | int]]:
    """The maps of an encoder for one crop, fine to coarse; with heads and window where there is attention.

    Args:
        model: with ``channels`` and ``strides``, one of each map.
        crop_size: voxels an axis.
        heads: of each map's attention.
        window: cells an axis.
    """
    for stage, (channels, stride) in enumerate(zip(model.channels, model.strides, strict=True)):
        cells = crop_size // stride[0]
        row = {
            "map": stage + 1,
            "channels": channels,
            "voxels a cell": f"{stride[0]}³",
            "cells of a crop": f"{cells}³",
        }
        yield row | ({"heads": str(heads[stage]), "window": f"{min(window, cells)}³"} if heads else {})


def score_cells(tables: Sequence[pd.DataFrame]) -> dict[str, float]:
    """Means over classes, subjects and seeds; the interval of Dice is over seeds.

    Args:
        tables: of test scores, one a seed, with ``subject``, ``dice``, ``hd95`` in mm and ``surface_dice``.
    """
    measures = ["dice", "hd95", "surface_dice"]
    each = pd.DataFrame([table.groupby("subject")[measures].mean().mean() for table in tables])
    mean, e = each.mean(), mean_interval(each["dice"])
    beside = {"HD95 (mm)": mean["hd95"], "surface Dice": mean["surface_dice"]}
    return {"Dice": e.value, "low": e.low, "high": e.high} | beside | {"n": e.n}


def by_class(tables: Sequence[pd.DataFrame]) -> pd.Series:
    """Dice of each ``class``, mean over subjects and seeds."""
    each = [table.groupby("class", sort=False)["dice"].mean() for table in tables]
    return pd.concat(each, axis=1).mean(axis=1)


def by_subject(tables: Sequence[pd.DataFrame]) -> NDArray:
    """Mean Dice (seeds, subjects), subjects in the order of their names."""
    return np.stack([table.groupby("subject")["dice"].mean() for table in tables])


def operations_of(study: "Study", arm: str, over: str) -> dict[str, str | int | float]:
    """Operations of one run in units of 10¹² (TFLOP), its pre-training apart, and their sum over another's.

    Args:
        arm: by name; its pre-training is what it starts from.
        over: the arm compared with, which starts from nothing.
    """
    sizes, first = study.profile, study.arms[arm].starts_from
    before = study.operations_a_step(first) * sizes.pretraining_steps if first else 0
    steps = study.arms[arm].training.get("steps", sizes.steps)
    own = study.operations_a_step(arm) * steps
    return {
        "arm": arm,
        "parameters": count_parameters(study.untrained(arm)),
        "steps": steps,
        "pre-training": before / 1e12,
        "with labels": own / 1e12,
        f"over {over}": (before + own) / (study.operations_a_step(over) * sizes.steps),
    }
