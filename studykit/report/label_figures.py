"""Figures of data efficiency: Dice by the share of labels, validation curves, gains in a forest."""

from collections.abc import Mapping, Sequence
from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from studykit.claims.estimate import Estimate
from studykit.claims.stats import mean_interval
from studykit.report.figures import Curve, seed_band
from studykit.report.style import WIDTH, arm_style, styled
from studykit.report.tables import format_interval

WORDS = {"gain [95 % interval]": 0.03, "n": 0.86}
"""The words beside a forest of gains, and where each column starts."""

ASIDE = 0.03
"""Decades between two arms that stand at the same share of labels."""

Scores = Mapping[float, Sequence[float]]


@styled
def dice_by_labels(
    scores: Mapping[str, Scores],
    gains: Mapping[float, Estimate],
    subjects: Mapping[float, int],
    title: str,
    gain_label: str,
    lines: Sequence[str] = (),
) -> Figure:
    """Dice against the share of labels, on a log axis; below it the gain of one arm over another.

    Arms among ``lines`` have a 95 % band over seeds, the others are points with intervals, moved aside a
    little. Small dots are seeds.

    Args:
        scores: arm → share of the labels, 0 to 1 → one Dice a seed.
        gains: share → the gain, with its interval.
        subjects: share → labelled training subjects, for all shares on the axis.
        title: what the figure shows.
        gain_label: which gain is drawn below.
        lines: arms whose shares are joined.

    Raises:
        ValueError: no arm, no gain, or a share that is not among ``subjects``.
    """
    if not scores or not gains:
        raise ValueError(
            "dice_by_labels got nothing to draw: pass scores by arm and share, and gains by share"
        )
    shares = sorted(subjects)
    if strange := {*gains, *(share for own in scores.values() for share in own)} - set(shares):
        raise ValueError(f"shares without a number of subjects: {sorted(strange)}; known: {shares}")
    fig, (top, below) = plt.subplots(
        2, 1, figsize=(WIDTH, 5.4), height_ratios=(2.4, 1), sharex=True, layout="constrained"
    )
    looks = arm_style(list(scores))
    aside = [arm for arm in scores if arm not in lines]
    for arm, own in scores.items():
        if arm in aside:
            _points(top, own, looks[arm], _aside(aside.index(arm)))
        else:
            _line(top, own, looks[arm])
    drawn = [value for own in scores.values() for seeds in own.values() for value in seeds]
    top.set_ylim(_room(drawn, [mean_interval(s) for own in scores.values() for s in own.values()]))
    below.axhline(0, color="black", linewidth=1)
    for share, gain in sorted(gains.items()):
        _upright(below, share, gain, {"color": "black", "marker": "o"})
    below.set_ylim(_room([gain.value for gain in gains.values()], [*gains.values()], floor=-1))
    below.set(
        xscale="log", xlim=(shares[0] / 1.45, shares[-1] * 1.45), xlabel="training subjects with labels"
    )
    below.set_xticks(shares, [f"{100 * share:g} %\n({subjects[share]})" for share in shares])
    below.xaxis.set_minor_locator(ticker.NullLocator())
    top.set_ylabel("test Dice")
    below.set_ylabel(fill(gain_label, 16))
    seeds = sorted({len(values) for own in scores.values() for values in own.values()})
    handles = [Line2D([], [], label=arm, **_legend_look(look, arm in aside)) for arm, look in looks.items()]
    words = f"mean and 95 % t interval over n = {', '.join(map(str, seeds))} seeds; dots: seeds"
    fig.legend(handles=handles, title=words, title_fontsize=8.5, loc="outside lower center", ncols=3)
    fig.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold")
    return fig


