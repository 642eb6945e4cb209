"""Pictures of volumes in three planes: one volume, many subjects, and the drawing both share.

Every volume is an array (X, Y, Z) in RAS+ order: indices grow towards the patient's right, front and
head. Pictures follow the radiological convention: the patient's right is on the left of an axial or
coronal picture; the front is up in an axial picture and left in a sagittal one; the head is up.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import matplotlib.patheffects
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import ArrayLike, NDArray

from studykit.figures import planes
from studykit.figures.style import PALETTE, WIDTH, styled

CONVENTION = "radiological convention: R, the patient's right, is on the left"

OUTLINES = tuple(PALETTE[name] for name in ("orange", "sky", "vermilion", "green", "purple", "blue"))
"""Colours of classes that are outlined on a picture, in their order."""

SUBTITLE = {"fontsize": 8.5, "fontweight": "normal", "pad": 3}

Spacing = tuple[float, float, float]


@dataclass(frozen=True)
class Plane:
    """One anatomical plane: the axis it is cut across, the axes it shows, and its sides' letters."""

    name: str
    normal: int
    across: int
    up: int
    left: str
    right: str

    def cut(self, volume: NDArray, index: int) -> NDArray:
        """Slice ``index`` of (X, Y, Z) as a picture (rows, columns): row 0 on top, column 0 on the left."""
        return np.take(volume, index, axis=self.normal).T[::-1, ::-1]


AXIAL = Plane("axial", normal=2, across=0, up=1, left="R", right="L")
CORONAL = Plane("coronal", normal=1, across=0, up=2, left="R", right="L")
SAGITTAL = Plane("sagittal", normal=0, across=1, up=2, left="A", right="P")
PLANES = (AXIAL, CORONAL, SAGITTAL)


@styled
def three_planes(
    volume: ArrayLike,
    spacing: Spacing,
    title: str,
    mask: ArrayLike | None = None,
    window: tuple[float, float] | None = None,
    unit: str = "a.u.",
) -> Figure:
    """Axial, coronal and sagittal slice of a volume, with a scale bar in mm.

    Args:
        volume: intensities (X, Y, Z), RAS+.
        spacing: voxel size in mm along X, Y, Z.
        mask: labels (X, Y, Z), 0 = background, drawn in colour over the picture. The slices then go where
            most of the mask is, so that a small structure is seen; without one they go through the middle.
        window: darkest and brightest intensity; by default the 0.5th and 99.5th percentile.
        unit: unit of the intensities, such as ``HU``.

    Raises:
        ValueError: the volume is not 3-D, or the mask is on another grid.
    """
    volume = as_volume(volume)
    labels = None if mask is None else as_volume(mask, "mask", like=volume).astype(int)
    window = window or grey_window(volume)
    index = middle(volume) if labels is None or not labels.any() else _fullest(labels)
    fig, axes = plane_axes(extent_mm(volume, spacing))
    for axis, plane in zip(axes[0], PLANES, strict=True):
        show(axis, plane, volume, index, spacing, window)
        if labels is not None:
            paint_labels(axis, plane, labels, index, spacing)
        axis.set_title(f"{plane.name}, {'xyz'[plane.normal]} = {index[plane.normal]}", **SUBTITLE)
    scale_bar(axes[0, 0])
    frame(fig, title, f"{CONVENTION}; grey from {window[0]:.4g} to {window[1]:.4g} {unit}")
    return fig


