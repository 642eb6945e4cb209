"""Figures of data efficiency: Dice by the share of labels, validation curves, gains in a forest."""

from collections.abc import Iterable, Mapping, Sequence
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
    """Dice against the share of labels, on a log axis, of the arms among ``lines``; below it a gain.

    They have a 95 % band over seeds. Where there are other arms, which were not measured everywhere, all arms
    stand beside it, a row each, at the shares that those have: the mean, its 95 % interval, and seeds as
    small dots. Dice lies between 0 and 1, so no interval is drawn beyond.

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
    aside = [arm for arm in scores if arm not in lines]
    looks = arm_style(list(scores))
    fig = plt.figure(figsize=(WIDTH, 4.6), layout="constrained")
    grid = fig.add_gridspec(2, 1 + bool(aside), height_ratios=(2.2, 1))
    top = fig.add_subplot(grid[0, 0])
    below = fig.add_subplot(grid[1, 0], sharex=top)
    for arm in [arm for arm in scores if arm in lines]:
        _line(top, scores[arm], looks[arm])
    top.set_ylim(_limits([own for arm, own in scores.items() if arm in lines] or scores.values()))
    top.tick_params(labelbottom=False)
    if aside:
        _side_by_side(fig.add_subplot(grid[:, 1]), scores, aside, looks)
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
    handles = [Line2D([], [], label=arm, **looks[arm]) for arm in scores if arm in lines]
    words = f"mean and 95 % t interval over n = {', '.join(map(str, seeds))} seeds; dots: seeds"
    fig.legend(handles=handles, title=words, title_fontsize=8.5, loc="outside lower left", ncols=3)
    fig.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold")
    return fig


_SEEDS = {"marker": "o", "linestyle": "none", "markersize": 3, "alpha": 0.4, "markeredgewidth": 0}


def _limits(scores: Iterable[Scores]) -> tuple[float, float]:
    seeds = [own for of_arm in scores for own in of_arm.values()]
    return score_limits([value for own in seeds for value in own], [mean_interval(own) for own in seeds])


def _line(axis: Axes, scores: Scores, look: Mapping[str, str]) -> None:
    shares = sorted(scores)
    means = [mean_interval(scores[share]) for share in shares]
    if all(len(scores[share]) > 1 for share in shares):
        low, high = [max(e.low, 0) for e in means], [min(e.high, 1) for e in means]
        axis.fill_between(shares, low, high, color=look["color"], alpha=0.18, linewidth=0)
    for share in shares:
        axis.plot([share] * len(scores[share]), scores[share], color=look["color"], **_SEEDS)
    axis.plot(shares, [e.value for e in means], **look)


def _side_by_side(
    axis: Axes,
    scores: Mapping[str, Scores],
    aside: Sequence[str],
    looks: Mapping[str, Mapping[str, str]],
) -> None:
    """A row an arm, at the shares of the arms ``aside``; open marks for the fewest labels, full for most."""
    shares = sorted({share for arm in aside for share in scores[arm]})
    fills = dict.fromkeys(shares, "bottom") | {shares[0]: "none"} | {shares[-1]: "full"}
    for y, (arm, own) in enumerate(scores.items()):
        for place, share in enumerate(share for share in shares if share in own):
            level, colour = y + (place - (len(shares) - 1) / 2) * 0.36, looks[arm]["color"]
            mean = mean_interval(own[share])
            axis.plot(own[share], [level] * len(own[share]), color=colour, **_SEEDS)
            if np.isfinite(mean.low):
                axis.plot(np.clip([mean.low, mean.high], 0, 1), [level, level], color=colour, linewidth=1.2)
            marker = looks[arm]["marker"]
            axis.plot(
                mean.value, level, marker, color=colour, fillstyle=fills[share], markerfacecoloralt="white"
            )
    axis.set_yticks(range(len(scores)), [fill(arm, 16, break_on_hyphens=False) for arm in scores])
    names = {"none": "open", "full": "full", "bottom": "half full"}
    words = ", ".join(f"{names[fills[share]]}: {100 * share:g} %" for share in shares)
    axis.set(xlabel=f"test Dice\n({words} of the labels)", xlim=_limits(scores.values()))
    axis.set_ylim(len(scores) - 0.4, -0.6)
    axis.grid(False, axis="y")


def _upright(axis: Axes, x: float, estimate: Estimate, look: Mapping[str, str]) -> None:
    if np.isfinite(estimate.low):
        axis.plot([x, x], [estimate.low, estimate.high], color=look["color"], linewidth=1.2)
    axis.plot(x, estimate.value, look["marker"], color=look["color"])
