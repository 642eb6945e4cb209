"""What attention keeps for its backward pass, counted; and measured costs of two blocks side by side."""

import pandas as pd
from torch import Tensor, nn

from studykit.claims.estimate import Estimate
from studykit.claims.stats import paired_log_ratio
from studykit.layers.wave_block import WaveBlock
from studykit.metrics.activations import kept_bytes

DIM, HEADS, FLOAT = 48, 3, 4
"""Channels and heads of the published network's first stage, and bytes of a float."""


class _Call(nn.Module):
    """Attention as the blueprint calls it, which returns its weights; or told not to."""

    def __init__(self, need_weights: bool) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(DIM, HEADS, batch_first=True)
        self.need_weights = need_weights

    def forward(self, x: Tensor) -> Tensor:
        return self.attention(x, x, x, need_weights=self.need_weights)[0]


def kept_by_call(side: int, *, need_weights: bool) -> int:
    """Bytes that the blueprint's call of attention keeps for backward, on ``side``³ tokens in fp32."""
    return kept_bytes(_Call(need_weights), (1, side**3, DIM))


def weights_bytes(side: int) -> int:
    """Bytes of the attention weights alone: one float for each pair of ``side``³ tokens and head.

    >>> weights_bytes(2)
    768
    """
    return FLOAT * HEADS * side**6


def kept_by_block(side: int, level: int) -> int:
    """Bytes that a block keeps for backward on a map of ``side``³ places; level 0: attention sees all."""
    return kept_bytes(WaveBlock((side,) * 3, DIM, HEADS, level=level), (1, DIM, side, side, side))


def repeated(measured: pd.DataFrame, column: str) -> dict[str, dict[int, list[float]]]:
    """Block → side → one value a repetition, of measurements that name ``block`` and ``side``."""
    return {
        name: {int(side): values.tolist() for side, values in own.groupby("side")[column]}
        for name, own in measured.groupby("block", sort=False)
    }


def times_more(measured: pd.DataFrame, column: str, side: int) -> Estimate:
    """What the whole map takes over what the LLL band does, paired by ``repetition``."""
    own = measured[measured["side"] == side].pivot(index="repetition", columns="block", values=column)
    return paired_log_ratio(own["whole map"], own["LLL band"], kind="reduced-scale")
