"""Angiographies as maximum-intensity projections, from the front and from above, aneurysms marked."""

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from numpy.typing import ArrayLike, NDArray

from studykit.data.angiography.subjects import AngiographyRow
from studykit.figures.planes import (
    AXIAL,
    CONVENTION,
    CORONAL,
    SUBTITLE,
    Spacing,
    as_volume,
    frame,
    grey_window,
    scale_bar,
    show,
)
from studykit.figures.style import PALETTE, WIDTH, styled


@dataclass(frozen=True)
class Projected:
    """One subject of the figure.

    Attributes:
        title: what stands above it.
        image: intensities (X, Y, Z), RAS+.
        centre_mm: of the aneurysm from the volume's middle, along X, Y, Z; None without one.
        diameter_mm: of the aneurysm.
    """

    title: str
    image: ArrayLike
    centre_mm: tuple[float, float, float] | None = None
    diameter_mm: float = 0.0


def projected(title: str, image: ArrayLike, row: AngiographyRow) -> Projected:
    """A subject as its cohort plans it: its aneurysm is ringed where it has one."""
    if not row.present:
        return Projected(title, image, None, 0.0)
    return Projected(title, image, row.centre_mm, row.diameter_mm)


@styled
def projections_figure(
    subjects: Sequence[Projected], spacing: Spacing, title: str, slab_mm: float | None = None
) -> Figure:
    """Each subject from the front (upper row) and from above (lower row); a ring marks its aneurysm.

    Args:
        slab_mm: thickness projected, about the middle of the volume; default all of it.

    Raises:
        ValueError: no subjects, or an image that is not 3-D.
    """
    if not subjects:
        raise ValueError("projections_figure got no subjects: pass at least one")
    fig, axes = plt.subplots(
        2,
        len(subjects),
        figsize=(WIDTH, 2 * (WIDTH / len(subjects)) + 0.75),
        squeeze=False,
        layout="constrained",
    )
    fig.get_layout_engine().set(w_pad=0.02, h_pad=0.03, wspace=0.01, hspace=0.01)
    for column, subject in zip(axes.T, subjects, strict=True):
        image = as_volume(subject.image, subject.title)
        for axis, plane in zip(column, (CORONAL, AXIAL), strict=True):
            flat = _projected(image, plane.normal, spacing, slab_mm)
            show(axis, plane, flat, (0, 0, 0), spacing, grey_window(flat))
            if subject.centre_mm is not None:
                place = (-subject.centre_mm[plane.across], subject.centre_mm[plane.up])
                radius = subject.diameter_mm / 2 + 2.5
                axis.add_patch(Circle(place, radius, fill=False, color=PALETTE["orange"], linewidth=1.2))
        column[0].set_title(subject.title, **{**SUBTITLE, "fontsize": 7.5})
    scale_bar(axes[1, 0])
    thick = "the whole volume" if slab_mm is None else f"the middle {slab_mm:g} mm"
    frame(fig, title, f"maximum over {thick}, from the front and from above; ring = aneurysm\n{CONVENTION}")
    return fig


def _projected(image: NDArray, normal: int, spacing: Spacing, slab_mm: float | None) -> NDArray:
    """The maximum along an axis, kept as an axis of length 1."""
    side = image.shape[normal]
    half = side if slab_mm is None else max(1, round(slab_mm / spacing[normal] / 2))
    kept = np.arange(max(0, side // 2 - half), min(side, side // 2 + half))
    return np.take(image, kept, axis=normal).max(axis=normal, keepdims=True)
