"""Figures of data efficiency: Dice by the share of labels, validation curves, gains in a forest."""

from collections.abc import Mapping, Sequence
from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from studykit.claims.estimate import Estimate
from studykit.claims.stats import mean_interval
from studykit.figures.style import WIDTH, arm_style, score_limits, styled

ASIDE = 0.03
"""Decades between two arms that stand at the same share of labels."""

Scores = Mapping[float, Sequence[float]]


@styled
def dice_by_labels(
    scores: Mapping[str, Scores],
    gains: Mapping[float, Estimate],
    subjects: Mapping[float, int],
    title: str,
    gain_label: str,
    lines: Sequence[str] = (),
) -> Figure:
    """Dice against the share of labels, on a log axis; below it the gain of one arm over another.

    Arms among ``lines`` have a 95 % band over seeds, the others are points with intervals, moved aside a
    little. Small dots are seeds.

    Args:
        scores: arm → share of the labels, 0 to 1 → one Dice a seed.
        gains: share → the gain, with its interval.
        subjects: share → labelled training subjects, for all shares on the axis.
        title: what the figure shows.
        gain_label: which gain is drawn below.
        lines: arms whose shares are joined.

    Raises:
        ValueError: no arm, no gain, or a share that is not among ``subjects``.
    """
    if not scores or not gains:
        raise ValueError(
            "dice_by_labels got nothing to draw: pass scores by arm and share, and gains by share"
        )
    shares = sorted(subjects)
    if strange := {*gains, *(share for own in scores.values() for share in own)} - set(shares):
        raise ValueError(f"shares without a number of subjects: {sorted(strange)}; known: {shares}")
    fig, (top, below) = plt.subplots(
        2, 1, figsize=(WIDTH, 5.4), height_ratios=(2.4, 1), sharex=True, layout="constrained"
    )
    looks = arm_style(list(scores))
    aside = [arm for arm in scores if arm not in lines]
    for arm, own in scores.items():
        if arm in aside:
            _points(top, own, looks[arm], _aside(aside.index(arm)))
        else:
            _line(top, own, looks[arm])
    drawn = [value for own in scores.values() for seeds in own.values() for value in seeds]
    top.set_ylim(score_limits(drawn, [mean_interval(s) for own in scores.values() for s in own.values()]))
    below.axhline(0, color="black", linewidth=1)
    for share, gain in sorted(gains.items()):
        _upright(below, share, gain, {"color": "black", "marker": "o"})
    below.set_ylim(score_limits([gain.value for gain in gains.values()], [*gains.values()], floor=-1))
    below.set(
        xscale="log", xlim=(shares[0] / 1.45, shares[-1] * 1.45), xlabel="training subjects with labels"
    )
    below.set_xticks(shares, [f"{100 * share:g} %\n({subjects[share]})" for share in shares])
    below.xaxis.set_minor_locator(ticker.NullLocator())
    top.set_ylabel("test Dice")
    below.set_ylabel(fill(gain_label, 16))
    seeds = sorted({len(values) for own in scores.values() for values in own.values()})
    handles = [Line2D([], [], label=arm, **_legend_look(look, arm in aside)) for arm, look in looks.items()]
    words = f"mean and 95 % t interval over n = {', '.join(map(str, seeds))} seeds; dots: seeds"
    fig.legend(handles=handles, title=words, title_fontsize=8.5, loc="outside lower center", ncols=3)
    fig.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold")
    return fig


_SEEDS = {"marker": "o", "linestyle": "none", "markersize": 3, "alpha": 0.4, "markeredgewidth": 0}


def _aside(place: int) -> float:
    """Decades by which the arm number ``place`` stands aside: left and right in turn, never in the middle."""
    return ASIDE * (place // 2 + 1) * (-1 if place % 2 == 0 else 1)


def _legend_look(look: Mapping[str, str], alone: bool) -> dict[str, str]:
    return {**look, "linestyle": "none"} if alone else dict(look)


def _line(axis: Axes, scores: Scores, look: Mapping[str, str]) -> None:
    shares = sorted(scores)
    means = [mean_interval(scores[share]) for share in shares]
    if all(len(scores[share]) > 1 for share in shares):
        low, high = [max(e.low, 0) for e in means], [min(e.high, 1) for e in means]
        axis.fill_between(shares, low, high, color=look["color"], alpha=0.18, linewidth=0)
    for share in shares:
        axis.plot([share] * len(scores[share]), scores[share], color=look["color"], **_SEEDS)
    axis.plot(shares, [e.value for e in means], **look)


def _points(axis: Axes, scores: Scores, look: Mapping[str, str], aside: float) -> None:
    for share, seeds in scores.items():
        at = share * 10**aside
        axis.plot([at] * len(seeds), seeds, color=look["color"], **_SEEDS)
        _upright(axis, at, mean_interval(seeds), look)


def _upright(axis: Axes, x: float, estimate: Estimate, look: Mapping[str, str]) -> None:
    if np.isfinite(estimate.low):
        axis.plot([x, x], [estimate.low, estimate.high], color=look["color"], linewidth=1.2)
    axis.plot(x, estimate.value, look["marker"], color=look["color"])
