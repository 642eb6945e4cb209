"""Figures of wavelet blocks: the bands of a volume, operations against the size of the map, what a step took,
and paired differences against a margin.
"""

import math
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike, NDArray

from studykit.claims.stats import mean_interval
from studykit.figures import planes
from studykit.figures.planes import AXIAL, SUBTITLE, Spacing, as_volume
from studykit.figures.style import DASHED, SMALL, WIDTH, arm_style, plain_log_ticks, styled

Series = tuple[Sequence[float], Sequence[float]]


@styled
def band_pictures(image: ArrayLike, bands: Mapping[str, ArrayLike], spacing: Spacing, title: str) -> Figure:
    """The same axial slice of a volume and of the bands of one wavelet level, all to one scale in mm.

    The volume and the smooth band below it have grey windows of their own. The details share one: 0 is grey,
    and their 99.5th percentile is white above it and black below.

    Args:
        image: intensities (X, Y, Z), RAS+.
        bands: name in words → band (x, y, z) of half the size; the first is the smooth one.
        spacing: voxel size of ``image`` in mm along X, Y, Z; a band's is twice that.
        title: what the figure shows.

    Raises:
        ValueError: fewer than two bands, or a band on another grid than the smooth one.
    """
    if len(bands) < 2:
        raise ValueError("band_pictures needs a smooth band and a detail: pass a mapping from name to band")
    image = as_volume(image)
    (smooth, low), *details = [(name, as_volume(band, name)) for name, band in bands.items()]
    details = [(name, as_volume(band, name, like=low)) for name, band in details]
    reach = float(np.percentile(np.abs([band for _, band in details]), 99.5))
    above = len(details) // 2
    rows = (details[:above], details[above:])
    columns = 1 + len(rows[1])
    fig, axes = planes.plane_axes(planes.extent_mm(image, spacing), rows=2, blocks=columns, planes=(AXIAL,))
    fig.set_figheight(fig.get_figheight() - 0.3)
    index, twice = image.shape[2] // 2, tuple(2 * side for side in spacing)
    for axis in axes.flat:
        axis.set_axis_off()
    _slice(axes[0, 0], "volume", image, index, spacing, planes.grey_window(image))
    _slice(axes[1, 0], smooth, low, index // 2, twice, planes.grey_window(low))
    for row, own in zip(axes, rows, strict=True):
        for axis, (name, band) in zip(row[1:], own, strict=False):
            _slice(axis, name, band, index // 2, twice, (-reach, reach))
    planes.scale_bar(axes[0, 0])
    planes.frame(
        fig, title, f"axial, z = {index}; {planes.CONVENTION}; details from −{reach:.2g} to {reach:.2g}"
    )
    return fig


@styled
def attention_growth(
    operations: Mapping[str, Series],
    ratio: Series,
    title: str,
    marked: tuple[float, float, str] | None = None,
    limit: float | None = None,
) -> Figure:
    """Operations of a block against the places of its map, log-log, and how many times fewer one form needs.

    Args:
        operations: line in words → (places, operations).
        ratio: (places, ratio) for the right-hand panel.
        title: what the figure shows.
        marked: (places, ratio, words) of the point that a claim is judged at.
        limit: what the ratio tends to on ever larger maps.

    Raises:
        ValueError: no line.
    """
    if not operations:
        raise ValueError("attention_growth got no lines: pass a mapping from words to (places, operations)")
    fig, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.8), layout="constrained", width_ratios=(1.3, 1))
    for name, style in arm_style(list(operations)).items():
        places, counted = operations[name]
        left.plot(places, np.asarray(counted, float) / 1e9, label=name, markersize=4, **style)
    right.plot(*ratio, "o-", color="black", markersize=4)
    if marked:
        places, value, words = marked
        right.plot(places, value, "o", markersize=11, markerfacecolor="none", markeredgecolor="black")
        right.annotate(words, (places, value), (8, -14), textcoords="offset points", fontsize=8)
    if limit:
        right.axhline(limit, color="black", linewidth=1, linestyle=DASHED)
        right.annotate(f"limit: {limit:g}", (0, limit), (4, -11), xycoords=("axes fraction", "data"), **SMALL)
    for axis in (left, right):
        axis.set(xscale="log", yscale="log", xlabel="places of the map")
    plain_log_ticks(right.yaxis)
    left.set(ylabel="forward GFLOP", title="Operations of a block")
    right.set(ylabel="whole map over smooth band", title="Ratio of the totals")
    fig.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    fig.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold")
    return fig


