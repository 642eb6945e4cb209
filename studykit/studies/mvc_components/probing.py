"""What a segmentation probe of an encoder comes to."""

from collections.abc import Sequence

import numpy as np

from studykit.methods.method import Method
from studykit.probes.segmentation import ProbeSettings, TiledHead, segment_both_ways


def probe_means(
    heads: Sequence[TiledHead], method: Method, settings: ProbeSettings, mode: str, seed: int
) -> dict[str, float]:
    """Mean Dice and HD95 (mm) over classes and both ways: trained on one head, tested on the other.

    Raises:
        ValueError: see :func:`~studykit.probes.segmentation.segment_both_ways`.
    """
    scores = segment_both_ways(heads, method, settings, mode=mode, seed=seed).values()
    return {"Dice": np.mean([s.mean_dice for s in scores]), "HD95": np.mean([s.mean_hd95 for s in scores])}
