"""Effects of a mask by layer, and test scores, as figures and tables take them."""

from collections.abc import Sequence

import pandas as pd
from numpy.typing import NDArray


def by_layer(measured: pd.DataFrame, column: str, layers: Sequence[str]) -> dict[str, dict[str, NDArray]]:
    """Network → way → values (repetitions, layers) of a column, repetitions as their seeds come.

    Args:
        measured: a row for each ``network``, ``way``, ``seed`` and ``layer``.
        layers: in the order wanted.
    """
    return {
        network: {
            way: rows.pivot(index="seed", columns="layer", values=column)
            .loc[rows["seed"].unique(), list(layers)]
            .to_numpy()
            for way, rows in own.groupby("way", sort=False)
        }
        for network, own in measured.groupby("network", sort=False)
    }


def mean_distances(tables: Sequence[pd.DataFrame]) -> dict[str, float]:
    """HD95 and surface Dice, mean over classes, then subjects, then seeds.

    Args:
        tables: of test scores, one a seed, with ``subject``, ``hd95`` in mm and ``surface_dice``.
    """
    names = {"hd95": "HD95 (mm)", "surface_dice": "surface Dice"}
    each = [table.groupby("subject")[list(names)].mean().mean() for table in tables]
    return pd.DataFrame(each).mean().rename(names).to_dict()


def dice_by_structure(tables: Sequence[pd.DataFrame]) -> dict[str, list[float]]:
    """Dice of each ``class``, mean over subjects, one value a seed."""
    each = [table.groupby("class", sort=False)["dice"].mean() for table in tables]
    return {structure: [own[structure] for own in each] for structure in each[0].index}
