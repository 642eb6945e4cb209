"""Figures of representations: what changes over training, rank against quality, activations' distribution."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import ticker
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike

from studykit.figures.curves import Curve
from studykit.figures.style import WIDTH, arm_style, styled


@styled
def quality_against_rank(
    panels: Mapping[str, Mapping[str, Sequence[Curve]]], x_label: str, y_label: str, title: str
) -> Figure:
    """Quality against effective rank, one panel a definition: a point an encoder, a line a run.

    Args:
        panels: title → arm → one (ranks, qualities) a run, in the order of training. The last point of a run
            is drawn full, those before it as rings.
        x_label, y_label: names of the axes.
        title: what the figure shows.

    Raises:
        ValueError: no panel.
    """
    if not panels:
        raise ValueError("quality_against_rank got nothing to draw: pass a mapping from title to runs by arm")
    size = (WIDTH, 3.9)
    fig, axes = plt.subplots(1, len(panels), figsize=size, sharey=True, layout="constrained", squeeze=False)
    handles: dict[str, Line2D] = {}
    for axis, (name, arms) in zip(axes[0], panels.items(), strict=True):
        for arm, style in arm_style(list(arms)).items():
            colour, mark = style["color"], style["marker"]
            for ranks, qualities in arms[arm]:
                axis.plot(ranks, qualities, color=colour, linewidth=0.6, alpha=0.5)
                axis.plot(ranks[:-1], qualities[:-1], mark, color=colour, markerfacecolor="white")
                axis.plot(ranks[-1:], qualities[-1:], mark, color=colour, markersize=7)
            handles[arm] = Line2D(
                [], [], color=colour, marker=mark, linestyle="", label=f"{arm}, end of training"
            )
        axis.set(title=name, xlabel=x_label)
    axes[0, 0].set_ylabel(y_label)
    ring = Line2D([], [], color="black", marker="o", markerfacecolor="white", linestyle="", label="before it")
    fig.legend(handles=[*handles.values(), ring], loc="outside lower center", ncols=len(handles) + 1)
    fig.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold")
    return fig


@styled
def activation_histograms(
    panels: Mapping[str, Mapping[str, ArrayLike]], x_label: str, title: str, bins: int = 120
) -> Figure:
    """Density of activations on a log axis, one panel an encoder, each with its own range.

    Args:
        panels: encoder → stage in words → activations of any shape.
        x_label: name of the axis with its unit.
        title: what the figure shows.
        bins: of the whole range of a panel.

    Raises:
        ValueError: no panel, or an activation that is NaN or infinite.
    """
    if not panels:
        raise ValueError("activation_histograms got nothing to draw: pass a mapping from encoder to stages")
    fig, axes = plt.subplots(1, len(panels), figsize=(WIDTH, 3.3), layout="constrained", squeeze=False)
    for axis, (encoder, stages) in zip(axes[0], panels.items(), strict=True):
        values = {stage: np.asarray(given, float).ravel() for stage, given in stages.items()}
        if not all(np.isfinite(own).all() for own in values.values()):
            raise ValueError(f"{encoder} has activations that are NaN or infinite")
        lowest, highest = min(map(np.min, values.values())), max(map(np.max, values.values()))
        edges = np.linspace(lowest, highest, bins + 1)
        for stage, style in arm_style(list(values)).items():
            density, _ = np.histogram(values[stage], edges, density=True)
            label = f"{stage} (deviation {values[stage].std():.2g})"
            axis.stairs(density, edges, color=style["color"], linestyle=style["linestyle"], label=label)
        axis.set_yscale("log")
        axis.xaxis.set_major_locator(ticker.MaxNLocator(6))
        axis.set(title=encoder, xlabel=x_label)
        axis.legend(loc="upper left", bbox_to_anchor=(-0.02, -0.2))
    axes[0, 0].set_ylabel("density")
    fig.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold")
    return fig