@styled
def measured_costs(
    peak: Mapping[str, Mapping[int, Sequence[float]]],
    seconds: Mapping[str, Mapping[int, Sequence[float]]],
    title: str,
    counted: Mapping[str, Series] | None = None,
) -> Figure:
    """Peak memory and time of a step against the side of the map: means with 95 % t intervals, single points.

    Args:
        peak: block in words → side of the map → bytes of each measurement.
        seconds: block in words → side of the map → seconds of each measurement.
        title: what the figure shows.
        counted: words → (sides, bytes) counted beforehand, drawn as lines; a block's own line has its name.

    Raises:
        ValueError: no measurement.
    """
    if not peak or not seconds:
        raise ValueError("measured_costs got no measurement: pass a mapping from block to sides and values")
    fig, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 4.0), layout="constrained")
    counted = counted or {}
    looks = arm_style(list(dict.fromkeys([*peak, *counted])))
    handles = []
    for name, look in looks.items():
        point = {"marker": look["marker"]} if name in peak else {"marker": ""}
        if name in counted:
            sides, held = counted[name]
            left.plot(sides, np.asarray(held, float) / 1e6, color=look["color"], linestyle=look["linestyle"])
        if name in peak:
            repeats = sorted({len(values) for values in peak[name].values()})
            _repeated(left, peak[name], look, 1e-6, joined=name not in counted)
            _repeated(right, seconds[name], look, 1.0, joined=True)
            label = f"{name} (n = {', '.join(map(str, repeats))} a size)"
        else:
            label = name
        handles.append(Line2D([], [], label=label, **look | point))
    sides = sorted(
        {side for own in peak.values() for side in own} | {s for x, _ in counted.values() for s in x}
    )
    for axis, words in ((left, "peak memory of a step (MB)"), (right, "seconds a step")):
        axis.set(xscale="log", yscale="log", xlabel="side of the map (places)", ylabel=words)
        axis.set_xticks(sides, [str(side) for side in sides])
        axis.set_xticks([], minor=True)
        plain_log_ticks(axis.yaxis)
    left.set_title("Memory (lines: counted)" if counted else "Memory")
    right.set_title("Time")
    fig.legend(handles=handles, loc="outside lower center", ncols=2)
    fig.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold")
    return fig


def _slice(
    axis: Axes,
    name: str,
    volume: NDArray,
    index: int,
    spacing: Spacing,
    window: tuple[float, float],
) -> None:
    axis.set_axis_on()
    planes.show(axis, AXIAL, volume, (0, 0, index), spacing, window)
    axis.set_title(name, **SUBTITLE)


def _repeated(
    axis: Axes,
    by_side: Mapping[int, Sequence[float]],
    look: Mapping[str, str],
    scale: float,
    *,
    joined: bool,
) -> None:
    means = {side: mean_interval(np.asarray(values) * scale) for side, values in by_side.items()}
    for side, mean in means.items():
        single = np.asarray(by_side[side]) * scale
        axis.plot([side] * len(single), single, "o", color=look["color"], markersize=3, alpha=0.35)
        if math.isfinite(mean.low) and mean.low > 0:
            axis.plot([side, side], [mean.low, mean.high], color=look["color"])
    line = look["linestyle"] if joined else ""
    axis.plot(
        list(means),
        [mean.value for mean in means.values()],
        marker=look["marker"],
        color=look["color"],
        linestyle=line,
    )
