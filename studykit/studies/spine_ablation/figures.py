"""Figures of the spine ablation: lines with bands, and where attention looks."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from studykit.claims.stats import mean_interval
from studykit.figures.style import WIDTH, arm_style, plain_log_ticks, styled

Line = Mapping[float | str, Sequence[float]]
"""x → one value a seed."""


@styled
def banded_lines(
    panels: Mapping[str, Mapping[str, Line]], x_label: str, title: str, *, log: bool = False
) -> Figure:
    """Lines through means, with 95 % t intervals over seeds as bars; one panel a measure.

    Where x is a name the means stand alone, as no line leads from one name to the next.

    Args:
        panels: measure with its unit → arm → x, a number or a name → one value a seed.
        x_label: name of the axis.
        title: what the figure shows.
        log: whether both axes are logarithmic.

    Raises:
        ValueError: no panel, or one without an arm.
    """
    if not panels or not all(panels.values()):
        raise ValueError("banded_lines got nothing to draw: pass a mapping from measure to arms and values")
    arms = list(dict.fromkeys(arm for own in panels.values() for arm in own))
    looks = arm_style(arms)
    rows, columns = -(-len(panels) // 2), min(len(panels), 2)
    size = (WIDTH, 2.9 * rows + 0.9)
    fig, axes = plt.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False)
    for axis in axes.flat[len(panels) :]:
        axis.set_axis_off()
    counts = set()
    for axis, (measure, own) in zip(axes.flat, panels.items(), strict=False):
        places = _places(own)
        for arm, line in own.items():
            counts |= {len(values) for values in line.values()}
            _line(axis, line, places, looks[arm], arms.index(arm) - (len(arms) - 1) / 2, log)
        axis.set(xlabel=x_label, ylabel=measure)
        if log:
            axis.set(xscale="log", yscale="log")
            plain_log_ticks(axis.yaxis)
            axis.set_xticks(list(places), [f"{x:g}" for x in places])
            axis.minorticks_off()
        else:
            axis.set_ylim(_limits(own))
        if any(isinstance(x, str) for x in places):
            axis.set_xticks(list(places.values()), list(places))
    handles = [plt.Line2D([], [], label=arm, **look) for arm, look in looks.items()]
    words = f"mean and 95 % t interval over n = {', '.join(map(str, sorted(counts)))} seeds"
    legend = {"title": words, "title_fontsize": 8.5} if max(counts) > 1 else {}
    fig.legend(handles=handles, loc="outside lower center", ncols=min(len(arms), 3), **legend)
    fig.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold")
    return fig


def _limits(own: Mapping[str, Line]) -> tuple[float, float]:
    """All values and intervals, but no interval more than twice the values' spread beyond them."""
    values = [value for line in own.values() for seeds in line.values() for value in seeds]
    spread = max(np.ptp(values), 0.02 * max(map(abs, values)))
    means = [mean_interval(seeds) for line in own.values() for seeds in line.values()]
    ends = [end for mean in means for end in (mean.low, mean.high) if np.isfinite(end)]
    low = max(min([*values, *ends]), min(values) - 2 * spread)
    high = min(max([*values, *ends]), max(values) + 2 * spread)
    return low - 0.05 * (high - low), high + 0.05 * (high - low)


def _places(own: Mapping[str, Line]) -> dict[float | str, float]:
    """Where each x stands: numbers at their value, names in their order."""
    names = list(dict.fromkeys(x for line in own.values() for x in line))
    if any(isinstance(x, str) for x in names):
        return {name: float(place) for place, name in enumerate(names)}
    return {x: float(x) for x in names}


def _line(
    axis: Axes,
    line: Line,
    places: Mapping[float | str, float],
    look: Mapping[str, str],
    aside: float,
    log: bool,
) -> None:
    step = 0 if log or len(places) < 2 else 0.02 * np.ptp(list(places.values())) * aside
    at = [places[x] + step for x in line]
    means = [mean_interval(values) for values in line.values()]
    for x, mean in zip(at, means, strict=True):
        if np.isfinite(mean.low):
            axis.plot([x, x], [mean.low, mean.high], color=look["color"], linewidth=1.0, alpha=0.7)
    joined = look if all(isinstance(x, int | float) for x in line) else {**look, "linestyle": "none"}
    axis.plot(at, [mean.value for mean in means], **joined)


@styled
def sagittal_maps(rows: Mapping[str, Mapping[str, ArrayLike]], title: str) -> Figure:
    """Middle sagittal slices of maps of one crop, front on the left, each with the range of its greys.

    Args:
        rows: crop's name → map's name → (D, H, W), D upwards and H to the front; grids may differ.
        title: what the figure shows.

    Raises:
        ValueError: no row, or rows with other maps.
    """
    names = list(next(iter(rows.values()))) if rows else []
    if not names or any(list(own) != names for own in rows.values()):
        raise ValueError("sagittal_maps needs at least one crop, and the same maps of each")
    side = WIDTH / len(names)
    fig, axes = plt.subplots(
        len(rows),
        len(names),
        figsize=(WIDTH, len(rows) * (side + 0.35) + 0.5),
        layout="constrained",
        squeeze=False,
    )
    for line, (crop, maps) in zip(axes, rows.items(), strict=True):
        for axis, (name, values) in zip(line, maps.items(), strict=True):
            values = np.asarray(values)
            shown = values[:, ::-1, values.shape[2] // 2]
            low, high = np.quantile(values, [0.01, 0.99])
            axis.imshow(
                shown, cmap="gray", vmin=low, vmax=max(high, low + 1e-6), origin="lower", extent=(0, 1, 0, 1)
            )
            axis.set(xticks=[], yticks=[], xlabel=f"{low:.2g} to {high:.2g}")
            axis.set_title(name, fontsize=8)
            axis.xaxis.label.set_fontsize(7.5)
        line[0].set_ylabel(crop, fontsize=7)
    fig.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold")
    return fig
