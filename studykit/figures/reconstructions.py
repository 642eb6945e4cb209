"""Pictures of masked image modelling: which patches are hidden, and how each arm rebuilds them."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike, NDArray

from studykit.figures import planes
from studykit.figures.planes import AXIAL, CORONAL, PLANES, SUBTITLE, Plane, Spacing, as_volume
from studykit.figures.style import PALETTE, WIDTH, styled

HIDDEN = PALETTE["sky"]


@styled
def mask_picture(volume: ArrayLike, masks: Mapping[str, ArrayLike], spacing: Spacing, title: str) -> Figure:
    """What a model sees: three planes of a crop with its hidden patches painted over, one row a mask.

    Args:
        volume: intensities (X, Y, Z), RAS+.
        masks: name → bool (x, y, z) on the patch grid, True = hidden; its sides divide the volume's.
        spacing: voxel size in mm along X, Y, Z.
        title: what the figure shows.

    Raises:
        ValueError: no mask, or one whose grid does not divide the volume's.
    """
    if not masks:
        raise ValueError("mask_picture got no masks: pass a mapping from a mask's name to its patch grid")
    volume = as_volume(volume)
    window, index = planes.grey_window(volume), planes.middle(volume)
    fig, axes = planes.plane_axes(planes.extent_mm(volume, spacing), rows=len(masks))
    for row, (name, mask) in zip(axes, masks.items(), strict=True):
        hidden = on_voxels(mask, volume.shape)
        for axis, plane in zip(row, PLANES, strict=True):
            planes.show(axis, plane, volume, index, spacing, window)
            planes.paint(axis, plane, hidden, index, spacing, HIDDEN, opacity=0.9)
        row[0].set_ylabel(f"{name}\n{hidden.mean():.0%} hidden", fontsize=8.5)
    for axis, plane in zip(axes[0], PLANES, strict=True):
        axis.set_title(plane.name, **SUBTITLE)
    planes.scale_bar(axes[0, 0])
    planes.frame(fig, title, f"blue: hidden patches; {planes.CONVENTION}")
    return fig


@styled
def reconstruction_panel(
    original: ArrayLike,
    mask: ArrayLike,
    reconstructions: Mapping[str, ArrayLike],
    spacing: Spacing,
    title: str,
    errors: Mapping[str, str] | None = None,
    plane: Plane = AXIAL,
    whole: ArrayLike | None = None,
) -> Figure:
    """One held-out crop as the arms rebuild it: original, masked input, reconstructions, absolute errors.

    All pictures share one grey scale and all error maps one colour scale, so arms compare by eye. Visible
    patches are shown as ``reconstructions`` has them: paste the original there if the loss skips them.

    Args:
        original: intensities (X, Y, Z), RAS+.
        mask: bool (x, y, z) on the patch grid or on voxels, True = hidden.
        reconstructions: arm → intensities (X, Y, Z).
        spacing: voxel size in mm along X, Y, Z.
        title: what the figure shows.
        errors: arm → its error in words, such as ``MSE 0.21``, printed under its name.
        plane: which plane is shown, through the crop's middle.
        whole: the volume (X, Y, Z) that the crop was cut from. Where the crop is a part of it, it is shown
            with the crop framed, so that one sees what anatomy that is.

    Raises:
        ValueError: no arm, an arm on another grid, or a mask whose grid does not divide the crop's.
    """
    if not reconstructions:
        raise ValueError("reconstruction_panel got no reconstructions: pass a mapping from arm to array")
    original = as_volume(original)
    rebuilt = {arm: as_volume(volume, arm, like=original) for arm, volume in reconstructions.items()}
    gaps = {arm: np.abs(volume - original) for arm, volume in rebuilt.items()}
    window, index = planes.grey_window(original), planes.middle(original)
    worst = max(float(np.percentile(plane.cut(gap, index[plane.normal]), 99.5)) for gap in gaps.values())

    corner = None if whole is None else place_of(original, as_volume(whole, "whole"))
    extent = planes.extent_mm(original, spacing)
    fig, tiles, bars = _panel_axes(plane, extent, tiles=1 + len(rebuilt) + (corner is not None))
    if corner is not None:
        for axis, other in zip(tiles.pop(0), (plane, CORONAL if plane != CORONAL else AXIAL), strict=True):
            _framed(axis, other, np.asarray(whole), corner, original.shape, spacing)
    grey = planes.show(tiles[0][0], plane, original, index, spacing, window)
    planes.show(tiles[0][1], plane, original, index, spacing, window)
    planes.paint(tiles[0][1], plane, on_voxels(mask, original.shape), index, spacing, HIDDEN, opacity=0.9)
    for axis, name in zip(tiles[0], ("original", "masked input"), strict=True):
        axis.set_title(name, **SUBTITLE)
    for (above, below), arm in zip(tiles[1:], rebuilt, strict=True):
        planes.show(above, plane, rebuilt[arm], index, spacing, window)
        heat = planes.show(below, plane, gaps[arm], index, spacing, (0, worst or 1), "inferno")
        above.set_title(f"{arm}\n{errors[arm]}" if errors else arm, **SUBTITLE)
        below.set_title("absolute error", **SUBTITLE)
    scales = ((grey, "intensity", "both"), (heat, "absolute error", "max"))
    for bar, (image, label, ends) in zip(bars, scales, strict=True):
        fig.colorbar(image, cax=bar, orientation="horizontal", extend=ends).set_label(label, fontsize=8.5)
    planes.scale_bar(tiles[0][0])
    where = f"{plane.name}, {'xyz'[plane.normal]} = {index[plane.normal]}"
    planes.frame(fig, title, f"{where}; blue: hidden patches; {planes.CONVENTION}")
    return fig


def place_of(crop: NDArray, whole: NDArray) -> tuple[int, ...] | None:
    """Where a crop lies in a volume it was cut from: its lowest corner, or None where it is no part of it.

    >>> volume = np.arange(60).reshape(3, 4, 5)
    >>> place_of(volume[1:3, 2:4, 0:2], volume)
    (1, 2, 0)
    """
    landmark = np.unravel_index(np.argmax(crop), crop.shape)
    for voxel in np.argwhere(whole == crop[landmark]):
        corner = tuple(int(at - inside) for at, inside in zip(voxel, landmark, strict=True))
        part = tuple(slice(start, start + side) for start, side in zip(corner, crop.shape, strict=True))
        if min(corner) >= 0 and np.array_equal(whole[part], crop):
            return corner
    return None


def _framed(
    axis: Axes,
    plane: Plane,
    whole: NDArray,
    corner: tuple[int, ...],
    shape: tuple[int, ...],
    spacing: Spacing,
) -> None:
    """A slice of the volume through the crop's middle, with the crop framed."""
    index = tuple(start + side // 2 for start, side in zip(corner, shape, strict=True))
    planes.show(axis, plane, whole, index, spacing, planes.grey_window(whole))
    middle = planes.extent_mm(whole, spacing) / 2
    low = np.array(corner) * spacing - middle
    size = np.array(shape) * spacing
    right = -low[plane.across] - size[plane.across]
    frame = Rectangle((right, low[plane.up]), size[plane.across], size[plane.up], fill=False)
    frame.set(edgecolor=PALETTE["orange"], linewidth=1.6)
    axis.add_patch(frame)
    axis.set_title(f"where it lies, {plane.name}", **SUBTITLE)


def on_voxels(mask: ArrayLike, shape: tuple[int, ...]) -> NDArray:
    """A mask (x, y, z) on a patch grid as bool (X, Y, Z) on voxels; ValueError where it does not divide."""
    mask = as_volume(mask, "mask").astype(bool)
    if any(side % cells for side, cells in zip(shape, mask.shape, strict=True)):
        raise ValueError(f"a mask on a {mask.shape} grid does not divide a volume of {tuple(shape)} voxels")
    for axis, (side, cells) in enumerate(zip(shape, mask.shape, strict=True)):
        mask = mask.repeat(side // cells, axis=axis)
    return mask


def _panel_axes(
    plane: Plane, extent: NDArray, tiles: int
) -> tuple[Figure, list[tuple[Axes, Axes]], tuple[Axes, Axes]]:
    """Tiles of two pictures, one above the other, at most four in a row; and axes for two colour bars."""
    columns = tiles if tiles <= 4 else 3 if tiles <= 6 else 4
    blocks = -(-tiles // columns)
    cell = min((WIDTH - 0.2) / columns * extent[plane.up] / extent[plane.across], 2.6 if blocks == 1 else 2.0)
    fig = plt.figure(figsize=(WIDTH, blocks * (2 * cell + 0.55) + 0.95), layout="constrained")
    fig.get_layout_engine().set(w_pad=0.02, h_pad=0.03, wspace=0.01, hspace=0.02)
    heights = [cell] * (2 * blocks) + [0.1]
    grid = fig.add_gridspec(2 * blocks + 1, 2 * columns, height_ratios=heights)
    pairs = []
    for place in range(tiles):
        row, column = 2 * (place // columns), 2 * (place % columns)
        above, below = (fig.add_subplot(grid[row + k, column : column + 2]) for k in (0, 1))
        pairs.append((above, below))
    bars = tuple(fig.add_subplot(part) for part in (grid[-1, :columns], grid[-1, columns:]))
    return fig, pairs, bars
