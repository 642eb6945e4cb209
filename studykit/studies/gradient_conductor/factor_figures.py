"""Figures of experiments with several factors: curves of many arms, and what each factor brings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from studykit.claims.estimate import Estimate
from studykit.figures.curves import Curve, seed_band
from studykit.figures.style import DASHED, DOTTED, PALETTE, SMALL, WIDTH, arm_style, plain_log_ticks, styled


@dataclass(frozen=True)
class CurvePanel:
    """Curves of arms that two factors name.

    Attributes:
        title: which arms these are.
        y_label: name of the axis with its unit.
        curves: (level of the one factor, level of the other) → one (x, value) a seed.
        target: the value that the arms are timed to, one a seed.
        levels: words → a value to hold the curves against, drawn as a line.
        log: whether the vertical axis is.
        limits: of the vertical axis, where values have some by nature.
    """

    title: str
    y_label: str
    curves: Mapping[tuple[str, str], Sequence[Curve]]
    target: Sequence[float] = ()
    levels: Mapping[str, float] = field(default_factory=dict)
    log: bool = True
    limits: tuple[float, float] | None = None


@dataclass(frozen=True)
class EffectRow:
    """A ratio with its interval; above 1 is better.

    Attributes:
        label: what is compared.
        estimate: None where there is none.
        remark: words beside the row, such as how many runs never arrived.
        main: whether it is a main effect, drawn full, or one under a condition, drawn open.
    """

    label: str
    estimate: Estimate | None
    remark: str = ""
    main: bool = True


@styled
def curve_panels(panels: Sequence[CurvePanel], x_label: str, title: str, words: tuple[str, str]) -> Figure:
    """Mean curves with 95 % t bands over seeds of many arms: colour tells one factor, the line the other.

    Args:
        panels: side by side; a level looks alike in all of them.
        x_label: name of the axis with its unit.
        title: what the figure shows.
        words: names of the two factors, for the legend.

    Raises:
        ValueError: no panel, more levels of the second factor than line styles, or a curve that
            :func:`~studykit.figures.curves.seed_band` refuses.
    """
    if not panels:
        raise ValueError("curve_panels got nothing to draw: pass at least one CurvePanel")
    first, second = (list(dict.fromkeys(arm[i] for panel in panels for arm in panel.curves)) for i in (0, 1))
    if len(second) > len(_LINES):
        raise ValueError(f"{len(second)} levels of {words[1]} cannot be told apart by {len(_LINES)} lines")
    colours = {level: {**style, "linestyle": "-"} for level, style in arm_style(first).items()}
    lines = dict(zip(second, _LINES, strict=False))
    size = (WIDTH, 4.4)
    fig, axes = plt.subplots(1, len(panels), figsize=size, layout="constrained", squeeze=False)
    for axis, panel in zip(axes[0], panels, strict=True):
        for place, ((one, other), seeds) in enumerate(panel.curves.items()):
            band, look = seed_band(seeds), colours[one] | {"linestyle": lines[other]}
            axis.fill_between(band.x, band.low, band.high, color=look["color"], alpha=0.13, linewidth=0)
            axis.plot(band.x, band.mean, markevery=(0.02 * place, 0.2), markersize=4, **look)
        if len(panel.target):
            axis.axhspan(min(panel.target), max(panel.target), color="black", alpha=0.08, linewidth=0)
        for name, level in {**panel.levels, **_mean_target(panel.target)}.items():
            axis.axhline(level, color="black", linewidth=1, linestyle=DOTTED)
            axis.annotate(name, (0, level), (4, 3), xycoords=("axes fraction", "data"), **SMALL)
        if panel.log:
            axis.set_yscale("log")
            plain_log_ticks(axis.yaxis)
        axis.xaxis.set_major_formatter(ticker.StrMethodFormatter("{x:,g}"))
        axis.set(title=panel.title, xlabel=x_label, ylabel=panel.y_label)
        if panel.limits is not None:
            axis.set_ylim(panel.limits)
    seeds = {len(own) for panel in panels for own in panel.curves.values()}
    handles = [Line2D([], [], label=level, **look) for level, look in colours.items()]
    handles += [Line2D([], [], color="black", linestyle=line, label=level) for level, line in lines.items()]
    n = "–".join(str(count) for count in sorted(seeds))
    fig.legend(
        handles=handles, loc="outside lower center", ncols=4, title_fontsize=8.5,
        title=f"colour and mark: {words[0]}; line: {words[1]}; n = {n} seeds an arm",
    )  # fmt: skip
    fig.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold")
    return fig


@styled
def effect_panels(
    panels: Mapping[str, Mapping[str, Sequence[EffectRow]]],
    title: str,
    ratio_label: str = "ratio (1: no effect)",
    remark_label: str = "",
    reported: float | None = None,
) -> Figure:
    """Ratios with their intervals, one under the other, a panel for each response on a log axis of its own.

    An interval that is open on one side, or goes beyond the axis, ends in an arrow. Where nothing bounds a
    ratio there is no interval to draw: it stands alone, in grey. A row without an estimate stays empty.

    Args:
        panels: response in words → group → rows; groups and labels are those of the first panel.
        title: what the figure shows.
        ratio_label: name of the horizontal axis.
        remark_label: what the remarks say, below them.
        reported: a source's ratio, drawn as a line.

    Raises:
        ValueError: no row, or panels whose rows have other labels.
    """
    groups = next(iter(panels.values()), {})
    labels = [row.label for rows in groups.values() for row in rows]
    if not labels:
        raise ValueError("effect_panels got nothing to draw: pass rows by group, for each response")
    for response, own in panels.items():
        if [row.label for rows in own.values() for row in rows] != labels:
            raise ValueError(f"the rows of {response!r} are not those of the first panel: {labels}")
    places = _places(groups)
    size = (WIDTH, 1.35 + 0.24 * (max(places) + 1))
    fig, axes = plt.subplots(1, len(panels), figsize=size, sharey=True, layout="constrained", squeeze=False)
    for axis, (response, own) in zip(axes[0], panels.items(), strict=True):
        rows = [row for rows in own.values() for row in rows]
        limits = _limits([row.estimate for row in rows if row.estimate], reported)
        axis.axvline(1, color="black", linewidth=1)
        if reported is not None:
            axis.axvline(reported, color="black", linewidth=1, linestyle=DASHED)
            top = {"xycoords": ("data", "axes fraction"), "ha": "right", "va": "top"}
            axis.annotate(f"reported: {reported:g}", (reported, 1), (-3, -2), **top, **SMALL)
        for y, row in zip(places, rows, strict=True):
            _interval(axis, y, row, limits)
        if any(row.remark for row in rows):
            axis.annotate(remark_label, (1, 0), (4, -17), va="top", **_BESIDE | {"xycoords": "axes fraction"})
        axis.set(xscale="log", xlim=limits, title=response, xlabel=ratio_label)
        plain_log_ticks(axis.xaxis)
        axis.xaxis.set_major_locator(ticker.LogLocator(subs=_subs(limits)))
        axis.grid(False, axis="y")
    _name_rows(axes[0, 0], groups, places)
    estimates = [row.estimate for own in panels.values() for rows in own.values() for row in rows]
    if any(estimate and _unbounded(estimate) for estimate in estimates):
        fig.supxlabel("grey: no interval, too few runs arrived to bound it", x=0.01, ha="left", fontsize=8)
    fig.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold")
    return fig


_LINES = ("-", (0, (4, 2)), (0, (1, 1.5)))
_ALONE = "#8A8A8A"
_BESIDE = SMALL | {"fontsize": 7, "color": "#555555", "xycoords": ("axes fraction", "data")}


def _mean_target(target: Sequence[float]) -> dict[str, float]:
    return {"target": float(np.mean(target))} if len(target) else {}


def _places(groups: Mapping[str, Sequence[EffectRow]]) -> list[float]:
    """Heights of the rows, from the top; each group has a line for its name above it."""
    places, at = [], 0.0
    for rows in groups.values():
        places += [at + 1 + i for i in range(len(rows))]
        at += len(rows) + 1.4
    return places


def _name_rows(axis: Axes, groups: Mapping[str, Sequence[EffectRow]], places: Sequence[float]) -> None:
    rows = [row for own in groups.values() for row in own]
    axis.set_yticks(places, [row.label for row in rows])
    firsts = np.cumsum([0, *(len(own) for own in groups.values())])[:-1]
    for name, first in zip(groups, firsts, strict=True):
        across = axis.get_yaxis_transform()
        axis.text(
            -0.02,
            places[first] - 0.95,
            name,
            ha="right",
            va="center",
            fontweight="bold",
            transform=across,
            fontsize=8.5,
        )
    axis.set_ylim(max(places) + 0.7, -0.4)


def _limits(estimates: Sequence[Estimate], reported: float | None) -> tuple[float, float]:
    numbers = [number for e in estimates for number in (e.low, e.value, e.high)]
    finite = [number for number in numbers if np.isfinite(number) and number > 0]
    known = [*finite, 1.0, *([reported] if reported else [])]
    return max(min(known) / 1.25, 0.02), min(max(known) * 1.25, 50)


def _subs(limits: tuple[float, float]) -> tuple[float, ...]:
    decades = np.log10(limits[1] / limits[0])
    steps = {0.7: (1, 1.5, 2, 3, 5, 7), 1.8: (1, 2, 5), 3.0: (1, 3)}
    return next((subs for most, subs in steps.items() if decades < most), (1,))


def _unbounded(estimate: Estimate) -> bool:
    return estimate.low <= 0 and not np.isfinite(estimate.high)


def _interval(axis: Axes, y: float, row: EffectRow, limits: tuple[float, float]) -> None:
    left, right = limits
    colour = PALETTE["blue"] if row.main else PALETTE["orange"]
    axis.annotate(row.remark, (1, y), (4, 0), va="center", **_BESIDE)
    if row.estimate is None:
        return
    low, value, high = row.estimate.low, row.estimate.value, row.estimate.high
    if _unbounded(row.estimate):
        colour = _ALONE
    else:
        axis.plot(np.clip([low, high], left, right), [y, y], color=colour, linewidth=1.8)
        for beyond, edge, arrow in ((low < left, left, "<"), (high > right, right, ">")):
            if beyond:
                axis.plot(edge, y, arrow, color=colour, clip_on=False, markersize=5)
    if left <= value <= right:
        fill = "full" if row.main else "none"
        axis.plot(value, y, "o" if row.main else "s", color=colour, fillstyle=fill, markersize=6)
