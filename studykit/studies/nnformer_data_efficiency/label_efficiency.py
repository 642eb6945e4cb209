"""What pre-training brings by the share of labels: gains, where they end, how soon and how steadily.

Dice is better where it is higher; a :class:`~studykit.metrics.convergence.Curve` holds 1 - Dice as its error.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from studykit.claims.crossed import crossed_interval
from studykit.claims.estimate import Estimate
from studykit.claims.stats import mean_interval, paired_log_ratio
from studykit.metrics.convergence import CensoredTime, Curve, best_so_far, steps_to_target


def paired_gain(baseline: ArrayLike, treatment: ArrayLike, *, kind: str = "reduced-scale") -> Estimate:
    """Mean of ``treatment - baseline`` (n,) over seeds, with the interval of :func:`mean_interval`.

    Raises:
        ValueError: scores that are not paired, none at all, or one that is NaN or infinite.
    """
    first, second = np.asarray(baseline, float), np.asarray(treatment, float)
    if first.shape != second.shape:
        raise ValueError(f"scores are paired by seed, got shapes {first.shape} and {second.shape}")
    return mean_interval(second - first, kind=kind)


def gain_ends(gains: Mapping[float, Estimate]) -> float | None:
    """The smallest share of labels at which the interval of the gain does not lie above 0; None if none."""
    return min((share for share, gain in gains.items() if gain.low <= 0), default=None)


def crossed_gain(baseline: ArrayLike, treatment: ArrayLike, *, kind: str = "reduced-scale") -> Estimate:
    """Mean gain over seeds and subjects, both of them samples, as :func:`crossed_interval` has it.

    Where the interval over seeds asks what other trainings would give on these subjects, this one asks what
    other trainings would give on other subjects. One seed or one subject bounds nothing.

    Args:
        baseline, treatment: (seeds, subjects), the same of both in the same order.

    Raises:
        ValueError: tables that are not two-dimensional and of one shape, are empty, or hold a NaN.
    """
    first, second = np.asarray(baseline, float), np.asarray(treatment, float)
    if first.ndim != 2 or first.shape != second.shape or not first.size:
        raise ValueError(f"scores must be (seeds, subjects) twice, got {first.shape} and {second.shape}")
    gain = second - first
    if not np.isfinite(gain).all():
        seed_at, subject_at = np.argwhere(~np.isfinite(gain))[0]
        raise ValueError(f"the gain of seed {seed_at}, subject {subject_at} is not finite")
    if min(gain.shape) > 1:
        return crossed_interval(gain, kind=kind)
    method = "one seed or one subject, unbounded"
    return Estimate(float(gain.mean()), -math.inf, math.inf, len(gain), kind, method=method)


def largest_fall(curve: Curve) -> float:
    """The deepest fall of Dice below its best so far; 0 where it only rises."""
    return float((curve.error - best_so_far(curve).error).max())


def error_at_share(curve: Curve, share: float) -> float:
    """The error 1 - Dice at which a run has ``share`` of the best Dice that it ever reaches.

    Raises:
        ValueError: a share outside (0, 1].
    """
    if not 0 < share <= 1:
        raise ValueError(f"a share of the best Dice must be in (0, 1], got {share}")
    best = float(curve.error.min())
    return best + (1 - share) * (1 - best)


def times_to_share(
    baselines: Sequence[Curve], curves: Sequence[Curve], share: float, *, head_start: float = 0.0
) -> list[CensoredTime]:
    """When each curve reaches ``share`` of the best Dice of the baseline of its own seed.

    Args:
        head_start: what was spent before the curves begin, such as a pre-training, in units of their x.

    Raises:
        ValueError: curves that are not paired, or a share outside (0, 1].
    """
    if len(baselines) != len(curves) or not curves:
        raise ValueError(
            f"curves are paired by seed, got {len(baselines)} baselines and {len(curves)} curves"
        )
    reached = [
        steps_to_target(curve, error_at_share(baseline, share))
        for baseline, curve in zip(baselines, curves, strict=True)
    ]
    return [CensoredTime(head_start + time.time, time.censored) for time in reached]


def sooner(
    baselines: Sequence[Curve],
    treatments: Sequence[Curve],
    share: float,
    *,
    head_start: float = 0.0,
    kind: str = "reduced-scale",
) -> Estimate | None:
    """Baseline time over treatment time to ``share`` of the baseline's best Dice, paired by seed.

    A treatment that never gets there is censored, see :func:`~studykit.claims.stats.paired_log_ratio`; a
    baseline always does. None where a curve is there at x = 0: then no ratio exists.

    Args:
        head_start: what the treatment spent before its curves begin.

    Raises:
        ValueError: curves that are not paired, or a share outside (0, 1].
    """
    first = times_to_share(baselines, baselines, share)
    second = times_to_share(baselines, treatments, share, head_start=head_start)
    if min(time.time for time in first + second) <= 0:
        return None
    return paired_log_ratio(
        [time.time for time in first],
        [time.time for time in second],
        treatment_censored=[time.censored for time in second],
        kind=kind,
    )


def sooner_cells(
    baselines: Sequence[Curve], treatments: Sequence[Curve], share: float, head_start: float, kind: str
) -> dict[str, str | int | float]:
    """Steps to a share of the baseline's best Dice, and how much sooner, without and with what was before.

    A time that was not reached is written ``>`` and counted; where no ratio exists its cells are NaN.

    Args:
        baselines, treatments: one curve a seed, paired.
        head_start: what was spent on pre-training, in the curves' steps.
        kind: of evidence.

    Raises:
        ValueError: as :func:`sooner`.
    """
    reached = times_to_share(baselines, treatments, share)
    cells: dict[str, str | int | float] = {
        "steps": ", ".join(f"{'>' * time.censored}{time.time:.0f}" for time in reached),
        "censored": sum(time.censored for time in reached),
    }
    for name, start in (("ratio", 0.0), ("with pre-training", head_start)):
        e = sooner(baselines, treatments, share, head_start=start, kind=kind)
        bounds = (e.value, e.low, e.high) if e else [float("nan")] * 3
        cells |= dict(zip((name, f"{name}, low", f"{name}, high"), bounds, strict=True))
    return cells
