"""Claims one under the other: the reported effect, ours with its interval, and the verdict."""

import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from textwrap import fill
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.textpath import TextPath

from studykit.claims.estimate import Estimate
from studykit.claims.words import as_written, format_interval, value_in_words
from studykit.figures.style import PALETTE, STYLE, WIDTH, arm_style, plain_log_ticks, score_limits, styled

if TYPE_CHECKING:
    from studykit.claims.paper import Claim
    from studykit.claims.verdict import Verdict

NONE = float("nan")

STATUS = {
    "reproduced": (PALETTE["green"], "o", "full"),
    "partially reproduced": (PALETTE["blue"], "s", "full"),
    "not reproduced": (PALETTE["vermilion"], "X", "full"),
    "underpowered": ("#777777", "o", "none"),
    "uninformative": ("#777777", "v", "none"),
    "not evaluated": ("#777777", ".", "none"),
}
"""Colour, marker and fill of each verdict."""

COLUMNS = ("reported", "ours [interval]", "n", "verdict")
"""The words beside a forest."""


@dataclass(frozen=True)
class ForestRow:
    """One claim: its verdict's status, the reported number, and ours with its interval.

    ``null`` is the value of no effect and ``least`` the least effect that would matter, both on the metric's
    scale; for non-inferiority they are the margin and no loss. ``is_ratio`` lays them out by logarithms. A
    number that does not exist is NaN, and the row says what it has in words.
    """

    label: str
    status: str
    reported: float = NONE
    value: float = NONE
    low: float = NONE
    high: float = NONE
    n: int = 0
    null: float = NONE
    least: float = NONE
    is_ratio: bool = False
    ours: str = ""

    @classmethod
    def of(cls, claim: "Claim", verdict: "Verdict | None" = None, label: str = "") -> "ForestRow":
        """The row of a claim, ``not evaluated`` where there is no verdict yet; labelled by the claim's id."""
        rule, estimate = claim.rule, verdict and verdict.estimate
        numbers = {"reported": rule.reported, "null": rule.null, "least": rule.least_effect}
        if rule.kind == "non-inferiority":
            numbers |= {"null": rule.value_at(-rule.bar), "least": rule.null}
        if estimate:
            numbers |= {name: getattr(estimate, name) for name in ("value", "low", "high", "n")}
        known = {name: number for name, number in numbers.items() if number is not None}
        status = verdict.status if verdict else "not evaluated"
        unusual = estimate is not None and (estimate.bound or estimate.open)
        ours = value_in_words(replace(estimate, unit="")).partition(",")[0] if unusual else ""
        return cls(label or claim.id, status, is_ratio=rule.scale == "ratio", ours=ours, **known)

    def effect(self, number: float) -> float:
        """``number`` in units of the least effect that counts: 0 = none, 1 = least, NaN = not an effect.

        Ratios are laid out by their logarithms. Positive is the claimed direction, up or down.
        """
        numbers = np.array([number, self.null, self.least], float)
        if self.is_ratio:
            with np.errstate(divide="ignore"):
                numbers = np.log(np.fmax(numbers, 0))
        number, null, least = numbers
        return float((number - null) / (least - null))


