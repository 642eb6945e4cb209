"""Panels over training: measures of each run, validation scores of each arm."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from studykit.figures.curves import Curve, seed_band
from studykit.figures.style import DASHED, SMALL, WIDTH, arm_style, styled


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
            axis.axhline(levels[setting], color="black", linewidth=0.9, linestyle=DASHED)
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
        handles.append(Line2D([], [], color="black", linewidth=0.9, linestyle=DASHED, label=level_label))
    fig.legend(handles=handles, loc="outside lower center", ncols=3)
    fig.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold")
    return fig


@dataclass(frozen=True)
class Panel:
    """One measure of every arm.

    Attributes:
        title: what is measured.
        y_label: name of the axis with its unit.
        curves: arm → one (x, value) a seed, x growing.
        levels: words → a value to hold the curves against, drawn as a line.
    """

    title: str
    y_label: str
    curves: Mapping[str, Sequence[Curve]]
    levels: Mapping[str, float] = field(default_factory=dict)


@styled
def training_panels(panels: Sequence[Panel], x_label: str, title: str) -> Figure:
    """One panel a measure, two in a row: each arm's mean with a 95 % t band over seeds, and each seed.

    Raises:
        ValueError: no panel, or a curve that :func:`~studykit.figures.curves.seed_band` refuses.
    """
    if not panels:
        raise ValueError("training_panels got nothing to draw: pass at least one Panel")
    rows = (len(panels) + 1) // 2
    size = (WIDTH, 0.7 + 2.5 * rows)
    fig, axes = plt.subplots(rows, 2, figsize=size, sharex=True, layout="constrained", squeeze=False)
    for axis, panel in zip(axes.flat, panels, strict=False):
        for arm, style in arm_style(list(panel.curves)).items():
            _arm(axis, panel.curves[arm], style)
        for words, level in panel.levels.items():
            axis.axhline(level, color="black", linewidth=1, linestyle=(0, (6, 3)))
            axis.annotate(words, (1, level), (-2, 2), xycoords=("axes fraction", "data"), ha="right", **SMALL)
        axis.set(title=panel.title, ylabel=panel.y_label)
    for axis in axes.flat[len(panels) :]:
        axis.remove()
    for axis in axes.flat[max(len(panels) - 2, 0) : len(panels)]:
        axis.set_xlabel(x_label)
        axis.tick_params(labelbottom=True)
    looks = {arm: style for panel in panels for arm, style in arm_style(list(panel.curves)).items()}
    seeds = {arm: len(own) for panel in panels for arm, own in panel.curves.items()}
    handles = [Line2D([], [], label=f"{arm} (n = {seeds[arm]} seeds)", **look) for arm, look in looks.items()]
    fig.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    fig.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold")
    return fig


def _arm(axis: Axes, seeds: Sequence[Curve], style: Mapping[str, str]) -> None:
    band, colour = seed_band(seeds), style["color"]
    for x, value in seeds:
        axis.plot(x, value, color=colour, linewidth=0.6, alpha=0.45)
    axis.fill_between(band.x, band.low, band.high, color=colour, alpha=0.18, linewidth=0)
    axis.plot(band.x, band.mean, **style)
