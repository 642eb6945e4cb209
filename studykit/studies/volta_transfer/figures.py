"""Figures of the study of VolTA-3D: what its students see, token maps, calibration, another scanner."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from studykit.figures import planes
from studykit.figures.planes import CORONAL, SUBTITLE, Plane, Spacing, as_volume
from studykit.figures.style import WIDTH, arm_style, styled


@styled
def slices_grid(
    rows: Mapping[str, Mapping[str, ArrayLike]], spacing: Spacing, title: str, plane: Plane = CORONAL
) -> Figure:
    """The middle slice of volumes, a row for each first name and a picture for each second.

    Args:
        rows: name → name → intensities (X, Y, Z), RAS+; a row shares its grey window with its first picture.
        spacing: voxel size in mm along X, Y, Z.
        title: what the figure shows.

    Raises:
        ValueError: no picture.
    """
    if not rows or not all(rows.values()):
        raise ValueError("slices_grid got no pictures: pass a mapping from rows to pictures")
    most = max(map(len, rows.values()))
    size = (WIDTH, 0.5 + WIDTH / max(most, 4) * len(rows))
    fig, axes = plt.subplots(len(rows), most, figsize=size, layout="constrained", squeeze=False)
    for strip, (name, own) in zip(axes, rows.items(), strict=True):
        window = planes.grey_window(as_volume(next(iter(own.values()))))
        for axis, (words, volume) in zip(strip, own.items(), strict=False):
            array = as_volume(volume, words)
            planes.show(axis, plane, array, planes.middle(array), spacing, window)
            axis.set_title(words, **SUBTITLE)
        for axis in strip[len(own) :]:
            axis.set_axis_off()
        strip[0].set_ylabel(name, fontsize=8.5)
    planes.frame(fig, title, f"{plane.name}; {planes.CONVENTION}")
    return fig


@styled
def token_maps(
    image: ArrayLike,
    maps: Mapping[str, Mapping[str, ArrayLike]],
    spacing: Spacing,
    title: str,
    index: Sequence[int],
    plane: Plane = CORONAL,
) -> Figure:
    """A slice of a head and, a row for each encoder, maps on its patches, each over its own range.

    Args:
        image: intensities (X, Y, Z), RAS+.
        maps: encoder → what is mapped → (x, y, z) on the patch grid.
        spacing: voxel size in mm along X, Y, Z.
        title: what the figure shows.
        index: voxel (X, Y, Z) whose slice is shown; a cross marks it.

    Raises:
        ValueError: no map.
    """
    if not maps or not all(maps.values()):
        raise ValueError("token_maps got no maps: pass a mapping from encoders to maps")
    image, most = as_volume(image), 1 + max(map(len, maps.values()))
    fig, axes = plt.subplots(
        len(maps), most, figsize=(WIDTH, 0.6 + WIDTH / most * len(maps)), layout="constrained", squeeze=False
    )
    height, width = (image.shape[axis] * spacing[axis] for axis in (plane.up, plane.across))
    ends = (0, width, height, 0)
    cross = [(image.shape[axis] - 0.5 - index[axis]) * spacing[axis] for axis in (plane.across, plane.up)]
    for strip, (encoder, own) in zip(axes, maps.items(), strict=True):
        picture = plane.cut(image, index[plane.normal])
        low, high = planes.grey_window(image)
        strip[0].imshow(picture, cmap="gray", vmin=low, vmax=high, extent=ends)
        for axis, (words, values) in zip(strip[1:], own.items(), strict=False):
            grid = as_volume(values, words)
            fine = np.kron(grid, np.ones([n // m for n, m in zip(image.shape, grid.shape, strict=True)]))
            shown = axis.imshow(plane.cut(fine, index[plane.normal]), cmap="cividis", extent=ends)
            axis.set_title(words, **SUBTITLE)
            fig.colorbar(shown, ax=axis, shrink=0.7, pad=0.02).ax.tick_params(labelsize=7)
        for axis in strip:
            axis.plot(*cross, "+", color="white", markersize=7, markeredgewidth=1.2)
            axis.set_xticks([])
            axis.set_yticks([])
        strip[0].set_ylabel(encoder, fontsize=8.5)
    planes.frame(fig, title, f"{plane.name}; the cross marks the patch that others are held against")
    return fig


@styled
def reliability(
    panels: Mapping[str, Mapping[str, tuple[ArrayLike, ArrayLike]]], title: str, bins: int = 6
) -> Figure:
    """Share of positives against the mean score, by bins of equal number; calibrated is on the diagonal.

    Args:
        panels: task → arm → scores and labels of all seeds and subjects together.
        title: what the figure shows.

    Raises:
        ValueError: no panel.
    """
    if not panels:
        raise ValueError("reliability got nothing to draw: pass a mapping from tasks to arms")
    fig, axes = plt.subplots(
        1, len(panels), figsize=(WIDTH, 3.1), sharey=True, layout="constrained", squeeze=False
    )
    looks = arm_style(list(dict.fromkeys(arm for own in panels.values() for arm in own)))
    for axis, (task, own) in zip(axes[0], panels.items(), strict=True):
        axis.plot([0, 1], [0, 1], color="black", linewidth=0.8)
        for arm, (scores, labels) in own.items():
            scores, labels = np.asarray(scores, float), np.asarray(labels, float)
            parts = np.array_split(np.argsort(scores, kind="stable"), bins)
            points = [(scores[part].mean(), labels[part].mean()) for part in parts if part.size]
            axis.plot(*zip(*points, strict=True), label=arm, **looks[arm])
        axis.set_title(task, **SUBTITLE)
        axis.set_xlabel("mean score of a bin")
    axes[0, 0].set_ylabel("share that is of the class")
    axes[0, -1].legend(fontsize=7.5)
    fig.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold")
    return fig
