"""Figures of GradientConductor: its rule for two gradients, and two optimizers that ought to be one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike

from studykit.figures.curves import Curve
from studykit.figures.style import DASHED, DOTTED, PALETTE, SMALL, WIDTH, arm_style, plain_log_ticks, styled


@dataclass(frozen=True)
class Example:
    """Two gradients in a plane, and what a rule makes of them.

    Attributes:
        title: their angle, in words.
        raw, resolved: two vectors (2, 2) each.
    """

    title: str
    raw: ArrayLike
    resolved: ArrayLike


@styled
def conflict_rule(
    cosines: ArrayLike,
    shares: Mapping[str, ArrayLike],
    thresholds: Mapping[str, float],
    examples: Sequence[Example],
    title: str,
) -> Figure:
    """How much two conflicting gradients give up, by the cosine between them; and examples, drawn.

    Args:
        cosines: (n,) from -1 to 1.
        shares: who gives up → (n,) share of the projection on the other gradient.
        thresholds: name → cosine, drawn as lines.
        examples: drawn in panels of their own: raw gradients thin, resolved ones full, their sum dashed.
        title: what the figure shows.

    Raises:
        ValueError: no share or no example.
    """
    if not shares or not examples:
        raise ValueError("conflict_rule needs at least one curve of shares and one example")
    widths = (1.7, *[1.0] * len(examples))
    fig, (rule, *places) = plt.subplots(
        1, len(examples) + 1, figsize=(WIDTH, 3.0), width_ratios=widths, layout="constrained"
    )
    for name, style in arm_style(list(shares)).items():
        rule.plot(cosines, shares[name], label=name, markevery=0.125, **style)
    for name, cosine in thresholds.items():
        rule.axvline(cosine, color="black", linewidth=0.8, linestyle=DOTTED)
        rule.annotate(name, (cosine, 1), (2, 2), xycoords=("data", "axes fraction"), **SMALL, rotation=30)
    rule.set(xlabel="cosine of the two gradients", ylabel="share of projection removed")
    rule.set_ylim(-0.04, 1.08)
    rule.legend(loc="upper right")
    for axis, example in zip(places, examples, strict=True):
        _example(axis, example)
    handles = [Line2D([], [], **look, label=words) for words, look in _ARROWS.items()]
    fig.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    fig.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold")
    return fig


@styled
def twin_curves(curves: Mapping[str, Curve], x_label: str, y_label: str, title: str) -> Figure:
    """Two runs that ought to be one: their curves on top of each other, and how far they are apart.

    Args:
        curves: two, on the same x.
        x_label, y_label: names of the axes with their units.
        title: what the figure shows.

    Raises:
        ValueError: not two curves, or not of the same x.
    """
    if len(curves) != 2:
        raise ValueError(f"twin_curves draws two curves, got {len(curves)}")
    (x, one), (other_x, other) = ((np.asarray(a, float), np.asarray(b, float)) for a, b in curves.values())
    if not np.array_equal(x, other_x):
        raise ValueError(f"the curves were taken at different x: {x.tolist()} and {other_x.tolist()}")
    fig, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.1), layout="constrained")
    for values, (name, style), width in zip(
        (one, other), arm_style(list(curves)).items(), (5, 1.4), strict=True
    ):
        faint = {"alpha": 0.45} if width > 2 else {}
        left.plot(
            x, values, label=name, linewidth=width, **faint, **(style | {"linestyle": "-", "marker": ""})
        )
    gap = np.abs(one - other) / np.abs(one)
    right.plot(x[gap > 0], gap[gap > 0], "o-", color="black", markersize=3.5)
    left.set_yscale("log")
    plain_log_ticks(left.yaxis)
    right.set_xlim(left.get_xlim())
    if (gap > 0).any():
        right.set_yscale("log")
    else:
        right.set_yticks([0])
        right.annotate("no difference at all", (0.5, 0.5), xycoords="axes fraction", ha="center")
    left.set(xlabel=x_label, ylabel=y_label, title="Held-out loss")
    right.set(xlabel=x_label, ylabel="relative difference", title="Between the two")
    left.legend()
    fig.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold")
    return fig


_ARROWS = {
    "gradients": {"color": "#999999", "linewidth": 1.2},
    "resolved": {"color": PALETTE["blue"], "linewidth": 2.2},
    "plain sum": {"color": "#999999", "linewidth": 1.2, "linestyle": DOTTED},
    "their sum": {"color": PALETTE["vermilion"], "linewidth": 2.2, "linestyle": DASHED},
}


def _example(axis: Axes, example: Example) -> None:
    raw, resolved = np.asarray(example.raw, float), np.asarray(example.resolved, float)
    groups = (raw, resolved, raw.sum(0)[None], resolved.sum(0)[None])
    for vectors, look in zip(groups, _ARROWS.values(), strict=True):
        for x, y in vectors:
            axis.plot([0, x], [0, y], **look)
            axis.plot(x, y, "o", color=look["color"], markersize=4)
    every = np.concatenate([*groups, np.zeros((1, 2))])
    middle, reach = (every.max(0) + every.min(0)) / 2, 0.58 * np.ptp(every, axis=0).max()
    axis.set(xlim=middle[0] + np.array([-reach, reach]), ylim=middle[1] + np.array([-reach, reach]))
    axis.set_aspect("equal")
    axis.set_xticks([])
    axis.set_yticks([])
    axis.spines[:].set_visible(False)
    axis.set_title(example.title, fontsize=9)
