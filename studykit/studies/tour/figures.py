"""Pictures of a labelled cohort: the same subjects through several scanners, their structures outlined."""

from collections.abc import Mapping, Sequence
from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike, NDArray

from studykit.figures import planes
from studykit.figures.planes import CORONAL, OUTLINES, SUBTITLE, Plane, Spacing, as_volume, slice_of_most
from studykit.figures.style import WIDTH, styled

MOST_COLUMNS = 5
TITLE_CHARACTERS = 24
"""Of a line above a picture in the narrowest column."""

_BELOW = {
    "loc": "outside lower left", "alignment": "left", "fontsize": 8, "title_fontsize": 8,
    "handlelength": 1.2, "columnspacing": 1.2,
}  # fmt: skip


@styled
def scanner_grid(
    images: Mapping[str, Mapping[str, ArrayLike]],
    labels: Mapping[str, ArrayLike],
    classes: Sequence[str],
    spacing: Spacing,
    title: str,
    plane: Plane = CORONAL,
) -> Figure:
    """One slice of each subject, a row for each scanner, with the outlines of the labelled structures.

    The slice goes where a subject's labels show most structures, and among those where they are largest; it
    is the same for all scanners. More than five subjects stand in blocks of five, one below the other. Each
    picture has its own grey window (0.5th to 99.5th percentile of the volume).

    Args:
        images: scanner → subject → intensities (X, Y, Z), RAS+; the same subjects for all scanners.
        labels: subject → (X, Y, Z), 0 or 1 + index into ``classes``.
        classes: at most six.
        spacing: voxel size in mm along X, Y, Z.
        title: what the figure shows.

    Raises:
        ValueError: no scanner or subject, subjects that differ between scanners or have no labels, more
            classes than colours, labels on another grid, or one beyond the classes.
    """
    subjects = _checked(images, labels, classes)
    first = as_volume(next(iter(images.values()))[subjects[0]], subjects[0])
    fig, blocks = _axes(planes.extent_mm(first, spacing), plane, len(images), len(subjects))
    for start, block in enumerate(blocks):
        shown = subjects[start * block.shape[1] :][: block.shape[1]]
        for row, (scanner, of_scanner) in zip(block, images.items(), strict=True):
            row[0].set_ylabel(scanner, fontsize=8.5)
            for axis, subject in zip(row, shown, strict=False):
                volume = as_volume(of_scanner[subject], subject)
                index = slice_of_most(labels[subject], plane)
                planes.show(axis, plane, volume, index, spacing, planes.grey_window(volume))
                _outline(axis, plane, as_volume(labels[subject], "labels", like=volume), index, len(classes))
        for axis, subject in zip(block[0], shown, strict=False):
            axis.set_title(fill(subject, TITLE_CHARACTERS), **SUBTITLE | {"fontsize": 7})
        for axis in block[:, len(shown) :].flat:
            axis.set_axis_off()
    planes.scale_bar(blocks[0][0, 0])
    keys = [Line2D([], [], color=colour, label=name) for colour, name in zip(OUTLINES, classes, strict=False)]
    note = f"{plane.name}; {planes.CONVENTION}"
    fig.legend(handles=keys, title=note, ncols=len(keys), **_BELOW)
    fig.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold")
    return fig


def _checked(
    images: Mapping[str, Mapping[str, ArrayLike]], labels: Mapping[str, ArrayLike], classes: Sequence[str]
) -> list[str]:
    """The subjects, in the order of the first scanner."""
    if not 0 < len(classes) <= len(OUTLINES):
        raise ValueError(f"a figure outlines 1 to {len(OUTLINES)} classes, got {len(classes)}")
    subjects = list(next(iter(images.values()), ()))
    if not subjects:
        raise ValueError("scanner_grid got no images: pass a mapping from scanner to subject to array")
    for scanner, of_scanner in images.items():
        if set(of_scanner) != set(subjects) or not set(subjects) <= set(labels):
            raise ValueError(
                f"{scanner} must show the subjects with labels {subjects}, got {list(of_scanner)}"
            )
    largest = max(int(np.max(labels[subject])) for subject in subjects)
    if largest > len(classes):
        raise ValueError(f"the labels reach {largest}, the classes are {len(classes)}: {', '.join(classes)}")
    return subjects


def _axes(extent: NDArray, plane: Plane, scanners: int, subjects: int) -> tuple[Figure, NDArray]:
    """(blocks, scanners, columns) axes whose sizes fit volumes of ``extent`` mm."""
    columns = min(subjects, MOST_COLUMNS)
    blocks = -(-subjects // columns)
    side = min((WIDTH - 0.4) / columns * extent[plane.up] / extent[plane.across], 2.4)
    size = (WIDTH, blocks * (scanners * side + 0.2) + 0.85)
    fig, axes = plt.subplots(blocks * scanners, columns, figsize=size, squeeze=False, layout="constrained")
    fig.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0.01, hspace=0.01)
    return fig, axes.reshape(blocks, scanners, columns)


def _outline(axis: Axes, plane: Plane, labels: NDArray, index: tuple[int, ...], classes: int) -> None:
    cut = plane.cut(labels, index[plane.normal])
    extent = axis.images[0].get_extent()
    for label, colour in zip(range(1, classes + 1), OUTLINES, strict=False):
        if (cut == label).any():
            inside = (cut == label).astype(float)
            axis.contour(inside, [0.5], colors=colour, linewidths=0.9, origin="upper", extent=extent)