@styled
def planes_grid(
    volumes: Mapping[str, ArrayLike], spacing: Spacing | Mapping[str, Spacing], title: str
) -> Figure:
    """Middle axial, coronal and sagittal slice of every subject, all to one scale in mm.

    Each subject has its own grey window (0.5th to 99.5th percentile).

    Args:
        volumes: subject's name → intensities (X, Y, Z), RAS+.
        spacing: voxel size in mm, one for all or one a subject.
        title: what the figure shows.

    Raises:
        ValueError: no volume at all, or one that is not 3-D.
    """
    if not volumes:
        raise ValueError("planes_grid got no volumes: pass a mapping from a subject's name to its array")
    arrays = {name: as_volume(volume, name) for name, volume in volumes.items()}
    spacings = spacing if isinstance(spacing, Mapping) else dict.fromkeys(arrays, spacing)
    extents = np.array([extent_mm(array, spacings[name]) for name, array in arrays.items()])
    blocks = 1 if len(arrays) < 4 else 2
    fig, axes = plane_axes(extents.max(axis=0), rows=-(-len(arrays) // blocks), blocks=blocks)
    strips = axes.reshape(-1, 3)
    for strip, (name, array) in zip(strips, arrays.items(), strict=False):
        for axis, plane in zip(strip, PLANES, strict=True):
            show(axis, plane, array, middle(array), spacings[name], grey_window(array))
            _widen(axis, plane, extents.max(axis=0))
        strip[0].set_title(name, **SUBTITLE)
    for axis in strips[len(arrays) :].flat:
        axis.set_axis_off()
    scale_bar(axes[0, 0])
    frame(fig, title, f"axial, coronal, sagittal; {CONVENTION}")
    return fig


def as_volume(value: ArrayLike, name: str = "volume", like: NDArray | None = None) -> NDArray:
    """``value`` as an array (X, Y, Z); ValueError where it is not 3-D or not on the grid of ``like``."""
    array = np.asarray(value)
    if array.ndim != 3:
        raise ValueError(
            f"{name} must be 3-D (X, Y, Z), got shape {array.shape}: drop batch and channel axes first"
        )
    if like is not None and array.shape != like.shape:
        raise ValueError(f"{name} has shape {array.shape}, the volume it belongs to {like.shape}")
    return array


def grey_window(volume: NDArray) -> tuple[float, float]:
    """Darkest and brightest intensity shown: the 0.5th and 99.5th percentile."""
    low, high = np.percentile(volume, (0.5, 99.5))
    return float(low), float(high)


def middle(volume: NDArray) -> tuple[int, ...]:
    return tuple(side // 2 for side in volume.shape)


def extent_mm(volume: NDArray, spacing: Spacing) -> NDArray:
    """Sides of a volume in mm, along X, Y, Z."""
    return np.array(volume.shape) * np.array(spacing, dtype=float)


def plane_axes(
    extent: NDArray, rows: int = 1, blocks: int = 1, planes: tuple[Plane, ...] = PLANES
) -> tuple[Figure, NDArray]:
    """A figure of ``rows`` × (``blocks`` · planes) axes whose sizes fit volumes of ``extent`` mm."""
    widths = [extent[plane.across] for plane in planes] * blocks
    tallest = max(extent[plane.up] for plane in planes)
    row = min((WIDTH - 0.3) * tallest / sum(widths), 3.0)
    fig, axes = plt.subplots(
        rows,
        len(widths),
        figsize=(WIDTH, rows * (row + 0.22) + 0.75),
        width_ratios=widths,
        squeeze=False,
        layout="constrained",
    )
    fig.get_layout_engine().set(w_pad=0.02, h_pad=0.03, wspace=0.01, hspace=0.01)
    return fig, axes


def show(
    axis: Axes,
    plane: Plane,
    volume: NDArray,
    index: tuple[int, ...],
    spacing: Spacing,
    window: tuple[float, float],
    colours: str = "gray",
) -> AxesImage:
    """Draw one slice in mm, with the letters of its sides."""
    image = axis.imshow(
        plane.cut(volume, index[plane.normal]),
        cmap=colours,
        vmin=window[0],
        vmax=window[1],
        extent=_extent(plane, volume, spacing),
    )
    axis.set(xticks=[], yticks=[], facecolor="black")
    axis.grid(False)
    axis.spines[:].set_visible(False)
    for x, letter, side in ((0.02, plane.left, "left"), (0.98, plane.right, "right")):
        axis.text(x, 0.5, letter, transform=axis.transAxes, ha=side, va="center", **_OUTLINED)
    return image


def paint(
    axis: Axes,
    plane: Plane,
    where: NDArray,
    index: tuple[int, ...],
    spacing: Spacing,
    colour: str,
    opacity: float = 0.45,
) -> None:
    """Lay a colour over the voxels of a slice where ``where`` (bool, X, Y, Z) is true."""
    cut = plane.cut(where, index[plane.normal])
    axis.imshow(cut[..., None] * np.array(to_rgba(colour, opacity)), extent=_extent(plane, where, spacing))


def paint_labels(axis: Axes, plane: Plane, labels: NDArray, index: tuple[int, ...], spacing: Spacing) -> None:
    """Lay a colour over each label (X, Y, Z) of a slice but 0."""
    for label, colour in zip(_present(labels), _label_colours(labels), strict=True):
        paint(axis, plane, labels == label, index, spacing, colour)


def scale_bar(axis: Axes) -> None:
    """A bar of a round number of mm, about a quarter of the picture, in its lower left corner."""
    (x0, x1), (y0, y1) = axis.get_xlim(), axis.get_ylim()
    width, height = x1 - x0, y1 - y0
    length = max((step for step in (1, 2, 5, 10, 20, 50, 100, 200) if step <= width / 3), default=width / 3)
    start, level = x0 + 0.05 * width, y0 + 0.05 * height
    axis.plot([start, start + length], [level, level], scalex=False, scaley=False, **_BAR)
    axis.text(start, level + 0.025 * height, f"{length:g} mm", va="bottom", **_OUTLINED)


def frame(fig: Figure, title: str, note: str) -> None:
    """Title on the top left; how to read the pictures in a line underneath."""
    fig.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold")
    fig.supxlabel(note, x=0.01, ha="left", fontsize=8)


_STROKE = [matplotlib.patheffects.withStroke(linewidth=2, foreground="black")]
_OUTLINED = {"color": "white", "fontsize": 8, "path_effects": _STROKE}
_BAR = {
    "color": "white",
    "linewidth": 2,
    "solid_capstyle": "butt",
    "path_effects": [matplotlib.patheffects.withStroke(linewidth=3.5, foreground="black")],
}


def _extent(plane: Plane, volume: NDArray, spacing: Spacing) -> tuple[float, float, float, float]:
    """Picture borders in mm (left, right, bottom, top), centred on 0 so that subjects share a scale."""
    sides = extent_mm(volume, spacing) / 2
    return -sides[plane.across], sides[plane.across], -sides[plane.up], sides[plane.up]


def _widen(axis: Axes, plane: Plane, extent: NDArray) -> None:
    axis.set_xlim(-extent[plane.across] / 2, extent[plane.across] / 2)
    axis.set_ylim(-extent[plane.up] / 2, extent[plane.up] / 2)


def _fullest(labels: NDArray) -> tuple[int, ...]:
    """Along each axis, the slice that holds most labelled voxels."""
    inside = labels != 0
    return tuple(int(inside.sum(axis=tuple({0, 1, 2} - {axis})).argmax()) for axis in range(3))


def _present(labels: NDArray) -> list[int]:
    return [int(label) for label in np.unique(labels) if label != 0]


def _label_colours(labels: NDArray) -> list[str]:
    bright = [PALETTE[name] for name in ("vermilion", "sky", "green", "orange", "purple", "blue")]
    return [bright[i % len(bright)] for i in range(len(_present(labels)))]


def slice_of_most(labels: ArrayLike, plane: Plane) -> tuple[int, ...]:
    """Where the plane shows most structures of (X, Y, Z), and among such where they are largest.

    The middle along the other axes, and along this one too where nothing is labelled.
    """
    labels = as_volume(labels, "labels")
    index = list(planes.middle(labels))
    cuts = np.moveaxis(labels, plane.normal, 0).reshape(labels.shape[plane.normal], -1)
    merit = [(len(np.unique(cut[cut > 0])), int((cut > 0).sum())) for cut in cuts]
    if max(merit)[0]:
        index[plane.normal] = merit.index(max(merit))
    return tuple(index)
