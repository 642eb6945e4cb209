"""Label maps compared by their outlines: the truth and what was found, drawn on one slice of a volume."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike, NDArray

from studykit.figures import planes
from studykit.figures.planes import CORONAL, OUTLINES, SUBTITLE, Plane, Spacing, as_volume, slice_of_most
from studykit.figures.style import LINE_STYLES, WIDTH, styled

LINE_CHARACTERS = 124
"""Of the titles above all pictures of a row together."""


@dataclass(frozen=True)
class Case:
    """A volume (X, Y, Z), RAS+, and label maps on its grid by name: 0, or 1 + index into the classes."""

    image: ArrayLike
    maps: Mapping[str, ArrayLike]


@styled
def outline_grid(
    cases: Mapping[str, Case], classes: Sequence[str], spacing: Spacing, title: str, plane: Plane = CORONAL
) -> Figure:
    """One slice of each volume, a row for each of its label maps, whose outlines are drawn on it.

    The slice goes where the first map shows most classes, and among those where they are largest; it is the
    same for all maps of a volume. Each picture has its own grey window. Beyond six classes colours come
    again with other line styles.

    Args:
        cases: volume's name, which may say its scores → the volume; all with maps of the same names.
        classes: names of the labels 1, 2, …
        spacing: voxel size in mm along X, Y, Z.
        title: what the figure shows.

    Raises:
        ValueError: no volume or class, volumes whose maps have other names, or a map on another grid.
    """
    rows = list(next(iter(cases.values())).maps) if cases else []
    if not rows or not classes:
        raise ValueError("outline_grid got nothing to draw: pass volumes with label maps, and their classes")
    for name, case in cases.items():
        if list(case.maps) != rows:
            raise ValueError(f"every volume needs the maps {', '.join(rows)}; {name!r} has {list(case.maps)}")
    volumes = {name: as_volume(case.image, name) for name, case in cases.items()}
    extent = np.max([planes.extent_mm(volume, spacing) for volume in volumes.values()], axis=0)
    side = min((WIDTH - 0.4) / len(cases) * extent[plane.up] / extent[plane.across], 2.6)
    heads = {name: _heading(name, len(cases)) for name in cases}
    lines = max(head.count("\n") + 1 for head in heads.values())
    size = (WIDTH, len(rows) * side + 0.12 * lines + 0.4 + 0.2 * (1 + -(-len(classes) // 6)))
    fig, axes = plt.subplots(len(rows), len(cases), figsize=size, squeeze=False, layout="constrained")
    fig.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0.01, hspace=0.01)
    looks = _class_looks(classes)
    for column, (name, case) in zip(axes.T, cases.items(), strict=True):
        index = slice_of_most(np.asarray(next(iter(case.maps.values()))), plane)
        for axis, (row, labels) in zip(column, case.maps.items(), strict=True):
            volume = volumes[name]
            planes.show(axis, plane, volume, index, spacing, planes.grey_window(volume))
            _outline(axis, plane, as_volume(labels, f"{row} of {name}", like=volume), index, looks)
            axis.set_xlim(-extent[plane.across] / 2, extent[plane.across] / 2)
            axis.set_ylim(-extent[plane.up] / 2, extent[plane.up] / 2)
        column[0].set_title(heads[name], **SUBTITLE | {"fontsize": 6.5})
    for axis, row in zip(axes[:, 0], rows, strict=True):
        axis.set_ylabel(row, fontsize=8.5)
    planes.scale_bar(axes[0, 0])
    keys = [
        Line2D([], [], color=colour, linestyle=line, label=name)
        for name, (colour, line) in zip(classes, looks, strict=True)
    ]
    fig.legend(handles=keys, title=f"{plane.name}; {planes.CONVENTION}", ncols=min(len(keys), 6), **_BELOW)
    fig.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold")
    return fig


_BELOW = {
    "loc": "outside lower left", "alignment": "left", "fontsize": 8, "title_fontsize": 8,
    "handlelength": 1.2, "columnspacing": 1.2,
}  # fmt: skip


def _heading(name: str, columns: int) -> str:
    """A volume's name in lines that fit above its picture."""
    width = LINE_CHARACTERS // columns
    return "\n".join(fill(line, width, break_on_hyphens=False) for line in name.splitlines())


def _class_looks(classes: Sequence[str]) -> list[tuple[str, str]]:
    count = len(OUTLINES)
    return [(OUTLINES[i % count], LINE_STYLES[i // count % len(LINE_STYLES)]) for i in range(len(classes))]


def _outline(
    axis: Axes, plane: Plane, labels: NDArray, index: tuple[int, ...], looks: Sequence[tuple[str, str]]
) -> None:
    cut, extent = plane.cut(labels, index[plane.normal]), axis.images[0].get_extent()
    for label, (colour, line) in enumerate(looks, start=1):
        if (cut == label).any():
            inside = (cut == label).astype(float)
            axis.contour(
                inside, [0.5], colors=colour, linestyles=line, linewidths=0.9, origin="upper", extent=extent
            )
