"""How long until an error curve reaches a target: censored times, and speed-ups over a range of targets.

The x-axis is whatever the caller counts: optimizer steps, FLOPs or seconds. Lower errors are better. Many
seeds timed to a fixed quality is MLPerf's practice; a run that never arrives is censored, not dropped.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from studykit.claims.estimate import Estimate
from studykit.claims.stats import paired_log_ratio

TARGETS_OF_A_RANGE = 27
"""Targets over which a speed-up is averaged: one every fortieth of the improvement from 0.25 to 0.9."""


@dataclass(frozen=True, eq=False)
class Curve:
    """Held-out ``error`` (n,) at the increasing points ``x`` (n,) where it was evaluated.

    Raises:
        ValueError: unequal lengths, no point, x that does not increase, or a value that is NaN or infinite.
    """

    x: ArrayLike
    error: ArrayLike

    def __post_init__(self) -> None:
        for name in ("x", "error"):
            values = np.array(getattr(self, name), dtype=np.float64)
            if values.ndim != 1 or values.size == 0:
                raise ValueError(f"a curve's {name} must be (n,) and not empty, got shape {values.shape}")
            if not np.isfinite(values).all():
                at = np.flatnonzero(~np.isfinite(values))[0]
                raise ValueError(f"a curve's {name}[{at}] is {values[at]}; a diverged run cannot be timed")
            values.flags.writeable = False
            object.__setattr__(self, name, values)
        if self.x.size != self.error.size:
            raise ValueError(f"a curve has one error a point, got {self.x.size} x, {self.error.size} errors")
        if (np.diff(self.x) <= 0).any():
            at = int(np.flatnonzero(np.diff(self.x) <= 0)[0])
            raise ValueError(f"a curve's x must increase, got {self.x[at]} then {self.x[at + 1]}")


@dataclass(frozen=True)
class CensoredTime:
    """When a target was reached; ``censored`` where it was not, and ``time`` is then the end of the curve."""

    time: float
    censored: bool


@dataclass(frozen=True)
class SpeedupPoint:
    """The speed-up at one target level.

    ``targets`` holds the error asked of each pair. ``estimate`` is None where no ratio exists: some baseline
    never improved on its first error, or some curve met its target at x = 0.
    """

    fraction: float
    targets: tuple[float, ...]
    estimate: Estimate | None


def steps_to_target(curve: Curve, target: float) -> CensoredTime:
    """The x at which ``curve`` first comes down to ``target``, linear between evaluations.

    A curve that starts at or below the target is there at its first x. One that never comes down is censored
    at its last x.

    >>> steps_to_target(Curve([0, 10, 20], [1.0, 0.5, 0.1]), 0.75)
    CensoredTime(time=5.0, censored=False)
    >>> steps_to_target(Curve([0, 10, 20], [1.0, 0.5, 0.1]), 0.05)
    CensoredTime(time=20.0, censored=True)
    """
    if not np.isfinite(target):
        raise ValueError(f"a target error must be finite, got {target}")
    x, error = curve.x, curve.error
    reached = np.flatnonzero(error <= target)
    if reached.size == 0:
        return CensoredTime(float(x[-1]), censored=True)
    i = int(reached[0])
    if i == 0:
        return CensoredTime(float(x[0]), censored=False)
    share = (error[i - 1] - target) / (error[i - 1] - error[i])
    return CensoredTime(float(x[i - 1] + share * (x[i] - x[i - 1])), censored=False)


def steps_to_own_targets(curves: Sequence[Curve], targets: Sequence[float]) -> list[float]:
    """The x at which each curve comes down to its own target, infinite for one that never does.

    >>> steps_to_own_targets([Curve([0, 10], [1.0, 0.5]), Curve([0, 10], [1.0, 0.9])], [0.75, 0.75])
    [5.0, inf]

    Raises:
        ValueError: not one target a curve, or one that is not finite.
    """
    times = [steps_to_target(curve, target) for curve, target in zip(curves, targets, strict=True)]
    return [float("inf") if time.censored else time.time for time in times]


def target_of(curve: Curve, fraction: float = 1.0) -> float:
    """The error at which ``curve`` has made ``fraction`` of all its improvement, 1 being its best error.

    >>> target_of(Curve([0, 10, 20], [1.0, 0.5, 0.0]), 0.75)
    0.25

    Raises:
        ValueError: a fraction outside (0, 1].
    """
    if not 0 < fraction <= 1:
        raise ValueError(f"a fraction of the baseline's improvement must be in (0, 1], got {fraction}")
    best = float(curve.error.min())
    return best + (1 - fraction) * (float(curve.error[0]) - best)


def best_so_far(curve: Curve) -> Curve:
    """The same points with the lowest error met up to each.

    >>> best_so_far(Curve([0, 1, 2], [1.0, 0.3, 0.5])).error.tolist()
    [1.0, 0.3, 0.3]
    """
    return Curve(curve.x, np.minimum.accumulate(curve.error))


def largest_rise(curve: Curve) -> float:
    """Largest rise of the error above its best so far, as a share of its whole improvement.

    0 for a curve that only falls; infinite for one that rises and never improves.

    >>> largest_rise(Curve([0, 1, 2, 3], [1.0, 0.5, 0.75, 0.0]))
    0.25
    """
    best = best_so_far(curve).error
    rise, improvement = float((curve.error - best).max()), float(best[0] - best[-1])
    if rise == 0:
        return 0.0
    return rise / improvement if improvement > 0 else float("inf")


@dataclass(frozen=True)
class SpeedupOverRange:
    """The speed-up over a range of errors that both arms of each pair reach.

    ``estimate`` is None where no ratio exists: some baseline never improved on its first error, or some curve
    met its first target at x = 0. ``reached`` holds, for each pair, the share of the baseline's improvement
    down to which both came: at most the range's end, and below its start where the treatment never entered
    the range.
    """

    estimate: Estimate | None
    reached: tuple[float, ...]


def speedup_over_range(
    baseline_curves: Sequence[Curve],
    treatment_curves: Sequence[Curve],
    start: float = 0.25,
    end: float = 0.9,
    *,
    kind: str = "reduced-scale",
) -> SpeedupOverRange:
    """Baseline time over treatment time, its logarithm averaged over targets from ``start`` to ``end``.

    Targets are equally spaced shares of the baseline's improvement, see :func:`target_of`. Each pair's mean
    runs over the targets that its treatment reaches too, so no single depth, where one arm's schedule has
    just come to rest, stands for the whole curve. A treatment that reaches none of them is censored: the
    ratio at ``start`` is at most the baseline's time over the treatment's budget.

    >>> slow, fast = Curve([0, 10, 20], [1.0, 0.5, 0.0]), Curve([0, 5, 10], [1.0, 0.5, 0.0])
    >>> round(speedup_over_range([slow, slow], [fast, fast]).estimate.value, 6)
    2.0

    Raises:
        ValueError: unpaired or no curves, or a range that is not within (0, 1].
    """
    _check_pairs(baseline_curves, treatment_curves)
    if not 0 < start < end <= 1:
        raise ValueError(f"a range of shares needs 0 < start < end <= 1, got {start} to {end}")
    shares = np.linspace(start, end, TARGETS_OF_A_RANGE)
    logs, never, reached = [], [], []
    for baseline, treatment in zip(baseline_curves, treatment_curves, strict=True):
        if not baseline.error[0] > baseline.error.min():
            return SpeedupOverRange(None, ())
        targets = [target_of(baseline, share) for share in shares]
        first = [steps_to_target(baseline, target).time for target in targets]
        second = [steps_to_target(treatment, target) for target in targets]
        arrived = sum(not met.censored for met in second)
        used = max(arrived, 1)
        if min(first[0], second[0].time) <= 0:
            return SpeedupOverRange(None, ())
        times = [met.time for met in second[:used]]
        logs.append(float(np.mean(np.log(first[:used]) - np.log(times))))
        never.append(arrived == 0)
        reached.append(float(shares[arrived - 1]) if arrived else _share_reached(baseline, treatment))
    ratios = np.exp(logs)
    estimate = paired_log_ratio(ratios, np.ones_like(ratios), treatment_censored=never, kind=kind)
    return SpeedupOverRange(estimate, tuple(reached))


def speedup_profile(
    baseline_curves: Sequence[Curve],
    treatment_curves: Sequence[Curve],
    fractions: Sequence[float] = (0.5, 0.75, 0.9, 0.95, 1.0),
    *,
    kind: str = "reduced-scale",
) -> tuple[SpeedupPoint, ...]:
    """Baseline time over treatment time at several targets, paired by seed.

    Each pair's target is set by its own baseline: the error at which the baseline has made ``fraction`` of
    all the improvement that it makes within its budget, 1 being its best error. So a baseline always arrives,
    and one easily reached target cannot stand for the whole curve.

    >>> slow, fast = Curve([0, 10, 20], [1.0, 0.5, 0.0]), Curve([0, 5, 10], [1.0, 0.5, 0.0])
    >>> round(speedup_profile([slow, slow], [fast, fast], (1.0,))[0].estimate.value, 6)
    2.0

    Raises:
        ValueError: unpaired or no curves, or a fraction outside (0, 1].
    """
    _check_pairs(baseline_curves, treatment_curves)
    return tuple(_speedup_at(f, baseline_curves, treatment_curves, kind) for f in fractions)


def _share_reached(baseline: Curve, treatment: Curve) -> float:
    improvement = float(baseline.error[0] - baseline.error.min())
    return (float(baseline.error[0]) - float(treatment.error.min())) / improvement


def _check_pairs(baseline_curves: Sequence[Curve], treatment_curves: Sequence[Curve]) -> None:
    if len(baseline_curves) != len(treatment_curves) or not baseline_curves:
        counts = f"{len(baseline_curves)} baseline and {len(treatment_curves)} treatment"
        raise ValueError(f"curves are paired by seed, got {counts} curves")


def _speedup_at(
    fraction: float, baseline_curves: Sequence[Curve], treatment_curves: Sequence[Curve], kind: str
) -> SpeedupPoint:
    targets = [target_of(curve, fraction) for curve in baseline_curves]
    baseline = [steps_to_target(c, t) for c, t in zip(baseline_curves, targets, strict=True)]
    treatment = [steps_to_target(c, t) for c, t in zip(treatment_curves, targets, strict=True)]
    improved = all(c.error[0] > t for c, t in zip(baseline_curves, targets, strict=True))
    if not improved or min(reached.time for reached in baseline + treatment) <= 0:
        return SpeedupPoint(fraction, tuple(targets), estimate=None)
    estimate = paired_log_ratio(
        [reached.time for reached in baseline],
        [reached.time for reached in treatment],
        [reached.censored for reached in baseline],
        [reached.censored for reached in treatment],
        kind=kind,
    )
    return SpeedupPoint(fraction, tuple(targets), estimate)
