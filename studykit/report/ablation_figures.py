"""Figures of ablations: ratios under each setting, probe scores of each encoder, segmentations compared."""

import math
import textwrap
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import ArrayLike, NDArray

from studykit.claims.estimate import Estimate
from studykit.claims.stats import mean_interval
from studykit.report import planes
from studykit.report.planes import AXIAL, SUBTITLE, Plane, Spacing, as_volume
from studykit.report.style import PALETTE, WIDTH, arm_style, plain_log_ticks, styled
from studykit.report.tables import format_interval

COLUMNS = {"ratio [95 % interval]": 0.02, "n": 0.66, "censored": 0.76}
"""The words beside a forest of ratios, and where each column starts."""

BEYOND_WORDS = 1000
"""A bound of a ratio above this is not written out: it bounds nothing."""

COLOURS = tuple(PALETTE[name] for name in ("vermilion", "sky", "orange", "green", "purple", "blue"))
"""Of the classes of a segmentation, in their order."""


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


@styled
def score_panels(panels: Mapping[str, Mapping[str, Mapping[str, Sequence[float]]]], title: str) -> Figure:
    """One panel a score, one row an encoder: the mean over seeds with its 95 % interval, and each seed.

    Args:
        panels: score with its unit → encoder → series, not all of them in each row → one value a seed.
        title: what the figure shows.

    Raises:
        ValueError: no panel, or a panel without an encoder.
    """
    if not panels or not all(panels.values()):
        raise ValueError("score_panels got nothing to draw: pass a mapping from score to encoders and series")
    encoders = list(dict.fromkeys(encoder for panel in panels.values() for encoder in panel))
    names = list(dict.fromkeys(name for panel in panels.values() for own in panel.values() for name in own))
    size = (WIDTH, max(0.26 * len(names), 0.36) * len(encoders) + 1.4)
    fig, axes = plt.subplots(1, len(panels), figsize=size, sharey=True, layout="constrained", squeeze=False)
    looks, counts = arm_style(names), {}
    for axis, (score, rows) in zip(axes[0], panels.items(), strict=True):
        for encoder, own in rows.items():
            for name, values in own.items():
                level = encoders.index(encoder) + _offset(names.index(name), len(names))
                _score(axis, level, values, looks[name])
                counts.setdefault(name, set()).add(len(values))
        axis.set_xlabel(score)
        axis.xaxis.set_major_formatter("{x:g}")
        axis.grid(False, axis="y")
    axes[0, 0].set_yticks(
        range(len(encoders)), [textwrap.fill(encoder, 22, break_on_hyphens=False) for encoder in encoders]
    )
    axes[0, 0].set_ylim(len(encoders) - 0.5, -0.5)
    handles = [
        Line2D([], [], label=f"{name} (n = {', '.join(map(str, sorted(counts[name])))} seeds)", **look)
        for name, look in looks.items()
    ]
    fig.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    fig.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold")
    return fig


@styled
def segmentation_panel(
    image: ArrayLike,
    truth: ArrayLike,
    predictions: Mapping[str, ArrayLike],
    classes: Mapping[int, str],
    spacing: Spacing,
    title: str,
    *,
    ignore: int = -1,
    plane: Plane = AXIAL,
) -> Figure:
    """One slice of a labelled head: the picture, the truth, and what was predicted there by each encoder.

    The slice is the one with most voxels of ``classes``. Where the truth is ``ignore`` nothing is painted on
    any side, as nothing is scored there.

    Args:
        image: intensities (X, Y, Z), RAS+.
        truth: labels (X, Y, Z).
        predictions: encoder with its score in words → labels (X, Y, Z).
        classes: label → its name, of those that are painted.
        spacing: voxel size in mm along X, Y, Z.
        title: what the figure shows.
        ignore: label in ``truth`` of voxels that are left out.
        plane: which plane is shown.

    Raises:
        ValueError: no prediction, a map on another grid, or more classes than there are colours.
    """
    if not predictions:
        raise ValueError("segmentation_panel got no predictions: pass a mapping from encoder to label map")
    if len(classes) > len(COLOURS):
        raise ValueError(f"got {len(classes)} classes, a picture tells {len(COLOURS)} apart")
    image = as_volume(image)
    true = as_volume(truth, "truth", like=image)
    maps = {"truth": true} | {name: as_volume(own, name, like=image) for name, own in predictions.items()}
    index = _fullest_slice(np.isin(true, list(classes)), plane)
    looks = dict(zip(classes, COLOURS, strict=False))
    count = len(maps) + 1
    rows = 1 if count <= 4 else 2
    extent = planes.extent_mm(image, spacing)
    fig, axes = planes.plane_axes(extent, rows=rows, blocks=math.ceil(count / rows), planes=(plane,))
    fig.set_figheight(fig.get_figheight() + 0.16 * rows + 0.1)
    for axis, (name, labels) in zip(axes.flat, ({"image": None} | maps).items(), strict=False):
        planes.show(axis, plane, image, index, spacing, planes.grey_window(image))
        if labels is not None:
            for label, colour in looks.items():
                where = (labels == label) & (true != ignore)
                planes.paint(axis, plane, where, index, spacing, colour, opacity=0.6)
        axis.set_title(name, **SUBTITLE)
    for axis in axes.flat[count:]:
        axis.set_axis_off()
    planes.scale_bar(axes.flat[0])
    note = f"{plane.name}, {'xyz'[plane.normal]} = {index[plane.normal]}; {planes.CONVENTION}"
    handles = [Patch(color=colour, label=classes[label]) for label, colour in looks.items()]
    fig.legend(handles=handles, title=note, ncols=len(handles), **_BELOW)
    fig.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold")
    return fig


_BELOW = {"loc": "outside lower left", "alignment": "left", "fontsize": 8, "title_fontsize": 8}


def _offset(place: int, count: int) -> float:
    """Where in its row the series number ``place`` of ``count`` stands."""
    return (place - (count - 1) / 2) * 0.8 / max(count, 2)


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


def _score(axis: Axes, y: float, values: Sequence[float], style: Mapping[str, str]) -> None:
    mean, colour = mean_interval(values), style["color"]
    axis.plot(values, [y] * len(values), "o", color=colour, markersize=3, alpha=0.35, markeredgewidth=0)
    if math.isfinite(mean.low):
        axis.plot([mean.low, mean.high], [y, y], color=colour, linestyle=style["linestyle"])
    axis.plot(mean.value, y, style["marker"], color=colour, markersize=6)


def _fullest_slice(inside: NDArray[np.bool_], plane: Plane) -> tuple[int, ...]:
    """The middle of a volume, but for the plane's slice that holds most of ``inside``."""
    index = list(planes.middle(inside))
    others = tuple({0, 1, 2} - {plane.normal})
    index[plane.normal] = int(inside.sum(axis=others).argmax())
    return tuple(index)