@styled
def verdict_forest(rows: Sequence[ForestRow], title: str = "Reported effects and ours") -> Figure:
    """A forest of claims: ours with its interval, marked by its verdict, and the reported value (◇).

    Where all claims are ratios the axis is the ratio itself, logarithmic. Otherwise claims in different units
    meet on one axis, the effect in units of the least one that counts, linear up to 1 and logarithmic beyond;
    counts and identities, which have no such unit, then stand in words only. An arrow marks a bound that lies
    beyond the axis.

    Raises:
        ValueError: no rows.
    """
    if not rows:
        raise ValueError("verdict_forest got no rows: pass one ForestRow for each claim")
    ratios = all(row.is_ratio and row.null == 1 for row in rows)
    place = (lambda row, number: number) if ratios else ForestRow.effect
    labels = [textwrap.fill(row.label, 24) for row in rows]
    lines, starts, size = _cells(rows, labels)
    fig, (axis, words) = plt.subplots(
        1,
        2,
        figsize=(WIDTH, 0.36 * len(rows) + 1.4),
        width_ratios=(_text_room(labels) - starts[-1], starts[-1]),
        sharey=True,
        layout="constrained",
    )
    limits = _limits(rows, place, ratios)
    axis.axvline(1 if ratios else 0, color="black", linewidth=1)
    if not ratios:
        axis.axvline(1, color="black", linewidth=1, linestyle=(0, (2, 2)))
    for y, row in enumerate(rows):
        _interval(axis, y, row, place, limits)
        axis.plot(place(row, row.reported), y, "D", color="black", fillstyle="none", markersize=7)
    _words(words, lines, starts, size)
    axis.set_yticks(range(len(rows)), labels)
    axis.set_ylim(len(rows) - 0.4, -1.1)
    axis.grid(False, axis="y")
    if ratios:
        axis.set(xscale="log", xlim=limits)
        plain_log_ticks(axis.xaxis)
        axis.set_xlabel("ratio (1: no effect, ◇: as reported)")
    else:
        axis.set_xscale("symlog", linthresh=1, linscale=0.6)
        axis.set_xlim(limits)
        axis.set_xticks([tick for tick in _TICKS if limits[0] <= tick <= limits[1]])
        axis.xaxis.set_major_formatter("{x:g}")
        axis.xaxis.set_minor_locator(ticker.NullLocator())
        axis.set_xlabel("effect (0: none, 1: least that counts, ◇: as reported)")
    fig.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold")
    return fig


Place = Callable[[ForestRow, float], float]

_TICKS = (-30, -3, 0, 1, 3, 30)


def _limits(rows: Sequence[ForestRow], place: Place, ratios: bool) -> tuple[float, float]:
    numbers = [place(row, number) for row in rows for number in (row.low, row.value, row.high, row.reported)]
    finite = [number for number in numbers if math.isfinite(number) and (number > 0 or not ratios)]
    if ratios:
        return max(min([*finite, 1]) / 1.3, 0.01), min(max([*finite, 1]) * 1.3, 100)
    return max(min([*finite, 0]) * 1.6 - 0.3, -40), min(max([*finite, 1]) * 1.6, 40)


def _interval(axis: Axes, y: int, row: ForestRow, place: Place, limits: tuple[float, float]) -> None:
    value, *bounds = (place(row, number) for number in (row.value, row.low, row.high))
    if math.isnan(value):
        return
    left, right = limits
    low, high = min(bounds), max(bounds)
    colour, marker, fill = STATUS[row.status]
    axis.plot(np.clip([low, high], left, right), [y, y], color=colour, linewidth=1.8)
    for beyond, edge, arrow in ((low < left, left, "<"), (high > right, right, ">")):
        if beyond:
            axis.plot(edge, y, arrow, color=colour, clip_on=False)
    if left <= value <= right:
        axis.plot(value, y, marker, color=colour, fillstyle=fill, markersize=7, markeredgewidth=1.4)


_GAP, _LEAST_FOREST = 10, 130
"""Points between two columns of words, and what is left for the drawing at least."""


def _cells(
    rows: Sequence[ForestRow], labels: Sequence[str]
) -> tuple[list[tuple[str, ...]], list[float], float]:
    """The words beside a forest, the points at which each column starts and the last one ends, their size.

    Columns are as wide as their widest cell is drawn, so that none runs into the next.
    """
    lines = [COLUMNS]
    for row in rows:
        ours = row.ours or format_interval(row.value, row.low, row.high)
        lines.append((as_written(row.reported), ours, str(row.n) if row.n else "–", row.status))
    widths = [
        max(_drawn_width(cell, bold=cell in COLUMNS) for cell in column)
        for column in zip(*lines, strict=True)
    ]
    room = _text_room(labels) - _LEAST_FOREST - _GAP * len(widths)
    shrink = min(1, room / sum(widths))
    starts = np.cumsum([0, *(shrink * width + _GAP for width in widths)])
    return lines, [float(start) for start in starts], 8 * shrink


def _text_room(labels: Sequence[str]) -> float:
    """Points across that names of the rows leave to the forest and its words."""
    longest = max(_drawn_width(line) for label in labels for line in label.splitlines() or [""])
    return 72 * WIDTH - 1.1 * longest - 24


