"""Figures of masked image modelling at several levels: what is hidden, what a contrastive loss can reach,
what a detector points at, and how well it finds aneurysms by their size.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from numpy.typing import ArrayLike

from studykit.claims.rule import Rule
from studykit.claims.stats import mean_interval
from studykit.figures import planes
from studykit.figures.curves import Curve, seed_band
from studykit.figures.planes import AXIAL, CORONAL, SUBTITLE, Spacing, as_volume
from studykit.figures.reconstructions import HIDDEN, on_voxels
from studykit.figures.scores import Differences
from studykit.figures.style import DASHED, PALETTE, SMALL, WIDTH, arm_style, plain_log_ticks, styled
from studykit.studies.mim_masking.projections import Projected, projections_figure

OPENED = PALETTE["orange"]
"""Colour of patches that were hidden at a coarser level and are shown."""
TOP_CELL = PALETTE["sky"]
"""Colour of the cell that a detector is surest of."""
PANEL_CHARACTERS = 18
"""Of a line above a panel of differences."""


def judged_panel(
    rule: Rule, first: str, second: str, differences: Mapping[str, Sequence[float]]
) -> Differences:
    """The panel of one comparison with what its rule is held against, judged by the row ``all``."""
    marks = {"no difference": rule.null, "least effect that counts": rule.least_effect}
    return Differences(fill(f"{first} − {second}", PANEL_CHARACTERS), differences, marks, "all")


@dataclass(frozen=True)
class Masked:
    """One picture of :func:`masking_pictures`.

    Attributes:
        image: (X, Y, Z), RAS+.
        spacing: voxel size in mm along X, Y, Z.
        hidden: bool (x, y, z) on the patch grid, True = hidden; None for a picture without a mask.
        opened: bool on the same grid, patches of a hidden block that are shown.
    """

    image: ArrayLike
    spacing: Spacing
    hidden: ArrayLike | None = None
    opened: ArrayLike | None = None


@styled
def masking_pictures(pictures: Mapping[str, Masked], title: str, columns: int = 4) -> Figure:
    """The middle axial slice of each volume with what is hidden of it, each with a scale bar of its own.

    Under the name stands the share of all patches that is hidden, not only of those in the slice.

    Args:
        pictures: what is shown → the volume and its mask.
        title: what the figure shows.
        columns: pictures in a row.

    Raises:
        ValueError: no picture, or a mask whose grid does not divide the volume's.
    """
    if not pictures:
        raise ValueError("masking_pictures got nothing to draw: pass a mapping from words to volumes")
    rows = -(-len(pictures) // columns)
    fig, axes = planes.plane_axes(np.ones(3), rows=rows, blocks=columns, planes=(AXIAL,))
    for axis, (name, picture) in zip(axes.flat, pictures.items(), strict=False):
        image = as_volume(picture.image, name)
        index, words = planes.middle(image), name
        planes.show(axis, AXIAL, image, index, picture.spacing, planes.grey_window(image))
        for mask, colour, opacity in ((picture.opened, OPENED, 0.35), (picture.hidden, HIDDEN, 0.8)):
            if mask is not None:
                where = on_voxels(mask, image.shape)
                planes.paint(axis, AXIAL, where, index, picture.spacing, colour, opacity)
        if picture.hidden is not None:
            words += f"\n{np.mean(picture.hidden):.0%} hidden"
        axis.set_title(words, **SUBTITLE)
        planes.scale_bar(axis)
    for axis in axes.flat[len(pictures) :]:
        axis.set_axis_off()
    handles = [Patch(color=HIDDEN, label="hidden"), Patch(color=OPENED, alpha=0.5, label="opened again")]
    note = f"axial, through the middle; {planes.CONVENTION}"
    fig.legend(
        handles=handles, title=note, ncols=2, loc="outside lower left", alignment="left", title_fontsize=8
    )
    fig.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold")
    return fig


@styled
def contrastive_floors(
    cosines: Sequence[float],
    losses: Mapping[str, Sequence[float]],
    samples: Sequence[int],
    floors: Mapping[str, Sequence[float]],
    title: str,
    shown_samples: int,
) -> Figure:
    """A contrastive loss against how well features agree, and its value at perfect agreement.

    Args:
        cosines: between a child and its own parent.
        losses: form of the loss → its value at each cosine, with ``shown_samples`` places.
        samples: numbers of places.
        floors: the same forms → the loss at a cosine of 1 for each number.
        title: what the figure shows.
        shown_samples: places of the left panel, marked in the right one.

    Raises:
        ValueError: no form, or other forms in the two panels.
    """
    if not losses or list(losses) != list(floors):
        raise ValueError(f"both panels need the same forms, got {list(losses)} and {list(floors)}")
    fig, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.3), layout="constrained")
    for name, look in arm_style(list(losses)).items():
        left.plot(cosines, losses[name], markevery=0.15, **look)
        right.plot(samples, floors[name], **look)
    right.axvline(shown_samples, color="black", linewidth=1, linestyle=DASHED)
    left.set(xlabel="cosine of a feature and its own parent", ylabel="loss", title=f"{shown_samples} places")
    left.set_ylim(bottom=0)
    right.set(xlabel="places compared", ylabel="loss", title="Perfect agreement")
    right.set(xscale="log", yscale="log")
    right.set_xticks(samples, [str(n) for n in samples])
    right.set_xticks([], minor=True)
    plain_log_ticks(right.yaxis)
    handles = [Line2D([], [], label=name, **look) for name, look in arm_style(list(losses)).items()]
    fig.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    fig.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold")
    return fig


@styled
def auc_by_diameter(
    aucs: Mapping[str, Mapping[tuple[float, float], Sequence[float]]],
    counts: Mapping[tuple[float, float], int],
    title: str,
) -> Figure:
    """AUC by the aneurysm's diameter, arms side by side: mean over seeds, 95 % interval, and each seed.

    The axis ends at 1, and a little below the lowest value, or chance where that is lower; an interval that
    goes beyond is cut there.

    Args:
        aucs: arm → range of diameters in mm → one AUC a seed; every arm has the same ranges.
        counts: range → aneurysms in it.
        title: what the figure shows.

    Raises:
        ValueError: no arm or range, or arms with other ranges than ``counts``.
    """
    if not aucs or not counts:
        raise ValueError("auc_by_diameter got nothing to draw: pass AUCs by arm and range, and counts")
    if strange := [arm for arm, own in aucs.items() if set(own) != set(counts)]:
        raise ValueError(f"every arm needs the ranges {sorted(counts)}; {strange[0]!r} has others")
    ranges, looks = sorted(counts), arm_style(list(aucs))
    fig, axis = plt.subplots(figsize=(WIDTH, 3.9), layout="constrained")
    lowest = min(min(values) for own in aucs.values() for values in own.values())
    bottom = min(0.5, lowest) - 0.04
    for place, (arm, own) in enumerate(aucs.items()):
        aside = (place - (len(aucs) - 1) / 2) * 0.8 / max(len(aucs), 3)
        for x, sizes in enumerate(ranges):
            _upright(axis, x + aside, own[sizes], looks[arm], (bottom, 1.0))
    axis.axhline(0.5, color="black", linewidth=1, linestyle=DASHED)
    axis.annotate("chance", (1, 0.5), (-2, 3), xycoords=("axes fraction", "data"), ha="right", **SMALL)
    axis.set_xticks(range(len(ranges)), [f"{a:g} to {b:g} mm\n({counts[a, b]})" for a, b in ranges])
    axis.set(xlabel="diameter (aneurysms)", ylabel='AUC of "aneurysm present"', ylim=(bottom, 1.015))
    axis.set_xlim(-0.55, len(ranges) - 0.45)
    axis.grid(False, axis="x")
    n = sorted({len(values) for own in aucs.values() for values in own.values()})
    words = f"mean and 95 % t interval over n = {', '.join(map(str, n))} seeds; dots: seeds"
    handles = [Line2D([], [], label=arm, **{**look, "linestyle": "none"}) for arm, look in looks.items()]
    fig.legend(handles=handles, title=words, title_fontsize=8.5, loc="outside lower center", ncols=3)
    fig.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold")
    return fig


@styled
def curve_panels(panels: Mapping[str, Mapping[str, Sequence[Curve]]], x_label: str, title: str) -> Figure:
    """Measures against steps, side by side: each arm's mean with a 95 % band over seeds, and each seed.

    Args:
        panels: name of the vertical axis → arm, the same in each → one (x, value) a seed.
        x_label: name of the horizontal axis.
        title: what the figure shows.

    Raises:
        ValueError: no panel or no arm, or panels whose arms differ.
    """
    arms = list(next(iter(panels.values()))) if panels else []
    if not arms or any(list(own) != arms for own in panels.values()):
        raise ValueError("curve_panels needs panels that all have the same arms, at least one of each")
    fig, axes = plt.subplots(1, len(panels), figsize=(WIDTH, 3.9), layout="constrained", squeeze=False)
    looks = arm_style(arms)
    for axis, (y_label, own) in zip(axes[0], panels.items(), strict=True):
        for arm, seeds in own.items():
            colour = looks[arm]["color"]
            for x, values in seeds:
                axis.plot(x, values, color=colour, linewidth=0.6, alpha=0.3)
            band = seed_band(seeds)
            if len(seeds) > 1:
                axis.fill_between(band.x, band.low, band.high, color=colour, alpha=0.13, linewidth=0)
            axis.plot(band.x, band.mean, markevery=0.17, markersize=4, **looks[arm])
        drawn = np.concatenate([values for seeds in own.values() for _, values in seeds])
        room = 0.08 * (np.ptp(drawn) or 1)
        axis.set(ylabel=y_label, xlabel=x_label, ylim=(drawn.min() - room, drawn.max() + room))
    counts = {arm: len(next(iter(panels.values()))[arm]) for arm in arms}
    handles = [Line2D([], [], label=f"{arm} (n = {counts[arm]})", **look) for arm, look in looks.items()]
    words = "mean and 95 % t band over n seeds; thin: seeds"
    fig.legend(handles=handles, title=words, title_fontsize=8.5, loc="outside lower center", ncols=3)
    fig.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold")
    return fig


@dataclass(frozen=True)
class Pointed(Projected):
    """A subject and where a detector is surest of an aneurysm.

    Attributes:
        cell_mm: middle of the cell from the volume's middle, along X, Y, Z.
        cell_side_mm: side of the cell.
    """

    cell_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    cell_side_mm: float = 0.0


@styled
def found_and_missed(subjects: Sequence[Pointed], spacing: Spacing, title: str) -> Figure:
    """Projections as in :func:`projections_figure`, with a square round the cell that a detector points at.

    Raises:
        ValueError: as there.
    """
    fig = projections_figure(subjects, spacing, title)
    for row, plane in enumerate((CORONAL, AXIAL)):
        for axis, subject in zip(fig.axes[row * len(subjects) :], subjects, strict=False):
            x, y = -subject.cell_mm[plane.across], subject.cell_mm[plane.up]
            side = subject.cell_side_mm
            square = Rectangle((x - side / 2, y - side / 2), side, side, fill=False)
            square.set(edgecolor=TOP_CELL, linewidth=1.2)
            axis.add_patch(square)
    note = "maximum over the volume, from the front and from above; ring: aneurysm, square: surest cell"
    planes.frame(fig, title, f"{note}\n{planes.CONVENTION}")
    return fig


def _upright(
    axis: Axes, x: float, values: Sequence[float], look: Mapping[str, str], limits: tuple[float, float]
) -> None:
    mean, colour = mean_interval(values), look["color"]
    axis.plot([x] * len(values), values, "o", color=colour, markersize=3, alpha=0.35, markeredgewidth=0)
    if np.isfinite(mean.low):
        axis.plot([x, x], np.clip([mean.low, mean.high], *limits), color=colour, linewidth=1.3)
    axis.plot(x, mean.value, look["marker"], color=colour, markersize=6)
