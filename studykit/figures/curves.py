"""Figures of a study: learning curves with bands over seeds, and the speed-up at every depth of the target.

Pictures of volumes live in ``planes`` and ``reconstructions``, claims side by side in ``forest``, the look in
``style``; all are listed here, so that a notebook needs one import.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import Protocol

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from studykit.claims.estimate import Estimate
from studykit.figures.style import DASHED, SMALL, WIDTH, arm_style, plain_log_ticks, styled

Curve = tuple[ArrayLike, ArrayLike]


class Point(Protocol):
    """A speed-up at one depth, as :func:`studykit.metrics.convergence.speedup_by_depth` gives it."""

    fraction: float
    estimate: Estimate | None


@dataclass(frozen=True)
class Band:
    """Mean over seeds with its 95 % t interval, at the points ``x`` that every seed covers."""

    x: NDArray
    mean: NDArray
    low: NDArray
    high: NDArray


def seed_band(curves: Sequence[Curve]) -> Band:
    """Mean and 95 % t interval over seeds, each interpolated linearly to the union of all points.

    Points outside the range that all seeds cover are left out, since their mean would be of other seeds.
    With one seed the bounds are NaN: one run says nothing about spread.

    Args:
        curves: one (x, error) a seed, x growing.

    Raises:
        ValueError: no seed, x not growing, an error not finite, or no range that all seeds cover.
    """
    from scipy import stats

    pairs = [(np.asarray(x, float), np.asarray(y, float)) for x, y in curves]
    if not pairs:
        raise ValueError("an arm has no curve: pass one (x, error) pair for each seed")
    for x, y in pairs:
        if x.ndim != 1 or x.shape != y.shape or not len(x) or (np.diff(x) <= 0).any():
            raise ValueError(
                f"a curve needs growing x and as many errors, got shapes {x.shape} and {y.shape}"
            )
        if not np.isfinite(y).all():
            raise ValueError(
                "a curve has an error that is NaN or infinite: leave diverged runs out, and say so"
            )
    start, end = max(x[0] for x, _ in pairs), min(x[-1] for x, _ in pairs)
    if end < start:
        raise ValueError(f"no x is covered by all seeds: one starts at {start:g}, one ends at {end:g}")
    grid = np.unique(np.concatenate([x for x, _ in pairs]))
    grid = grid[(grid >= start) & (grid <= end)]
    errors = np.stack([np.interp(grid, x, y) for x, y in pairs])
    mean, n = errors.mean(axis=0), len(errors)
    if n == 1:
        return Band(grid, mean, *np.full((2, len(grid)), np.nan))
    half = stats.t.ppf(0.975, n - 1) * errors.std(axis=0, ddof=1) / np.sqrt(n)
    return Band(grid, mean, mean - half, mean + half)


@styled
def convergence_curves(
    curves: Mapping[str, Sequence[Curve]],
    x_label: str,
    y_label: str,
    title: str,
    target: float | Sequence[float] | None = None,
    reached: Mapping[str, Sequence[float]] | None = None,
) -> Figure:
    """Error against effort: each arm's mean with a 95 % band over seeds, and each seed as a thin line.

    Args:
        curves: arm → one (x, error) a seed, x growing.
        x_label, y_label: names of the axes with their units.
        title: what the figure shows.
        target: the error to reach, one for all or one a seed (then drawn as a strip).
        reached: arm → the x at which each seed reached the target, infinite where it never did; drawn as
            marks on the target's line, and counted in the legend.

    Raises:
        ValueError: no arm, or a curve that :func:`seed_band` refuses.
    """
    if not curves:
        raise ValueError("convergence_curves got no arms: pass a mapping from arm to one curve a seed")
    fig, axis = plt.subplots(figsize=(WIDTH, 4.0), layout="constrained")
    styles, reached = arm_style(list(curves)), reached or {}
    for arm, seeds in curves.items():
        band, colour = seed_band(seeds), styles[arm]["color"]
        for x, error in seeds:
            axis.plot(x, error, color=colour, linewidth=0.6, alpha=0.45)
        axis.fill_between(band.x, band.low, band.high, color=colour, alpha=0.18, linewidth=0)
        axis.plot(band.x, band.mean, label=_legend(arm, len(seeds), reached), markevery=1 / 9, **styles[arm])
    if min(np.min(error) for seeds in curves.values() for _, error in seeds) > 0:
        axis.set_yscale("log")
        plain_log_ticks(axis.yaxis)
    if max(np.max(x) for seeds in curves.values() for x, _ in seeds) < 1e6:
        axis.xaxis.set_major_formatter(ticker.StrMethodFormatter("{x:,g}"))
    if target is not None:
        level = _target_line(axis, np.atleast_1d(np.asarray(target, float)))
        for arm, style in styles.items():
            times = [x for x in reached.get(arm, ()) if np.isfinite(x)]
            axis.plot(times, [level] * len(times), style["marker"], color=style["color"], **_REACHED)
    axis.set(xlabel=x_label, ylabel=y_label, title=title)
    single = all(len(seeds) == 1 for seeds in curves.values())
    shown = "single seeds, no interval" if single else "mean, 95 % t interval and single seeds"
    axis.legend(title=shown, title_fontsize=8.5, alignment="left")
    return fig


@styled
def speedup_by_depth(
    profiles: Mapping[str, Sequence[Point]],
    title: str,
    ratio_label: str = "speed-up (baseline / arm)",
    reported: float | None = None,
) -> Figure:
    """How many times less effort an arm needs, against how deep the target lies.

    Args:
        profiles: kind of effort (steps, FLOPs, wall-clock) → the ratio at each depth, the share in (0, 1] of
            the baseline's improvement that a target asks for. A bound beyond the axis is an arrow; a depth
            without an estimate is left out.
        title: what the figure shows.
        ratio_label: name of the vertical axis, a ratio.
        reported: the paper's ratio, drawn as a line.

    Raises:
        ValueError: no kind of effort, or none of them has an estimate.
    """
    points = {name: [p for p in given if p.estimate is not None] for name, given in profiles.items()}
    if not any(points.values()):
        raise ValueError(
            "speedup_by_depth got no ratio to draw: pass a mapping from kind of effort to points"
        )
    fig, axis = plt.subplots(figsize=(WIDTH, 3.8), layout="constrained")
    levels = {1.0: "as the baseline"} | ({} if reported is None else {reported: f"reported: {reported:g}×"})
    for level, words in levels.items():
        axis.axhline(level, color="black", linewidth=1, linestyle="-" if level == 1 else DASHED)
        axis.annotate(words, (1, level), (4, 0), xycoords=_AT_LEVEL, va="center", **SMALL)
    estimates = [point.estimate for given in points.values() for point in given]
    numbers = np.array([(e.low, e.value, e.high) for e in estimates])
    drawn = [*numbers[np.isfinite(numbers) & (numbers > 0)], *levels]
    bottom, top = max(min(drawn), 0.01) / 1.3, min(max(drawn), 100) * 1.3
    depths = sorted({100 * point.fraction for given in profiles.values() for point in given})
    step = min(np.diff(depths), default=10.0)
    for place, (name, style) in enumerate(arm_style(list(points)).items()):
        shift = (place - (len(points) - 1) / 2) * 0.12 * step
        x = np.array([100 * point.fraction + shift for point in points[name]])
        value, low, high = (
            np.array([getattr(point.estimate, part) for point in points[name]])
            for part in ("value", "low", "high")
        )
        axis.plot(x, value, label=name, **style)
        axis.vlines(x, np.clip(low, bottom, top), np.clip(high, bottom, top), style["color"], linewidth=1.3)
        for beyond, edge, arrow in ((high > top, top, "^"), (low < bottom, bottom, "v")):
            for at in x[beyond]:
                axis.plot(at, edge, arrow, color=style["color"], clip_on=False)
    axis.set_yscale("log")
    axis.set_ylim(bottom, top)
    plain_log_ticks(axis.yaxis)
    axis.set_xticks(depths, [f"{depth:g}" for depth in depths])
    axis.set(xlabel="depth of the target (% of the baseline's improvement)", ylabel=ratio_label)
    axis.set_title(title, pad=24)
    axis.legend(loc="lower left", bbox_to_anchor=(-0.01, 0.99), ncols=len(points))
    return fig


@styled
def arm_by_arm(
    curves: Mapping[str, Sequence[Curve]], x_label: str, y_label: str, title: str, columns: int = 4
) -> Figure:
    """Many arms that would hide each other on one axis: a small panel for each, all on the same axes.

    In its own panel an arm has its mean, its 95 % band over seeds and each seed; the other arms' means stand
    behind it in grey.

    Args:
        curves: arm → one (x, value) a seed, x growing.
        x_label, y_label: names of the axes with their units.
        title: what the figure shows.
        columns: panels in a row.

    Raises:
        ValueError: no arm, or a curve that :func:`seed_band` refuses.
    """
    if not curves:
        raise ValueError("arm_by_arm got no arms: pass a mapping from arm to one curve a seed")
    bands, looks = {arm: seed_band(seeds) for arm, seeds in curves.items()}, arm_style(list(curves))
    columns = min(columns, len(curves))
    rows = -(-len(curves) // columns)
    fig, axes = plt.subplots(
        rows, columns, figsize=(WIDTH, 1.75 * rows + 0.7), sharex=True, sharey=True, squeeze=False,
        layout="constrained",
    )  # fmt: skip
    drawn = np.concatenate([y for seeds in curves.values() for _, y in seeds])
    room = 0.06 * (np.ptp(drawn) or 1)
    for axis, (arm, band) in zip(axes.flat, bands.items(), strict=False):
        colour = looks[arm]["color"]
        for other in bands.keys() - {arm}:
            axis.plot(bands[other].x, bands[other].mean, color="#BBBBBB", linewidth=0.8, zorder=1)
        for x, y in curves[arm]:
            axis.plot(x, y, color=colour, linewidth=0.6, alpha=0.4)
        axis.fill_between(band.x, band.low, band.high, color=colour, alpha=0.18, linewidth=0)
        axis.plot(band.x, band.mean, color=colour, linewidth=2)
        axis.set_title(fill(f"{arm} (n\u00a0=\u00a0{len(curves[arm])})", 22), fontsize=8.5)
        axis.set_ylim(drawn.min() - room, drawn.max() + room)
        axis.xaxis.set_major_locator(ticker.MaxNLocator(3))
    for axis in axes.flat[len(curves) :]:
        axis.set_axis_off()
    for axis in axes.flat[max(len(curves) - columns, 0) : len(curves)]:
        axis.tick_params(labelbottom=True)
    fig.supxlabel(f"{x_label}; mean, 95 % t band and single seeds, grey: the other arms", fontsize=9)
    fig.supylabel(y_label, fontsize=9)
    fig.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold")
    return fig


_AT_LEVEL = ("axes fraction", "data")
_REACHED = {"markersize": 7, "markeredgecolor": "black", "markeredgewidth": 0.9, "zorder": 5}


def _legend(arm: str, n: int, reached: Mapping[str, Sequence[float]]) -> str:
    if arm not in reached:
        return f"{arm} (n = {n})"
    return f"{arm} (n = {n}, {sum(np.isfinite(x) for x in reached[arm])} reached the target)"


def _target_line(axis: Axes, target: NDArray) -> float:
    level = float(target.mean())
    axis.axhspan(target.min(), target.max(), color="black", alpha=0.08, linewidth=0)
    axis.axhline(level, color="black", linewidth=1, linestyle=DASHED)
    axis.annotate(f"target: {level:.3g}", (0, level), (4, 3), xycoords=_AT_LEVEL, **SMALL)
    return level
