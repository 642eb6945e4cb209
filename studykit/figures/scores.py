"""Scores of arms: a panel a measure, differences in pairs, gains in a forest, segmentations side by side."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from numpy.typing import ArrayLike, NDArray

from studykit.claims.stats import mean_interval
from studykit.figures import planes
from studykit.figures.planes import AXIAL, SUBTITLE, Plane, Spacing, as_volume
from studykit.figures.style import DASHED, DOTTED, PALETTE, WIDTH, arm_style, styled

COLOURS = tuple(PALETTE[name] for name in ("vermilion", "sky", "orange", "green", "purple", "blue"))
"""Of the classes of a segmentation, in their order."""


@styled
def score_panels(panels: Mapping[str, Mapping[str, Mapping[str, Sequence[float]]]], title: str) -> Figure:
    """One panel a score, one row an encoder: the mean over seeds with its 95 % interval, and each seed.

    No score is below 0, and those of Dice are not above 1: a t interval that reaches further is cut there.

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
                _score(axis, level, values, looks[name], 1.0 if "Dice" in score else math.inf)
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


def _score(axis: Axes, y: float, values: Sequence[float], style: Mapping[str, str], most: float) -> None:
    mean, colour = mean_interval(values), style["color"]
    axis.plot(values, [y] * len(values), "o", color=colour, markersize=3, alpha=0.35, markeredgewidth=0)
    if math.isfinite(mean.low):
        ends = np.clip([mean.low, mean.high], 0, most)
        axis.plot(ends, [y, y], color=colour, linestyle=style["linestyle"])
    axis.plot(mean.value, y, style["marker"], color=colour, markersize=6)


def _fullest_slice(inside: NDArray[np.bool_], plane: Plane) -> tuple[int, ...]:
    """The middle of a volume, but for the plane's slice that holds most of ``inside``."""
    index = list(planes.middle(inside))
    others = tuple({0, 1, 2} - {plane.normal})
    index[plane.normal] = int(inside.sum(axis=others).argmax())
    return tuple(index)


@dataclass(frozen=True)
class Differences:
    """One comparison of two arms.

    Attributes:
        title: what is compared.
        rows: what it is compared by → one difference a seed.
        levels: words → a value to hold the differences against, drawn as a line.
        judged: the row that a claim is judged by; it is drawn full, the others open.
    """

    title: str
    rows: Mapping[str, Sequence[float]]
    levels: Mapping[str, float] = field(default_factory=dict)
    judged: str = ""


@styled
def paired_differences(panels: Sequence[Differences], x_label: str, title: str) -> Figure:
    """Differences between two arms, paired by seed: mean with 95 % interval, each seed, and the words.

    Args:
        panels: side by side, with the same rows.
        x_label: name of the axis, a difference.
        title: what the figure shows.

    Raises:
        ValueError: no panel or no row, or panels whose rows differ.
    """
    if not panels or not all(panel.rows for panel in panels):
        raise ValueError("paired_differences got nothing to draw: pass at least one Differences with rows")
    names = list(panels[0].rows)
    if strange := [panel.title for panel in panels if list(panel.rows) != names]:
        raise ValueError(f"every panel needs the rows {', '.join(names)}; {strange[0]!r} has others")
    size = (WIDTH, 0.42 * len(names) + 1.9)
    fig, axes = plt.subplots(1, len(panels), figsize=size, sharey=True, layout="constrained", squeeze=False)
    lines = list(dict.fromkeys(words for panel in panels for words in panel.levels))
    looks = dict(zip(lines, ("-", DASHED, DOTTED, "-."), strict=False))
    for axis, panel in zip(axes[0], panels, strict=True):
        for words, level in panel.levels.items():
            axis.axvline(level, color="black", linewidth=1, linestyle=looks[words])
        for y, (name, values) in enumerate(panel.rows.items()):
            _difference(axis, y, values, full=name == panel.judged)
        axis.set(title=panel.title, xlabel=x_label)
        axis.grid(False, axis="y")
        axis.margins(x=0.08)
        axis.xaxis.set_major_formatter("{x:g}")
    axes[0, 0].set_yticks(range(len(names)), names)
    axes[0, 0].set_ylim(len(names) - 0.4, -0.7)
    n = sorted({len(values) for panel in panels for values in panel.rows.values()})
    mark = Line2D([], [], marker="o", color=_COLOUR, label=f"mean and 95 % t interval (n = {n[0]} seeds)")
    handles = [mark] + [
        Line2D([], [], color="black", linewidth=1, linestyle=looks[words], label=words) for words in lines
    ]
    fig.legend(handles=handles, loc="outside lower center", ncols=2)
    fig.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold")
    return fig


_COLOUR = PALETTE["blue"]


def _difference(axis: Axes, y: int, values: Sequence[float], *, full: bool) -> None:
    mean = mean_interval(values)
    bounded = math.isfinite(mean.low)
    axis.plot(values, [y] * len(values), "o", color=_COLOUR, markersize=3, alpha=0.35, markeredgewidth=0)
    if bounded:
        axis.plot([mean.low, mean.high], [y, y], color=_COLOUR)
    axis.plot(mean.value, y, "o", color=_COLOUR, markersize=6, markerfacecolor=_COLOUR if full else "white")
    words = f"{mean.value:+.3f} [{mean.low:+.3f}, {mean.high:+.3f}]" if bounded else f"{mean.value:+.3f}"
    axis.annotate(
        words.replace("-", "−"),
        (mean.value, y),
        (0, 6),
        textcoords="offset points",
        ha="center",
        fontsize=7.5,
        path_effects=[withStroke(linewidth=3, foreground="white")],
    )
