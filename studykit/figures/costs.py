"""Stacked bars of what something costs, part by part."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from studykit.claims.words import format_number
from studykit.figures.style import DASHED, PALETTE, WIDTH, styled


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
                axis.hlines(stated[network] / scale, place - 0.45, place + 0.45, "black", linestyle=DASHED)
        axis.set_xticks(range(len(networks)), [_wrapped(network) for network in networks])
        axis.set_xlim(-0.6, len(networks) - 0.4)
        axis.grid(axis="x", visible=False)
        axis.margins(y=0.09)
        axis.set_title(size)
        axis.set_ylabel(f"forward {unit}")
    handles = [plt.Rectangle((0, 0), 1, 1, **looks[part]) for part in parts]
    labels = list(parts)
    if quoted:
        handles, labels = [*handles, Line2D([], [], color="black", linestyle=DASHED)], [*labels, "quoted"]
    fig.legend(handles, labels, loc="outside lower center", ncols=4)
    fig.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold")
    return fig


_HATCHES = ("", "////", "", "..", "", "xxxx", "", "----")


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
