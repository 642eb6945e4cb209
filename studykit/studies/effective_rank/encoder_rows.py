"""One encoder as a row of a table: its ranks, its probe, and how widely its activations spread."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from studykit.methods.method import Method
from studykit.metrics.effective_rank import DEFINITIONS, effective_rank
from studykit.probes.features import pooled_features, token_features
from studykit.probes.labelled_heads import LabelledHead, probe_both_ways
from studykit.studies.effective_rank.activation_spread import activation_spread

EVERY = 8
"""Of so many crops one gives its tokens to the spread of activations."""


def encoder_row(
    method: Method, crops: Tensor, subjects: NDArray, heads: Sequence[LabelledHead]
) -> dict[str, float]:
    """Effective rank by every definition and of each subject, balanced accuracy of a probe, and spread.

    Args:
        method: whose encoder is looked at.
        crops: (N, 1, D, H, W) of held-out subjects.
        subjects: (N,) the subject of each crop.
        heads: labelled heads; a probe is trained on one and tested on the other, both ways.
    """
    pooled = pooled_features(method, crops)
    return (
        {name: effective_rank(pooled, name) for name in DEFINITIONS}
        | _probe(method, heads)
        | spread_row(method, crops[::EVERY])
        | {f"rank of {name}": effective_rank(pooled[subjects == name]) for name in dict.fromkeys(subjects)}
    )


def spread_row(method: Method, crops: Tensor) -> dict[str, float]:
    """Deviation, excess kurtosis and dead share of an encoder's tokens of crops (N, 1, D, H, W)."""
    spread = activation_spread(token_features(method, crops).flatten(0, 1))
    return {"deviation": spread.deviation, "kurtosis": spread.kurtosis, "dead": spread.dead_share}


def _probe(method: Method, heads: Sequence[LabelledHead]) -> dict[str, float]:
    """Balanced accuracy on each head, and their mean."""
    found = probe_both_ways(heads, lambda crops: token_features(method, crops))
    scores = {name: score.balanced_accuracy for name, score in found.items()}
    each = {f"probe on {name}": value for name, value in scores.items()}
    return each | {"probe": np.mean(list(scores.values()))}
