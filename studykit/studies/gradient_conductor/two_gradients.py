"""What a rule of conflict makes of two gradients in a plane, and what each way to sum them does to both."""

from collections.abc import Iterator
from math import cos, pi, sin

import torch
from numpy.typing import NDArray
from torch import Tensor

from studykit.training.conflict import ConflictRule, conflict_angle, resolve
from studykit.training.peers import peer_weighting


def shares_given_up(cosines: Tensor, rule: ConflictRule) -> dict[str, NDArray]:
    """Share of the projection on each other that winner and loser give up, by their cosine (n,)."""
    angles = conflict_angle(cosines, rule)
    return {"winner": angles.sin().numpy(), "loser": angles.clamp(max=pi / 2).sin().numpy()}


def reconciled(degrees: float, rule: ConflictRule, length: float = 0.7) -> tuple[Tensor, Tensor]:
    """Two gradients that far apart, (2, 2), the second ``length`` long, and what the rule makes of them."""
    angle = degrees * pi / 180
    raw = torch.tensor([[1.0, 0.0], [length * cos(angle), length * sin(angle)]], dtype=torch.float64)
    scores, wins = torch.zeros(2, 2, dtype=torch.float64), torch.zeros(2, dtype=torch.int64)
    return raw, resolve(raw @ raw.T, scores, wins, rule).combination @ raw


def products(raw: Tensor, resolved: Tensor) -> Iterator[dict[str, str | float]]:
    """For each way of summing, the product of its sum with both gradients: above 0 a step helps that loss.

    Args:
        raw, resolved: (2, 2), as :func:`reconciled` gives them; products are rounded to two places.
    """
    ways = {
        "plain sum": raw.sum(0),
        "GCond": resolved.sum(0),
        "UPGrad": peer_weighting("upgrad")(raw @ raw.T) @ raw,
    }
    for name, way in ways.items():
        stronger, weaker = (raw @ way).round(decimals=2).add(0.0).tolist()
        yield {"sum": name, "stronger loss": stronger, "weaker loss": weaker}
