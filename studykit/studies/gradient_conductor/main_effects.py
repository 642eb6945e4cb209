"""What each factor of a full factorial experiment brings, on average over all the others.

Every combination of levels is a cell with one response a seed, a time to a target or an error: smaller is
better. The effect of one level over another is the ratio of their responses, its geometric mean over all
combinations of the other factors; the interval is over seeds, as each seed gives one such mean. These are
the main effects of Box, Hunter and Hunter's "Statistics for Experimenters", on logarithms.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from studykit.claims.estimate import Estimate
from studykit.claims.stats import paired_log_ratio
from studykit.metrics.convergence import CensoredTime, Curve, steps_to_target, target_of

Cell = tuple[str, ...]


@dataclass(frozen=True)
class Effect:
    """How many times smaller the treatment's response is; ``censored`` of ``runs`` never reached the target.

    ``estimate`` is None where some response is 0, a target met before the first step, and no ratio exists.
    """

    estimate: Estimate | None
    censored: int
    runs: int


class Factorial:
    """Responses of a full factorial, paired by seed.

    Args:
        factors: name → levels.
        responses: cell, one level of each factor in their order → one response a seed. A censored time is a
            lower bound, and is treated as :func:`~studykit.claims.stats.paired_log_ratio` does.

    Raises:
        ValueError: a cell is missing or unknown, or cells differ in their number of seeds.
    """

    def __init__(
        self, factors: Mapping[str, Sequence[str]], responses: Mapping[Cell, Sequence[CensoredTime]]
    ) -> None:
        expected = set(every_cell(factors))
        if responses.keys() != expected:
            wrong = [f"missing {cell}" for cell in sorted(expected - responses.keys())]
            wrong += [f"unknown {cell}" for cell in sorted(responses.keys() - expected)]
            raise ValueError(f"cells do not make a full factorial: {'; '.join(wrong)}")
        counts = {len(own) for own in responses.values()}
        if len(counts) > 1 or not min(counts):
            raise ValueError(f"cells are paired by seed, got {sorted(counts)} responses a cell")
        self.factors = {name: tuple(levels) for name, levels in factors.items()}
        self._responses = dict(responses)
        self._seeds = counts.pop()

    def effect(
        self,
        factor: str,
        baseline: str,
        treatment: str,
        within: Mapping[str, str] | None = None,
        *,
        kind: str = "reduced-scale",
    ) -> Effect:
        """Response at ``baseline`` of a factor over that at ``treatment``: above 1, ``treatment`` is better.

        Args:
            within: levels of other factors to stay at, for an effect under that condition alone.

        Raises:
            ValueError: an unknown factor or level; the message lists the known ones.
        """
        fixed = dict(within or {})
        for name, level in (*fixed.items(), (factor, baseline), (factor, treatment)):
            self._check(name, level)
        sides = [self._cells(fixed | {factor: level}) for level in (baseline, treatment)]
        flat = [response for cells in sides for cell in cells for response in self._responses[cell]]
        censored = sum(response.censored for response in flat)
        if min(response.time for response in flat) <= 0:
            return Effect(None, censored, len(flat))
        means = [[self._mean(cells, seed) for seed in range(self._seeds)] for cells in sides]
        return Effect(ratio(*means, kind=kind), censored, len(flat))

    def _check(self, factor: str, level: str) -> None:
        if factor not in self.factors:
            raise ValueError(f"Unknown factor {factor!r}. Known: {', '.join(self.factors)}.")
        if level not in self.factors[factor]:
            known = ", ".join(repr(own) for own in self.factors[factor])
            raise ValueError(f"Unknown level {level!r} of {factor}. Known: {known}.")

    def _cells(self, fixed: Mapping[str, str]) -> list[Cell]:
        own = [(fixed[name],) if name in fixed else levels for name, levels in self.factors.items()]
        return list(product(*own))

    def _mean(self, cells: Sequence[Cell], seed: int) -> CensoredTime:
        return _geometric_mean([self._responses[cell][seed] for cell in cells])


def every_cell(factors: Mapping[str, Sequence[str]]) -> list[Cell]:
    """All combinations of the factors' levels, the last factor varying fastest.

    >>> every_cell({"loss": ("L2", "MVC"), "masks": ("random",)})
    [('L2', 'random'), ('MVC', 'random')]
    """
    return list(product(*factors.values()))


def times_by_cell(
    curves: Mapping[Cell, Sequence[Curve]], baseline: Mapping[Cell, Cell], depth: float
) -> dict[Cell, list[CensoredTime]]:
    """Time of each run to its target: a share of the improvement of the same seed of the cell's baseline.

    Args:
        curves: of each cell, one a seed.
        baseline: cell → the cell whose improvement its target is a share of.
        depth: that share, in (0, 1].
    """
    targets = {cell: [target_of(curve, depth) for curve in curves[cell]] for cell in set(baseline.values())}
    return {
        cell: [steps_to_target(c, t) for c, t in zip(own, targets[baseline[cell]], strict=True)]
        for cell, own in curves.items()
    }


def times_to_best(
    baseline: Sequence[Curve], treatment: Sequence[Curve]
) -> tuple[list[CensoredTime], list[CensoredTime]]:
    """Times of both to the baseline's best value, one a seed."""
    best = [target_of(curve) for curve in baseline]
    pairs = (zip(own, best, strict=True) for own in (baseline, treatment))
    return tuple([steps_to_target(curve, target) for curve, target in pair] for pair in pairs)


def uncensored(values: Iterable[float]) -> list[CensoredTime]:
    """Responses that are no times, such as errors, as :class:`Factorial` takes them."""
    return [CensoredTime(float(value), censored=False) for value in values]


def ratio(
    baseline: Sequence[CensoredTime], treatment: Sequence[CensoredTime], *, kind: str = "reduced-scale"
) -> Estimate:
    """Geometric mean of ``baseline / treatment`` over pairs, with its interval.

    Raises:
        ValueError: unpaired, none, or a time that is not positive.
    """
    return paired_log_ratio(
        [own.time for own in baseline],
        [own.time for own in treatment],
        [own.censored for own in baseline],
        [own.censored for own in treatment],
        kind=kind,
    )


def ratio_of_speedups(
    one: tuple[Sequence[CensoredTime], Sequence[CensoredTime]],
    other: tuple[Sequence[CensoredTime], Sequence[CensoredTime]],
    *,
    kind: str = "reduced-scale",
) -> Estimate | None:
    """Speed-up under one condition over that under another, paired by seed: an interaction.

    Args:
        one, other: times of the baseline and of the treatment, one a seed, under each condition.

    Returns:
        None where a time is 0: a target met before the first step has no speed-up.
    """
    if min(own.time for side in (*one, *other) for own in side) <= 0:
        return None
    above = [_product(*pair) for pair in zip(one[0], other[1], strict=True)]
    below = [_product(*pair) for pair in zip(one[1], other[0], strict=True)]
    return ratio(above, below, kind=kind)


def _product(one: CensoredTime, other: CensoredTime) -> CensoredTime:
    return CensoredTime(one.time * other.time, one.censored or other.censored)


def _geometric_mean(times: Sequence[CensoredTime]) -> CensoredTime:
    mean = math.exp(sum(math.log(own.time) for own in times) / len(times))
    return CensoredTime(mean, any(own.censored for own in times))
