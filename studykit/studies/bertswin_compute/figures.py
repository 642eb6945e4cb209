"""Figures of computational cost: where operations go, how they grow, and what a step took.

All take plain numbers: operations as 2·MAC, sides in voxels, memory in bytes, time in seconds.
"""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from studykit.figures.style import WIDTH, arm_style, plain_log_ticks, styled

Series = tuple[Sequence[float], Sequence[float]]


@styled
def cost_growth(
    lines: Mapping[str, Series],
    per_token: Mapping[str, Series],
    title: str,
    points: Mapping[str, Series] | None = None,
    quoted: Mapping[str, Series] | None = None,
) -> Figure:
    """Operations against the side of the volume: all of them, and for each token.

    Args:
        lines: network → (sides, forward operations) in closed form.
        per_token: network → (sides, forward operations a token), for the right-hand panel.
        title: what the figure shows.
        points: network → (sides, operations) as counted, drawn as marks on its line.
        quoted: network → (sides, operations) as the paper states them, drawn as rings.

    Raises:
        ValueError: no line.
    """
    if not lines:
        raise ValueError("cost_growth got no lines: pass a mapping from network to (sides, operations)")
    fig, (left, right) = plt.subplots(
        1, 2, figsize=(WIDTH, 3.9), layout="constrained", width_ratios=(1.25, 1)
    )
    handles = []
    for name, style in arm_style(list(lines)).items():
        colour, line, mark = style["color"], style["linestyle"], style["marker"]
        counted = (points or {}).get(name, ((), ()))
        for series, form in (
            (lines[name], {"linestyle": line}),
            (counted, {"marker": mark, "linestyle": ""}),
            ((quoted or {}).get(name, ((), ())), _QUOTED),
        ):
            left.plot(series[0], np.asarray(series[1], float) / 1e12, color=colour, **form)
        x, operations = per_token.get(name, ((), ()))
        right.plot(x, np.asarray(operations, float) / 1e6, color=colour, linestyle=line)
        n = len(counted[0])
        label, marker = (f"{name} ({n} counted)", mark) if n else (name, "")
        handles.append(Line2D([], [], color=colour, linestyle=line, marker=marker, label=label))
    if quoted:
        handles.append(Line2D([], [], color="black", label="quoted", **_QUOTED))
    left.set_yscale("log")
    plain_log_ticks(left.yaxis)
    _sides(left, [side for sides, _ in lines.values() for side in sides])
    _sides(right, [side for sides, _ in lines.values() for side in sides])
    left.set(ylabel="forward TFLOP", title="The whole volume")
    right.set(ylabel="forward MFLOP a token", title="A token")
    right.set_ylim(bottom=0)
    fig.legend(handles=handles, loc="outside lower center", ncols=2)
    fig.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold")
    return fig


@styled
def step_costs(
    seconds: Mapping[str, Series],
    peak: Mapping[str, Series],
    title: str,
    predicted: Mapping[str, Series] | None = None,
) -> Figure:
    """Time and peak memory of a training step against the side of the volume.

    Args:
        seconds: network → (sides, seconds a step).
        peak: network → (sides, bytes above what was held before the step).
        title: what the figure shows.
        predicted: network → (sides, bytes) counted beforehand, drawn as lines.

    Raises:
        ValueError: no measurement.
    """
    if not seconds:
        raise ValueError("step_costs got no measurement: pass a mapping from network to (sides, seconds)")
    fig, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.6), layout="constrained")
    for name, style in arm_style(list(seconds)).items():
        left.plot(*seconds[name], label=name, **style)
        sides, held = peak[name]
        right.plot(sides, np.asarray(held) / 1e9, style["marker"], color=style["color"])
        sides, held = (predicted or {}).get(name, ((), ()))
        right.plot(sides, np.asarray(held, float) / 1e9, color=style["color"], linestyle=style["linestyle"])
    for axis, label in ((left, "seconds a step"), (right, "peak memory of a step (GB)")):
        axis.set_yscale("log")
        plain_log_ticks(axis.yaxis)
        _sides(axis, [side for sides, _ in seconds.values() for side in sides])
        axis.set_ylabel(label)
    left.set_title("Time")
    right.set_title("Memory (lines: counted)" if predicted else "Memory")
    fig.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    fig.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold")
    return fig


_QUOTED = {
    "marker": "o",
    "markersize": 11,
    "markerfacecolor": "none",
    "markeredgewidth": 1.6,
    "linestyle": "",
}


def _sides(axis: Axes, sides: Sequence[float]) -> None:
    axis.set_xscale("log")
    shown = [side for side in (32, 64, 96, 128, 160, 224, 320, 512) if min(sides) <= side <= max(sides)]
    axis.set_xticks(shown, [str(side) for side in shown])
    axis.set_xticks([], minor=True)
    axis.set_xlabel("side of the volume (voxels)")
