"""Figures of masked convolution: an encoder's maps, what a mask does to them by layer, time by backend."""

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
from studykit.figures.style import DASHED, PALETTE, WIDTH, arm_style, plain_log_ticks, styled

NOTHING = PALETTE["sky"]
"""Colour of places that hold exactly zero."""


@styled
def stage_pictures(
    rows: Mapping[str, Sequence[ArrayLike]], columns: Sequence[str], spacing: Spacing, title: str
) -> Figure:
    """The middle axial slice of what an encoder reads and of its maps, a row for each way to read a volume.

    Places that are exactly zero are blue. The pictures of a column share one grey window.

    Args:
        rows: way in words → the volume as it is read (X, Y, Z), RAS+, then its maps, fine to coarse, each
            with a positive number a place, such as the root mean square over channels.
        columns: names of the volume and of the maps.
        spacing: voxel size in mm along X, Y, Z.
        title: what the figure shows.

    Raises:
        ValueError: no row, or a row with another number of pictures than there are columns.
    """
    if not rows:
        raise ValueError("stage_pictures got no rows: pass a mapping from words to a volume and its maps")
    if strange := [name for name, own in rows.items() if len(own) != len(columns)]:
        raise ValueError(
            f"every row needs {len(columns)} pictures; {strange[0]!r} has {len(rows[strange[0]])}"
        )
    shown = {name: [as_volume(volume, name) for volume in own] for name, own in rows.items()}
    extent = planes.extent_mm(next(iter(shown.values()))[0], spacing)
    fig, axes = planes.plane_axes(extent, rows=len(rows), blocks=len(columns), planes=(AXIAL,))
    for place, column in enumerate(columns):
        own = [volumes[place] for volumes in shown.values()]
        window = planes.grey_window(np.concatenate([volume.ravel() for volume in own]))
        for axis, volume in zip(axes[:, place], own, strict=True):
            index = planes.middle(volume)
            sides = tuple(extent / volume.shape)
            planes.show(axis, AXIAL, volume, index, sides, window)
            planes.paint(axis, AXIAL, volume == 0, index, sides, NOTHING, opacity=1.0)
        axes[0, place].set_title(column, **SUBTITLE)
    for axis, name in zip(axes[:, 0], rows, strict=True):
        axis.set_ylabel(name, fontsize=8.5)
    fig.set_figheight(fig.get_figheight() - 0.22 * (len(rows) - 1))
    planes.scale_bar(axes[0, 0])
    planes.frame(fig, title, f"axial, through the middle; blue: exactly zero; {planes.CONVENTION}")
    return fig


