"""Conflicts between the gradients of several losses, resolved as GradientConductor does (arXiv 2509.07252).

The pair with the smallest cosine is resolved first, and each member loses a share of its projection on the
other. The shares follow from an angle that the cosine sets:

    cosine     θ_critical          θ_main           θ_weak
    angle      π ──── (power p) ── π/2 ── (linear) ── 0        shares: winner sin α, loser sin min(α, π/2)
               loser gives way     both give way    neither

Resolved gradients are combinations A G of the raw ones G (tasks, parameters), and the Gram matrix G Gᵀ holds
all that decides about A. So everything here happens on (tasks, tasks) tensors, in float64 and on the device
where they are, and the host never waits for a result.
"""

from dataclasses import dataclass
from math import pi
from typing import NamedTuple

import torch
from torch import Tensor

NEGLIGIBLE = 1e-6
"""Share of its raw norm below which a resolved gradient counts as gone: its direction would be rounding."""


@dataclass(frozen=True, kw_only=True)
class ConflictRule:
    """Which pairs conflict, how much is taken from each, who wins; defaults as in all published runs.

    Raises:
        ValueError: a value that makes no rule; the message names it.
    """

    thresholds: tuple[float, float, float] = (-0.8, -0.5, 0.0)
    """Cosines θ_critical, θ_main, θ_weak: at most the first, the loser alone gives way; above the second both
    give way alike, the less the nearer to the third, from which there is no conflict."""
    exponent: float = 2.0
    """p, which bends the angle between θ_critical and θ_main."""
    arbiter: tuple[float, float] = (0.8, 0.2)
    """Weights of stability and of relative strength in a task's score."""
    win_limit: int = 0
    """Wins in a row after which a task loses; 0 for no limit."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "thresholds", tuple(self.thresholds))
        object.__setattr__(self, "arbiter", tuple(self.arbiter))
        ordered = len(self.thresholds) == 3 and (
            -1 <= self.thresholds[0] < self.thresholds[1] < self.thresholds[2] <= 0
        )
        self._demand(ordered, "thresholds", "three cosines with -1 <= critical < main < weak <= 0")
        self._demand(self.exponent > 0, "exponent", "above 0")
        weighted = len(self.arbiter) == 2 and min(self.arbiter) >= 0 and sum(self.arbiter) > 0
        self._demand(weighted, "arbiter", "two weights of at least 0, not both 0")
        self._demand(
            isinstance(self.win_limit, int) and self.win_limit >= 0, "win_limit", "a whole number from 0"
        )

    def _demand(self, holds: bool, name: str, what: str) -> None:
        if not holds:
            raise ValueError(f"{name} is {getattr(self, name)!r}, it must be {what}")


class Resolution(NamedTuple):
    """What :func:`resolve` found."""

    combination: Tensor
    """float64 (tasks, tasks): row i makes the resolved gradient of task i out of the raw ones."""
    wins: Tensor
    """int64 (tasks,): wins in a row, this resolution included."""
    count: Tensor
    """int64 scalar: how many times a pair was resolved."""


def conflict_angle(cosine: Tensor, rule: ConflictRule) -> Tensor:
    """α in radians, of the shape of ``cosine``: π up to θ_critical, π/2 at θ_main, 0 from θ_weak on."""
    critical, main, weak = rule.thresholds
    severe = ((cosine - main) / (critical - main)).clamp(0, 1) ** rule.exponent
    mild = ((cosine - main) / (weak - main)).clamp(0, 1)
    return pi / 2 * (1 + severe - mild)


def arbiter_scores(stability: Tensor, strength: Tensor, rule: ConflictRule) -> Tensor:
    """Score of task i against task j at [i, j], (tasks, tasks); the pair's greater score wins.

    Args:
        stability: (tasks,), cosine of each gradient with that of the step before; a negative one counts as 0.
        strength: (tasks,), norm of each gradient over its moving average; a pair shares it out.
    """
    pair = strength[:, None] + strength
    relative = torch.where(pair > 0, strength[:, None] / pair, 0.5)
    steady, strong = rule.arbiter
    return steady * stability.clamp(min=0)[:, None] + strong * relative


def resolve(gram: Tensor, scores: Tensor, wins: Tensor, rule: ConflictRule) -> Resolution:
    """Resolve the worst pair, up to 2 · tasks times, until none is left below θ_weak.

    Who comes first in the matrix decides only between what is alike: of pairs with one cosine the one with
    the greater product goes first, of two tasks with one score the one with the greater gradient wins. A
    gradient that is zero or was resolved away conflicts with none. Where one is not finite, none is resolved.

    Args:
        gram: float64 (tasks, tasks), inner products of the raw gradients.
        scores: (tasks, tasks), from :func:`arbiter_scores`.
        wins: int64 (tasks,), wins in a row so far.
    """
    tasks = len(gram)
    _, main, weak = rule.thresholds
    firsts, seconds = torch.triu_indices(tasks, tasks, offset=1, device=gram.device)
    beats = _beats(scores, gram.diagonal())
    least = gram.diagonal() * NEGLIGIBLE**2
    combination = torch.eye(tasks, dtype=gram.dtype, device=gram.device)
    count = torch.zeros_like(wins[:1])

    for _ in range(2 * tasks if tasks > 1 else 0):
        products = combination @ gram @ combination.T
        squares = products.diagonal()
        norms, there = squares.clamp(min=0).sqrt(), squares > least
        cosines = products[firsts, seconds] / (norms[firsts] * norms[seconds])
        cosines = torch.where(there[firsts] & there[seconds], cosines, torch.inf)

        # One pair, as index tensors of shape (1,): a number would have to come to the host.
        worst = torch.where(cosines == cosines.min(), products[firsts, seconds].abs(), -1)
        pair = worst.argmax(keepdim=True)
        one, other, cosine = firsts[pair], seconds[pair], cosines[pair]
        one_wins = beats[one, other]
        if rule.win_limit:
            tired = wins >= rule.win_limit
            one_wins = torch.where(tired[one] == tired[other], one_wins, tired[other])
        winner, loser = torch.where(one_wins, one, other), torch.where(one_wins, other, one)

        conflict = cosine < weak
        angle = conflict_angle(cosine, rule)
        product = products[winner, loser]
        from_winner = torch.where(conflict, angle.sin() * product / squares[loser], 0)
        from_loser = torch.where(conflict, angle.clamp(max=pi / 2).sin() * product / squares[winner], 0)
        winners, losers = combination[winner], combination[loser]
        combination[winner] = winners - from_winner[:, None] * losers
        combination[loser] = losers - from_loser[:, None] * winners

        judged = cosine < main
        wins = wins.index_copy(0, winner, wins[winner] + judged)
        wins = wins.index_copy(0, loser, torch.where(judged, 0, wins[loser]))
        count = count + conflict
    return Resolution(combination, wins, count[0])


def _beats(scores: Tensor, squares: Tensor) -> Tensor:
    """bool (tasks, tasks): whether the row's task beats the column's by score, by norm, by place."""
    before = torch.ones_like(scores, dtype=torch.bool).triu(1)
    larger, as_large = squares[:, None] > squares, squares[:, None] == squares
    return (scores > scores.T) | ((scores == scores.T) & (larger | (as_large & before)))
