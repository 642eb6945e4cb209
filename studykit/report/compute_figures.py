"""Figures of computational cost: where operations go, how they grow, and what a step took.

All take plain numbers: operations as 2·MAC, sides in voxels, memory in bytes, time in seconds.
"""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from studykit.report.style import PALETTE, WIDTH, arm_style, plain_log_ticks, styled
from studykit.report.tables import format_number

Series = tuple[Sequence[float], Sequence[float]]


@styled
def cost_bars(
    panels: Mapping[str, Mapping[str, Mapping[str, float]]],
    title: str,
    quoted: Mapping[str, Mapping[str, float]] | None = None,
) -> Figure:
    """Stacked bars of operations by part, one panel a size, one bar a network; each panel has its own scale.

    Args:
        panels: size in words → network → part → forward operations.
        title: what the figure shows.
        quoted: size → network → the total that the paper states, drawn as a line across the bar.

    Raises:
        ValueError: no panel.
    """
    if not panels:
        raise ValueError("cost_bars got no sizes: pass a mapping from size to networks and their parts")
    fig, axes = plt.subplots(1, len(panels), figsize=(WIDTH, 4.2), layout="constrained", squeeze=False)
    parts = list(dict.fromkeys(part for own in panels.values() for bar in own.values() for part in bar))
    looks = {part: _look(place) for place, part in enumerate(parts)}
    for axis, (size, networks) in zip(axes[0], panels.items(), strict=True):
        scale, unit = _unit(max(sum(bar.values()) for bar in networks.values()))
        stated = (quoted or {}).get(size, {})
        for place, (network, bar) in enumerate(networks.items()):
            _stack(axis, place, bar, looks, scale)
            if network in stated:
                axis.hlines(stated[network] / scale, place - 0.45, place + 0.45, "black", linestyle=_DASHED)
        axis.set_xticks(range(len(networks)), [_wrapped(network) for network in networks])
        axis.set_xlim(-0.6, len(networks) - 0.4)
        axis.grid(axis="x", visible=False)
        axis.margins(y=0.09)
        axis.set_title(size)
        axis.set_ylabel(f"forward {unit}")
    handles = [plt.Rectangle((0, 0), 1, 1, **looks[part]) for part in parts]
    labels = list(parts)
    if quoted:
        handles, labels = [*handles, Line2D([], [], color="black", linestyle=_DASHED)], [*labels, "quoted"]
    fig.legend(handles, labels, loc="outside lower center", ncols=4)
    fig.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold")
    return fig


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


_DASHED = (0, (4, 2))
_QUOTED = {
    "marker": "o",
    "markersize": 11,
    "markerfacecolor": "none",
    "markeredgewidth": 1.6,
    "linestyle": "",
}
_HATCHES = ("", "////", "", "....", "", "xxxx", "", "----")


def _look(place: int) -> dict[str, object]:
    colours = list(PALETTE.values())
    return {
        "facecolor": colours[place % len(colours)],
        "hatch": _HATCHES[place % len(_HATCHES)],
        "edgecolor": "white",
        "linewidth": 0.5,
    }


def _stack(
    axis: Axes, place: int, bar: Mapping[str, float], looks: Mapping[str, dict[str, object]], scale: float
) -> None:
    bottom = 0.0
    for part, operations in bar.items():
        axis.bar(place, operations / scale, 0.7, bottom, **looks[part])
        bottom += operations / scale
    axis.annotate(
        format_number(bottom), (place, bottom), (0, 3), textcoords="offset points", ha="center", fontsize=8.5
    )


def _unit(largest: float) -> tuple[float, str]:
    return (1e12, "TFLOP") if largest >= 1e12 else (1e9, "GFLOP")


def _wrapped(name: str) -> str:
    return name.replace(" ", "\n", 1).replace("-", "-\n", 1) if len(name) > 9 else name


def _sides(axis: Axes, sides: Sequence[float]) -> None:
    axis.set_xscale("log")
    shown = [side for side in (32, 64, 96, 128, 160, 224, 320, 512) if min(sides) <= side <= max(sides)]
    axis.set_xticks(shown, [str(side) for side in shown])
    axis.set_xticks([], minor=True)
    axis.set_xlabel("side of the volume (voxels)")