@styled
def effects_by_layer(
    panels: Mapping[str, Mapping[str, ArrayLike]],
    layers: Sequence[str],
    y_label: str,
    title: str,
    share: bool = False,
) -> Figure:
    """A measure against depth, two panels in a row: mean with 95 % t interval, and each repetition.

    The measure is not negative. An interval that goes beyond the axis ends in an arrow.

    Args:
        panels: network in words → way in words, the same in each → values (repetitions, layers).
        layers: names, from the input on.
        y_label: name of the vertical axis.
        title: what the figure shows.
        share: whether the measure lies between 0 and 1; the axis then shows all of that.

    Raises:
        ValueError: no panel, or values of another shape.
    """
    if not panels or not all(panels.values()):
        raise ValueError(
            "effects_by_layer got nothing to draw: pass a mapping from network to ways and values"
        )
    values = {name: {way: np.asarray(v, float) for way, v in own.items()} for name, own in panels.items()}
    for name, own in values.items():
        for way, table in own.items():
            if table.ndim != 2 or table.shape[1] != len(layers):
                raise ValueError(
                    f"{name}, {way}: expected (repetitions, {len(layers)} layers), got {table.shape}"
                )
    columns = min(len(panels), 2)
    rows = -(-len(panels) // columns)
    fig, axes = plt.subplots(
        rows, columns, figsize=(WIDTH, 2.3 * rows + 0.9), sharex=True, sharey=True, layout="constrained",
        squeeze=False,
    )  # fmt: skip
    ways = list(dict.fromkeys(way for own in values.values() for way in own))
    looks = arm_style(ways)
    top = 1.04 if share else 1.3 * max(table.max() for own in values.values() for table in own.values())
    axes[0, 0].set_ylim(-0.04 * top, top)
    for axis, (name, own) in zip(axes.flat, values.items(), strict=False):
        for way, table in own.items():
            _by_layer(axis, table, looks[way], aside=0.12 * (ways.index(way) - (len(ways) - 1) / 2))
        axis.set_title(name, fontsize=9)
        axis.set_xticks(range(len(layers)), layers)
        axis.grid(False, axis="x")
    for axis in axes.flat[len(panels) :]:
        axis.set_axis_off()
    for axis in axes[-1]:
        axis.set_xlabel("layer (stage.block)")
    fig.supylabel(y_label, fontsize=9)
    repetitions = sorted({len(table) for own in values.values() for table in own.values()})
    words = f"mean and 95 % t interval, n = {', '.join(map(str, repetitions))}; dots: repetitions"
    handles = [Line2D([], [], label=way, **look) for way, look in looks.items()]
    fig.legend(
        handles=handles, title=words, title_fontsize=8.5, loc="outside lower center", ncols=len(handles)
    )
    fig.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold")
    return fig


@styled
def times_by_share(
    seconds: Mapping[float, Mapping[str, Sequence[float]]], title: str, marked: float | None = None
) -> Figure:
    """Time of a convolution against the share of visible patches, and masked dense over each other backend.

    Args:
        seconds: share, 0 to 1 → backend, the first being the one that the others are held against → seconds
            of each round; rounds are paired.
        title: what the figure shows.
        marked: the share that a claim is judged at.

    Raises:
        ValueError: no share, or shares with other backends.
    """
    names = list(next(iter(seconds.values()))) if seconds else []
    if len(names) < 2:
        raise ValueError("times_by_share needs a backend and another to hold it against, at each share")
    if strange := [share for share, own in seconds.items() if list(own) != names]:
        raise ValueError(f"every share needs the backends {', '.join(names)}; {strange[0]:g} has others")
    shares, looks = sorted(seconds), arm_style(names)
    fig, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.9), layout="constrained")
    for name in names:
        times = [1e3 * np.asarray(seconds[share][name], float) for share in shares]
        _medians(left, shares, times, looks[name])
        if name != names[0]:
            ratios = [np.asarray(seconds[s][names[0]]) / np.asarray(seconds[s][name]) for s in shares]
            _medians(right, shares, ratios, looks[name])
    right.axhline(1, color="black", linewidth=1)
    for axis in (left, right):
        if marked is not None:
            axis.axvline(marked, color="black", linewidth=1, linestyle=DASHED)
        axis.set(xscale="log", yscale="log", xlabel="visible patches")
        axis.set_xticks(shares, [f"{100 * share:.3g} %" for share in shares])
        axis.set_xticks([], minor=True)
        plain_log_ticks(axis.yaxis)
    left.set(ylabel="ms, forward and backward", title="Time")
    right.set(ylabel=f"{names[0]} over the other", title="Times faster")
    rounds = sorted({len(own) for given in seconds.values() for own in given.values()})
    handles = [Line2D([], [], label=name, **look) for name, look in looks.items()]
    if marked is not None:
        handles.append(
            Line2D([], [], color="black", linewidth=1, linestyle=DASHED, label="where the claim is judged")
        )
    words = f"median and quartiles of n = {', '.join(map(str, rounds))} rounds"
    fig.legend(handles=handles, title=words, title_fontsize=8.5, loc="outside lower center", ncols=2)
    fig.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold")
    return fig


_DOTS = {"marker": "o", "linestyle": "none", "markersize": 3, "alpha": 0.35, "markeredgewidth": 0}


def _by_layer(axis: Axes, table: NDArray, look: Mapping[str, str], aside: float) -> None:
    x = np.arange(table.shape[1]) + aside
    for row in table:
        axis.plot(x, row, color=look["color"], **_DOTS)
    means = [mean_interval(column) for column in table.T]
    if len(table) > 1:
        top = axis.get_ylim()[1]
        low, high = np.array([(max(e.low, 0), e.high) for e in means]).T
        axis.vlines(x, low, np.minimum(high, top), look["color"], linewidth=1.2)
        for beyond in x[high > top]:
            axis.plot(beyond, top, "^", color=look["color"], clip_on=False)
    axis.plot(x, [e.value for e in means], **look)


def _medians(axis: Axes, x: Sequence[float], rounds: Sequence[NDArray], look: Mapping[str, str]) -> None:
    low, middle, high = np.array([np.quantile(own, (0.25, 0.5, 0.75)) for own in rounds]).T
    axis.vlines(x, low, high, look["color"], linewidth=1.2)
    axis.plot(x, middle, **look)
