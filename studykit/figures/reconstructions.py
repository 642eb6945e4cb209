"""Pictures of masked image modelling: which patches are hidden, and how each arm rebuilds them."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from studykit.figures import planes
from studykit.figures.planes import AXIAL, PLANES, SUBTITLE, Plane, Spacing, as_volume
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

    fig, top, bottom, legend = _panel_axes(plane, planes.extent_mm(original, spacing), arms=len(rebuilt))
    for axis, name in zip(top[:2], ("original", "masked input"), strict=True):
        grey = planes.show(axis, plane, original, index, spacing, window)
        axis.set_title(name, **SUBTITLE)
    planes.paint(top[1], plane, on_voxels(mask, original.shape), index, spacing, HIDDEN, opacity=0.9)
    for above, below, arm in zip(top[2:], bottom, rebuilt, strict=True):
        planes.show(above, plane, rebuilt[arm], index, spacing, window)
        heat = planes.show(below, plane, gaps[arm], index, spacing, (0, worst or 1), "inferno")
        above.set_title(f"{arm}\n{errors[arm]}" if errors else arm, **SUBTITLE)
    for image, place, label, ends in (
        (grey, (0.06, 0.72, 0.84, 0.08), "intensity", "both"),
        (heat, (0.06, 0.26, 0.84, 0.08), "absolute error", "max"),
    ):
        bar = fig.colorbar(image, cax=legend.inset_axes(place), orientation="horizontal", extend=ends)
        bar.set_label(label, fontsize=8.5)
    planes.scale_bar(top[0])
    where = f"{plane.name}, {'xyz'[plane.normal]} = {index[plane.normal]}"
    planes.frame(fig, title, f"{where}; blue: hidden patches; {planes.CONVENTION}")
    return fig


def on_voxels(mask: ArrayLike, shape: tuple[int, ...]) -> NDArray:
    """A mask (x, y, z) on a patch grid as bool (X, Y, Z) on voxels; ValueError where it does not divide."""
    mask = as_volume(mask, "mask").astype(bool)
    if any(side % cells for side, cells in zip(shape, mask.shape, strict=True)):
        raise ValueError(f"a mask on a {mask.shape} grid does not divide a volume of {tuple(shape)} voxels")
    for axis, (side, cells) in enumerate(zip(shape, mask.shape, strict=True)):
        mask = mask.repeat(side // cells, axis=axis)
    return mask


def _panel_axes(plane: Plane, extent: NDArray, arms: int) -> tuple[Figure, list[Axes], list[Axes], Axes]:
    """Two rows: original, masked input and the arms above; colour bars and the arms' errors below."""
    columns = arms + 2
    cell = min((WIDTH - 0.2) / columns * extent[plane.up] / extent[plane.across], 3.0)
    fig = plt.figure(figsize=(WIDTH, 2 * cell + 1.2), layout="constrained")
    fig.get_layout_engine().set(w_pad=0.02, h_pad=0.03, wspace=0.01, hspace=0.02)
    grid = fig.add_gridspec(2, columns)
    legend = fig.add_subplot(grid[1, :2])
    legend.set_axis_off()
    top = [fig.add_subplot(grid[0, column]) for column in range(columns)]
    return fig, top, [fig.add_subplot(grid[1, column]) for column in range(2, columns)], legend
