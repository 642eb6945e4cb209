"""Figures of loss components: curves and intervals by arm, gradients on flat sub-patches, tissue masks.

An arm has one look throughout a notebook: every function takes ``looks``, the
:func:`~studykit.figures.style.arm_style` of all arms of the study.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, StrMethodFormatter
from numpy.typing import ArrayLike

from studykit.claims.estimate import Estimate
from studykit.figures import planes
from studykit.figures.curves import seed_band
from studykit.figures.panels import Panel
from studykit.figures.planes import AXIAL, PLANES, SUBTITLE, Spacing, as_volume
from studykit.figures.style import PALETTE, WIDTH, arm_style, plain_log_ticks, styled

Looks = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class Intervals:
    """One measure of every arm at every place where it was taken.

    Attributes:
        title: what is measured.
        y_label: name of the axis with its unit.
        estimates: arm → place, such as a tissue or a subject → estimate. A place that an arm lacks is left
            empty; an unbounded interval is drawn as the value alone, as is one of kind ``exact``.
        levels: words → a value to hold the estimates against, drawn as a line.
        log: whether the vertical axis is, as for times and ratios.
    """

    title: str
    y_label: str
    estimates: Mapping[str, Mapping[str, Estimate]]
    levels: Mapping[str, float] = field(default_factory=dict)
    log: bool = False


@styled
def arm_panels(
    panels: Sequence[Panel], looks: Looks, x_label: str, title: str, *, log: bool = False
) -> Figure:
    """One panel a measure, two in a row: each arm's mean over seeds with its 95 % t band.

    Args:
        panels: measures; those of one arm may differ in their points.
        looks: of all arms of the study.
        x_label: name of the axis that all share.
        title: what the figure shows.
        log: whether values are on a log axis, which ends a little beyond the means: a band wider than that is
            cut off, as one that reaches 0 has no place on it.

    Raises:
        ValueError: no panel, an arm without a look, or a curve that
            :func:`~studykit.figures.curves.seed_band` refuses.
    """
    _check("arm_panels", panels, looks, [arm for panel in panels for arm in panel.curves])
    columns, rows = min(len(panels), 2), (len(panels) + 1) // 2
    fig, axes = _grid(rows, columns, 2.6 if columns == 2 else 3.2)
    for axis, panel in zip(axes, panels, strict=False):
        bands = {arm: seed_band(seeds) for arm, seeds in panel.curves.items()}
        for arm, band in bands.items():
            axis.fill_between(band.x, band.low, band.high, color=looks[arm]["color"], alpha=0.15, linewidth=0)
            axis.plot(band.x, band.mean, markevery=1 / 7, **looks[arm])
        if log:
            means = np.concatenate([band.mean for band in bands.values()])
            axis.set(yscale="log", ylim=(means.min() / 1.6, means.max() * 1.6))
            plain_log_ticks(axis.yaxis)
        _levels(axis, panel.levels)
        axis.set(title=panel.title, ylabel=panel.y_label)
        axis.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    for axis in axes[max(len(panels) - 2, 0) : len(panels)]:
        axis.set_xlabel(x_label)
    counts = {arm: len(seeds) for panel in panels for arm, seeds in panel.curves.items()}
    _legend(fig, looks, {arm: f"{arm} (n = {n})" for arm, n in counts.items()})
    return _titled(fig, title)


@styled
def interval_panels(panels: Sequence[Intervals], looks: Looks, title: str) -> Figure:
    """One panel a measure, side by side: a mark and its 95 % interval for each arm at each place.

    Raises:
        ValueError: no panel, or an arm without a look.
    """
    _check("interval_panels", panels, looks, [arm for panel in panels for arm in panel.estimates])
    fig, axes = _grid(1, len(panels), 3.4)
    for axis, panel in zip(axes, panels, strict=True):
        places = list(dict.fromkeys(place for own in panel.estimates.values() for place in own))
        step = min(0.8 / len(panel.estimates), 0.2)
        for order, (arm, own) in enumerate(panel.estimates.items()):
            look, shift = looks[arm], (order - (len(panel.estimates) - 1) / 2) * step
            for place, estimate in own.items():
                x = places.index(place) + shift
                axis.plot(x, estimate.value, look["marker"], color=look["color"], markersize=6)
                if np.isfinite([estimate.low, estimate.high]).all():
                    axis.vlines(x, estimate.low, estimate.high, look["color"], linewidth=1.4)
        _levels(axis, panel.levels)
        axis.set(title=panel.title, ylabel=panel.y_label, xlim=(-0.6, len(places) - 0.4))
        axis.set_xticks(range(len(places)), places)
        if panel.log:
            axis.set_yscale("log")
            plain_log_ticks(axis.yaxis)
        axis.grid(False, axis="x")
    found = {arm: list(own.values()) for panel in panels for arm, own in panel.estimates.items() if own}
    labels = {
        arm: arm if own[0].kind == "exact" else f"{arm} (n = {max(estimate.n for estimate in own)})"
        for arm, own in found.items()
    }
    _legend(fig, {arm: {**looks[arm], "linestyle": ""} for arm in labels}, labels)
    return _titled(fig, title)


@styled
def gradient_by_deviation(
    sigmas: ArrayLike,
    norms: Mapping[str, ArrayLike],
    bound: float,
    observed: ArrayLike,
    unit: float,
    title: str,
) -> Figure:
    """Gradient norm of each structure term against a sub-patch's deviation, above the deviations met in data.

    Args:
        sigmas: deviations (n,), positive and growing.
        norms: term → gradient norms (n,).
        bound: what the floor of our correlation form allows, drawn as a line.
        observed: deviations of real sub-patches, of any shape; those of 0 are counted in words.
        unit: HU that a deviation of 1 is worth.
        title: what the figure shows.

    Raises:
        ValueError: no term, or no sub-patch.
    """
    found = np.asarray(observed, float).ravel()
    if not norms or not found.size:
        raise ValueError("gradient_by_deviation needs at least one term and one observed sub-patch")
    sigmas = np.asarray(sigmas, float)
    fig, (above, below) = plt.subplots(
        2, 1, figsize=(WIDTH, 5.0), sharex=True, layout="constrained", height_ratios=(2.2, 1)
    )
    for name, look in arm_style(list(norms)).items():
        above.plot(sigmas, norms[name], label=name, markevery=1 / 8, **look)
    above.axhline(bound, color="black", linewidth=1, linestyle=(0, (6, 3)))
    above.annotate(f"bound of our floor: {bound:.3g}", (0.99, bound), (0, 3), va="bottom", **_RIGHT)
    above.set(xscale="log", yscale="log", ylabel="norm of the gradient by the voxels")
    fig.legend(loc="outside lower center", ncols=len(norms))
    in_hu = above.secondary_xaxis("top", functions=(lambda x: x * unit, lambda x: x / unit))
    in_hu.set_xlabel("deviation of the sub-patch (HU)")
    edges = np.geomspace(sigmas[0], sigmas[-1], 61)
    textured = found[found > 0]
    below.hist(
        np.clip(textured, sigmas[0], sigmas[-1]),
        edges,
        weights=np.full(textured.size, 100 / found.size),
        color=PALETTE["sky"],
    )
    below.annotate(
        f"{(found == 0).mean():.1%} are wholly flat",
        (0.01, 0.9),
        xycoords="axes fraction",
        fontsize=8,
        va="top",
    )
    below.set(xlabel="deviation of the sub-patch (standardised)", ylabel="sub-patches (%)")
    below.yaxis.set_major_locator(MaxNLocator(4))
    return _titled(fig, title)


@styled
def tissue_picture(
    volume: ArrayLike,
    masks: Mapping[str, ArrayLike],
    spacing: Spacing,
    title: str,
    window: tuple[float, float],
) -> Figure:
    """Masks of a CT in three planes, one row a mask, cut where most bone or other dense matter is.

    Args:
        volume: HU (X, Y, Z), RAS+.
        masks: name → bool (X, Y, Z).
        spacing: voxel size in mm along X, Y, Z.
        title: what the figure shows.
        window: darkest and brightest HU.

    Raises:
        ValueError: no mask, or one on another grid.
    """
    if not masks:
        raise ValueError("tissue_picture got no masks: pass a mapping from a tissue's name to its mask")
    volume = as_volume(volume)
    masks = {name: as_volume(mask, name, like=volume).astype(bool) for name, mask in masks.items()}
    index = list(planes.middle(volume))
    index[AXIAL.normal] = int((volume >= window[1]).sum(axis=(0, 1)).argmax())
    fig, axes = planes.plane_axes(planes.extent_mm(volume, spacing), rows=len(masks))
    for row, (name, mask), colour in zip(axes, masks.items(), _TISSUE_COLOURS, strict=False):
        for axis, plane in zip(row, PLANES, strict=True):
            planes.show(axis, plane, volume, tuple(index), spacing, window)
            planes.paint(axis, plane, mask, tuple(index), spacing, colour)
        row[0].set_ylabel(f"{name}\n{mask.mean():.0%} of the voxels", fontsize=8.5)
    for axis, plane in zip(axes[0], PLANES, strict=True):
        axis.set_title(f"{plane.name}, {'xyz'[plane.normal]} = {index[plane.normal]}", **SUBTITLE)
    planes.scale_bar(axes[0, 0])
    planes.frame(fig, title, f"{planes.CONVENTION}; grey from {window[0]:g} to {window[1]:g} HU")
    return fig


_TISSUE_COLOURS = (PALETTE["green"], PALETTE["vermilion"], PALETTE["sky"], PALETTE["orange"])
_RIGHT = {
    "xycoords": ("axes fraction", "data"),
    "textcoords": "offset points",
    "ha": "right",
    "fontsize": 8,
}


def _grid(rows: int, columns: int, height: float) -> tuple[Figure, list[Axes]]:
    size = (WIDTH, 0.8 + height * rows)
    fig, axes = plt.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False)
    return fig, list(axes.flat)


def _levels(axis: Axes, levels: Mapping[str, float]) -> None:
    for words, level in levels.items():
        axis.axhline(level, color="black", linewidth=1, linestyle=(0, (6, 3)))
        axis.annotate(words, (0.99, level), (0, -3), va="top", **_RIGHT)


def _legend(fig: Figure, looks: Looks, labels: Mapping[str, str]) -> None:
    handles = [Line2D([], [], label=label, **looks[arm]) for arm, label in labels.items()]
    fig.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 3))


def _titled(fig: Figure, title: str) -> Figure:
    fig.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold")
    return fig


def _check(name: str, panels: Sequence[object], looks: Looks, arms: Sequence[str]) -> None:
    if not panels:
        raise ValueError(f"{name} got nothing to draw: pass at least one panel")
    if missing := sorted(set(arms).difference(looks)):
        raise ValueError(f"no look for {', '.join(missing)}. Known: {', '.join(looks)}.")