@styled
def validation_panels(
    panels: Mapping[str, Mapping[str, Sequence[Curve]]],
    title: str,
    levels: Mapping[str, float] | None = None,
    level_label: str = "",
) -> Figure:
    """Validation Dice against optimizer steps, a panel a setting: mean over seeds with a 95 % band.

    Args:
        panels: setting → arm → one (steps, Dice) a seed; an arm looks the same in all panels.
        title: what the figure shows.
        levels: setting → a Dice to draw a line at.
        level_label: what the line is.

    Raises:
        ValueError: no panel, or one without an arm.
    """
    if not panels or not all(panels.values()):
        raise ValueError(
            "validation_panels got nothing to draw: pass a mapping from setting to arms and curves"
        )
    arms = list(dict.fromkeys(arm for own in panels.values() for arm in own))
    looks, rows = arm_style(arms), -(-len(panels) // 2)
    columns = min(len(panels), 2)
    fig, axes = plt.subplots(
        rows, columns, figsize=(WIDTH, 2.6 * rows + 0.9), sharey=True, layout="constrained", squeeze=False
    )
    for axis, (setting, own) in zip(axes.flat, panels.items(), strict=False):
        for arm, seeds in own.items():
            band, colour = seed_band(seeds), looks[arm]["color"]
            axis.fill_between(
                band.x,
                np.maximum(band.low, 0),
                np.minimum(band.high, 1),
                color=colour,
                alpha=0.13,
                linewidth=0,
            )
            axis.plot(band.x, band.mean, markevery=0.17, markersize=4, **looks[arm])
        if levels:
            axis.axhline(levels[setting], color="black", linewidth=0.9, linestyle=_DASHED)
        axis.set_title(setting, fontsize=9)
        axis.xaxis.set_major_formatter(ticker.StrMethodFormatter("{x:,g}"))
    for axis in axes.flat[len(panels) :]:
        axis.set_axis_off()
    for axis in axes[:, 0]:
        axis.set_ylabel("validation Dice")
    for axis in axes[-1]:
        axis.set_xlabel("optimizer steps with labels")
    handles = [Line2D([], [], label=arm, **look) for arm, look in looks.items()]
    if levels:
        handles.append(Line2D([], [], color="black", linewidth=0.9, linestyle=_DASHED, label=level_label))
    fig.legend(handles=handles, loc="outside lower center", ncols=3)
    fig.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold")
    return fig


@styled
def gain_forest(rows: Mapping[str, Mapping[str, Estimate]], title: str, x_label: str) -> Figure:
    """Differences one under the other with their intervals and repetitions, and a line at no difference.

    A bound beyond the axis is an arrow.

    Args:
        rows: comparison → series, the same in each row → the difference.
        title: what the figure shows.
        x_label: name of the axis.

    Raises:
        ValueError: no rows, or rows whose series differ.
    """
    if not rows or not all(rows.values()):
        raise ValueError("gain_forest got no gains: pass a mapping from comparison to series and estimates")
    names = list(next(iter(rows.values())))
    if strange := [row for row, given in rows.items() if list(given) != names]:
        raise ValueError(f"every row needs the series {', '.join(names)}; {strange[0]!r} has others")
    size = (WIDTH, max(0.24 * len(names), 0.36) * len(rows) + 1.5)
    fig, (axis, words) = plt.subplots(
        1, 2, figsize=size, width_ratios=(1, 0.62), sharey=True, layout="constrained"
    )
    estimates = [estimate for given in rows.values() for estimate in given.values()]
    left, right = _room([0, *(e.value for e in estimates)], estimates, floor=-1)
    axis.axvline(0, color="black", linewidth=1)
    across = words.get_yaxis_transform()
    for head, x in WORDS.items():
        words.text(x, -0.85, head, va="center", fontsize=8, fontweight="bold", transform=across)
    for y, given in enumerate(rows.values()):
        for place, (name, look) in enumerate(arm_style(names).items()):
            level, estimate = y + (place - (len(names) - 1) / 2) * 0.8 / max(len(names), 2), given[name]
            _lying(axis, level, estimate, look, (left, right))
            cells = format_interval(estimate.value, estimate.low, estimate.high), str(estimate.n)
            for x, cell in zip(WORDS.values(), cells, strict=True):
                words.text(x, level, cell, va="center", fontsize=8, transform=across)
    words.set_axis_off()
    axis.set_yticks(range(len(rows)), [fill(row, 30, break_on_hyphens=False) for row in rows])
    axis.set_ylim(len(rows) - 0.4, -1.2)
    axis.grid(False, axis="y")
    axis.set(xlim=(left, right), xlabel=x_label)
    axis.xaxis.set_major_locator(ticker.MaxNLocator(5, steps=[1, 2, 5, 10]))
    handles = [Line2D([], [], label=name, **look) for name, look in arm_style(names).items()]
    fig.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    fig.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold")
    return fig


_DASHED = (0, (6, 3))
_SEEDS = {"marker": "o", "linestyle": "none", "markersize": 3, "alpha": 0.4, "markeredgewidth": 0}


def _aside(place: int) -> float:
    """Decades by which the arm number ``place`` stands aside: left and right in turn, never in the middle."""
    return ASIDE * (place // 2 + 1) * (-1 if place % 2 == 0 else 1)


def _legend_look(look: Mapping[str, str], alone: bool) -> dict[str, str]:
    return {**look, "linestyle": "none"} if alone else dict(look)


def _line(axis: Axes, scores: Scores, look: Mapping[str, str]) -> None:
    shares = sorted(scores)
    means = [mean_interval(scores[share]) for share in shares]
    if all(len(scores[share]) > 1 for share in shares):
        low, high = [max(e.low, 0) for e in means], [min(e.high, 1) for e in means]
        axis.fill_between(shares, low, high, color=look["color"], alpha=0.18, linewidth=0)
    for share in shares:
        axis.plot([share] * len(scores[share]), scores[share], color=look["color"], **_SEEDS)
    axis.plot(shares, [e.value for e in means], **look)


def _points(axis: Axes, scores: Scores, look: Mapping[str, str], aside: float) -> None:
    for share, seeds in scores.items():
        at = share * 10**aside
        axis.plot([at] * len(seeds), seeds, color=look["color"], **_SEEDS)
        _upright(axis, at, mean_interval(seeds), look)


def _upright(axis: Axes, x: float, estimate: Estimate, look: Mapping[str, str]) -> None:
    if np.isfinite(estimate.low):
        axis.plot([x, x], [estimate.low, estimate.high], color=look["color"], linewidth=1.2)
    axis.plot(x, estimate.value, look["marker"], color=look["color"])


def _lying(
    axis: Axes, y: float, estimate: Estimate, look: Mapping[str, str], limits: tuple[float, float]
) -> None:
    left, right = limits
    bounds = np.clip([estimate.low, estimate.high], left, right)
    axis.plot(bounds, [y, y], color=look["color"], linestyle=look["linestyle"])
    for beyond, edge, arrow in ((estimate.low < left, left, "<"), (estimate.high > right, right, ">")):
        if beyond:
            axis.plot(edge, y, arrow, color=look["color"], clip_on=False)
    axis.plot(estimate.value, y, look["marker"], color=look["color"], markersize=6)


def _room(values: Sequence[float], estimates: Sequence[Estimate], floor: float = 0) -> tuple[float, float]:
    """Limits of an axis: all values and intervals, but no interval more than four times their spread away."""
    spread = max(np.ptp(values), 0.02)
    ends = [end for e in estimates for end in (e.low, e.high) if np.isfinite(end)]
    low = max(min([*values, *ends]), min(values) - 4 * spread, floor)
    high = min(max([*values, *ends]), max(values) + 4 * spread, 1)
    margin = 0.06 * max(high - low, 0.02)
    return low - margin, high + margin