def _drawn_width(words: str, *, bold: bool = False) -> float:
    """Points that a line of 8 points takes."""
    font = FontProperties(family=STYLE["font.family"], weight="bold" if bold else "normal")
    return float(TextPath((0, 0), words, size=8, prop=font).get_extents().width) if words else 0.0


def _words(axis: Axes, lines: Sequence[tuple[str, ...]], starts: Sequence[float], size: float) -> None:
    """One line of cells a row, the first one bold."""
    across = axis.get_yaxis_transform()
    for y, line in zip((-0.8, *range(len(lines) - 1)), lines, strict=True):
        weight = "bold" if line is COLUMNS else "normal"
        for x, cell in zip(starts, line, strict=False):
            place = x / starts[-1]
            axis.text(place, y, cell, va="center", fontsize=size, fontweight=weight, transform=across)
    axis.set_axis_off()


WORDS = {"gain [95 % interval]": 0.03, "n": 0.86}
"""The words beside a forest of gains, and where each column starts."""


@styled
def gain_forest(rows: Mapping[str, Mapping[str, Estimate]], title: str, x_label: str) -> Figure:
    """Differences one under the other with their intervals and repetitions, and a line at no difference.

    A bound beyond the axis is an arrow.

    Args:
        rows: comparison → series, the same in each row → the difference.
        title: what the figure shows.
        x_label: name of the axis.

    Raises:
        ValueError: no rows, or rows whose series differ.
    """
    if not rows or not all(rows.values()):
        raise ValueError("gain_forest got no gains: pass a mapping from comparison to series and estimates")
    names = list(next(iter(rows.values())))
    if strange := [row for row, given in rows.items() if list(given) != names]:
        raise ValueError(f"every row needs the series {', '.join(names)}; {strange[0]!r} has others")
    size = (WIDTH, max(0.24 * len(names), 0.36) * len(rows) + 1.5)
    fig, (axis, words) = plt.subplots(
        1, 2, figsize=size, width_ratios=(1, 0.62), sharey=True, layout="constrained"
    )
    estimates = [estimate for given in rows.values() for estimate in given.values()]
    left, right = score_limits([0, *(e.value for e in estimates)], estimates, floor=-1)
    axis.axvline(0, color="black", linewidth=1)
    across = words.get_yaxis_transform()
    for head, x in WORDS.items():
        words.text(x, -0.85, head, va="center", fontsize=8, fontweight="bold", transform=across)
    for y, given in enumerate(rows.values()):
        for place, (name, look) in enumerate(arm_style(names).items()):
            level, estimate = y + (place - (len(names) - 1) / 2) * 0.8 / max(len(names), 2), given[name]
            _lying(axis, level, estimate, look, (left, right))
            cells = format_interval(estimate.value, estimate.low, estimate.high), str(estimate.n)
            for x, cell in zip(WORDS.values(), cells, strict=True):
                words.text(x, level, cell, va="center", fontsize=8, transform=across)
    words.set_axis_off()
    axis.set_yticks(range(len(rows)), [fill(row, 30, break_on_hyphens=False) for row in rows])
    axis.set_ylim(len(rows) - 0.4, -1.2)
    axis.grid(False, axis="y")
    axis.set(xlim=(left, right), xlabel=x_label)
    axis.xaxis.set_major_locator(ticker.MaxNLocator(5, steps=[1, 2, 5, 10]))
    handles = [Line2D([], [], label=name, **look) for name, look in arm_style(names).items()]
    fig.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    fig.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold")
    return fig


def _lying(
    axis: Axes, y: float, estimate: Estimate, look: Mapping[str, str], limits: tuple[float, float]
) -> None:
    left, right = limits
    bounds = np.clip([estimate.low, estimate.high], left, right)
    axis.plot(bounds, [y, y], color=look["color"], linestyle=look["linestyle"])
    for beyond, edge, arrow in ((estimate.low < left, left, "<"), (estimate.high > right, right, ">")):
        if beyond:
            axis.plot(edge, y, arrow, color=look["color"], clip_on=False)
    axis.plot(estimate.value, y, look["marker"], color=look["color"], markersize=6)
