"""Scores of the segmentation probe: rows of a run, and what they come to over seeds."""

from collections.abc import Iterator, Sequence

import pandas as pd

from studykit.claims.estimate import Estimate
from studykit.claims.stats import mean_interval
from studykit.methods.method import Method
from studykit.probes.segmentation import MODES, SCORED, ProbeSettings, TiledHead, segment_both_ways
from studykit.probes.tissues import TISSUES

PROBE_COLUMNS = ("tested on", "Dice", "HD95", "surface Dice", *(TISSUES[c] for c in SCORED))
"""Columns of :func:`probe_rows`: HD95 in mm, and after the means the Dice of each class."""

_ENCODER = ["encoder", "mode"]


def probe_rows(
    heads: Sequence[TiledHead], method: Method, settings: ProbeSettings, mode: str, seed: int
) -> Iterator[dict[str, str | float]]:
    """A row for each labelled head that a probe trained on the other one is tested on.

    Raises:
        ValueError: see :func:`~studykit.probes.segmentation.segment_both_ways`.
    """
    for head, score in segment_both_ways(heads, method, settings, mode=mode, seed=seed).items():
        means = {"Dice": score.mean_dice, "HD95": score.mean_hd95, "surface Dice": score.mean_surface_dice}
        yield {"tested on": head} | means | {TISSUES[c]: dice for c, dice in score.dice.items()}


def by_mode(scores: pd.Series) -> dict[str, dict[str, list[float]]]:
    """Encoder → mode → one value a seed, of scores that (encoder, mode, seed) index."""
    values = {key: own.tolist() for key, own in scores.groupby(level=_ENCODER, sort=False)}
    return {name: {mode: values[name, mode] for mode in MODES} for name, _ in values}


def over_seeds(scores: pd.Series) -> pd.DataFrame:
    """Mean of each encoder and mode under the scores' name, its 95 % interval as ``low`` and ``high``."""
    found = scores.groupby(level=_ENCODER, sort=False).apply(lambda own: mean_interval(own.tolist()))
    columns = {scores.name: "value", "low": "low", "high": "high"}
    return pd.DataFrame({name: found.map(lambda e, a=part: getattr(e, a)) for name, part in columns.items()})


def paired_difference(scores: pd.Series, first: str, second: str, mode: str, kind: str) -> Estimate:
    """Score on the first encoder less that on the second, paired by seed.

    Args:
        scores: indexed by encoder, mode and seed.
        kind: of evidence.

    Raises:
        KeyError: an encoder or a mode that was not scored.
    """
    by_seed = scores.unstack("seed")
    return mean_interval(by_seed.loc[(first, mode)] - by_seed.loc[(second, mode)], kind=kind)
