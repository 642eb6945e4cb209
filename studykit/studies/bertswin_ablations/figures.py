"""Figures of ablations: ratios under each setting, probe scores of each encoder, segmentations compared."""

import math
import textwrap
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from studykit.claims.estimate import Estimate
from studykit.claims.words import format_interval
from studykit.figures.scores import (
    _offset,
)
from studykit.figures.style import WIDTH, arm_style, plain_log_ticks, styled

COLUMNS = {"ratio [95 % interval]": 0.02, "n": 0.66, "censored": 0.76}
"""The words beside a forest of ratios, and where each column starts."""

BEYOND_WORDS = 1000
"""A bound of a ratio above this is not written out: it bounds nothing."""


@styled
def ratio_forest(
    rows: Mapping[str, Mapping[str, Estimate | None]], title: str, x_label: str = "speed-up"
) -> Figure:
    """Ratios one under the other on a log axis, with intervals, repetitions and how many were censored.

    A bound beyond the axis is an arrow. A ratio that does not exist is said so in words.

    Args:
        rows: setting → series, the same in each row → the ratio.
        title: what the figure shows.
        x_label: name of the axis, a ratio.

    Raises:
        ValueError: no rows, or rows whose series differ.
    """
    if not rows or not all(rows.values()):
        raise ValueError("ratio_forest got no ratios: pass a mapping from setting to series and estimates")
    names = list(next(iter(rows.values())))
    if strange := [row for row, given in rows.items() if list(given) != names]:
        raise ValueError(f"every row needs the series {', '.join(names)}; {strange[0]!r} has others")
    per_row = max(0.24 * len(names), 0.36)
    size = (WIDTH, per_row * len(rows) + 1.6)
    fig, (axis, words) = plt.subplots(
        1, 2, figsize=size, width_ratios=(1, 0.86), sharey=True, layout="constrained"
    )
    limits = _ratio_limits([e for given in rows.values() for e in given.values() if e is not None])
    axis.axvline(1, color="black", linewidth=1)
    across = words.get_yaxis_transform()
    for head, x in COLUMNS.items():
        words.text(x, -0.85, head, va="center", fontsize=8, fontweight="bold", transform=across)
    for y, given in enumerate(rows.values()):
        for place, (name, style) in enumerate(arm_style(names).items()):
            level = y + _offset(place, len(names))
            estimate = given[name]
            _ratio(axis, level, estimate, style, limits)
            for x, cell in zip(COLUMNS.values(), _cells(estimate), strict=True):
                words.text(x, level, cell, va="center", fontsize=8, transform=across)
    words.set_axis_off()
    axis.set_yticks(range(len(rows)), [textwrap.fill(row, 26, break_on_hyphens=False) for row in rows])
    axis.set_ylim(len(rows) - 0.4, -1.2)
    axis.grid(False, axis="y")
    axis.set(xscale="log", xlim=limits, xlabel=x_label)
    plain_log_ticks(axis.xaxis)
    if len(names) > 1:
        handles = [Line2D([], [], label=name, **look) for name, look in arm_style(names).items()]
        fig.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    fig.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold")
    return fig


def _ratio_limits(estimates: Sequence[Estimate]) -> tuple[float, float]:
    numbers = [number for e in estimates for number in (e.low, e.value, e.high)]
    drawn = [number for number in numbers if math.isfinite(number) and number > 0] + [1.0]
    return max(min(drawn) / 1.3, 0.01), min(max(drawn) * 1.3, 100)


def _ratio(
    axis: Axes, y: float, estimate: Estimate | None, style: Mapping[str, str], limits: tuple[float, float]
) -> None:
    if estimate is None:
        return
    left, right = limits
    bounds = np.clip([estimate.low, estimate.high], left, right)
    axis.plot(bounds, [y, y], color=style["color"], linestyle=style["linestyle"])
    for beyond, edge, arrow in ((estimate.low < left, left, "<"), (estimate.high > right, right, ">")):
        if beyond:
            axis.plot(edge, y, arrow, color=style["color"], clip_on=False)
    if left <= estimate.value <= right:
        axis.plot(estimate.value, y, style["marker"], color=style["color"], markersize=6)


def _cells(estimate: Estimate | None) -> tuple[str, str, str]:
    if estimate is None:
        return "no ratio", "–", "–"
    value, low, high = estimate.value, estimate.low, estimate.high
    interval = format_interval(value, low, high)
    if BEYOND_WORDS < high < math.inf:
        interval = f"{value:.2f} [{low:.2f}, > {BEYOND_WORDS:,}]"
    return interval, str(estimate.n), str(estimate.censored)
