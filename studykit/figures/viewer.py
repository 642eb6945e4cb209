"""A volume to look at: slices to leaf through where somebody looks, else a picture of three planes.

In a live notebook, and with the extra ``viewer`` (ipyniivue) installed, labels, hidden patches and a
reconstruction lie over the volume, each with a slider. Where nobody looks (papermill, nbval, a page on
GitHub) the same call draws a picture.
"""

import importlib.util
import os
from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from studykit.figures import planes
from studykit.figures.planes import PLANES, SUBTITLE, Spacing, as_volume, three_planes
from studykit.figures.reconstructions import HIDDEN, mask_picture, on_voxels
from studykit.figures.style import styled

LIVE = ("JPY_SESSION_NAME", "VSCODE_PID", "COLAB_RELEASE_TAG")
"""Variables that a kernel has when JupyterLab, VS Code or Colab started it for somebody."""

OVERLAYS = {"labels": ("random", 0.5), "hidden": ("blue", 0.6), "reconstruction": ("gray", 0.0)}
"""Colour map and opacity at first of what is laid over a volume."""


def somebody_looks() -> bool:
    """Whether a live notebook runs this, and the viewer is installed."""
    return any(os.environ.get(name) for name in LIVE) and importlib.util.find_spec("ipyniivue") is not None


def show_volume(
    volume: ArrayLike,
    spacing: Spacing,
    title: str,
    *,
    labels: ArrayLike | None = None,
    hidden: ArrayLike | None = None,
    reconstruction: ArrayLike | None = None,
    unit: str = "a.u.",
) -> None:
    """Show a volume in the notebook, to leaf through it or as a picture.

    Args:
        volume: intensities (X, Y, Z), RAS+.
        spacing: voxel size in mm along X, Y, Z.
        title: what is shown.
        labels: (X, Y, Z), 0 = background.
        hidden: bool (x, y, z) on a patch grid or on voxels, True = hidden.
        reconstruction: intensities (X, Y, Z).
        unit: unit of the intensities, such as ``HU``.

    Raises:
        ValueError: an array that is not 3-D or lies on another grid.
    """
    layers = {"labels": labels, "hidden": hidden, "reconstruction": reconstruction}
    layers = {name: own for name, own in layers.items() if own is not None}
    if somebody_looks():
        from IPython.display import display

        display(volume_viewer(volume, spacing, layers))
    else:
        volume_picture(volume, spacing, title, layers, unit)
        plt.show()


def show_masks(volume: ArrayLike, masks: Mapping[str, ArrayLike], spacing: Spacing, title: str) -> None:
    """Show a volume under each of its masks: one at a time by a slider, or all in a picture, a row each.

    Args:
        volume: intensities (X, Y, Z), RAS+.
        masks: name, such as its mask ratio → bool (x, y, z) on the patch grid, True = hidden.
        spacing: voxel size in mm along X, Y, Z.
        title: what is shown.

    Raises:
        ValueError: no mask, or one whose grid does not divide the volume's.
    """
    if somebody_looks():
        from IPython.display import display

        display(mask_slider(volume, masks, spacing, title))
    else:
        mask_picture(volume, masks, spacing, title)
        plt.show()


def volume_picture(
    volume: ArrayLike, spacing: Spacing, title: str, layers: Mapping[str, ArrayLike], unit: str = "a.u."
) -> Figure:
    """Three planes of a volume with its labels; below them those of its masked form and its reconstruction.

    Args:
        volume, spacing, title, unit: as for :func:`show_volume`.
        layers: ``labels``, ``hidden`` and ``reconstruction``, those that there are.

    Raises:
        ValueError: as there.
    """
    if not {"hidden", "reconstruction"} & set(layers):
        return three_planes(volume, spacing, title, layers.get("labels"), unit=unit)
    return _rows(as_volume(volume), spacing, title, layers, unit)


@styled
def _rows(
    volume: NDArray, spacing: Spacing, title: str, layers: Mapping[str, ArrayLike], unit: str
) -> Figure:
    window, index = planes.grey_window(volume), planes.middle(volume)
    rows = {"volume": volume}
    if "hidden" in layers:
        rows["masked"] = volume
    if "reconstruction" in layers:
        rows["reconstruction"] = as_volume(layers["reconstruction"], "reconstruction", like=volume)
    labels = as_volume(layers["labels"], "labels", like=volume) if "labels" in layers else None
    hidden = on_voxels(layers["hidden"], volume.shape) if "hidden" in layers else None
    fig, axes = planes.plane_axes(planes.extent_mm(volume, spacing), rows=len(rows))
    for row, (name, shown) in zip(axes, rows.items(), strict=True):
        for axis, plane in zip(row, PLANES, strict=True):
            planes.show(axis, plane, shown, index, spacing, window)
            if name == "masked":
                planes.paint(axis, plane, hidden, index, spacing, HIDDEN, opacity=0.9)
            elif name == "volume" and labels is not None:
                planes.paint_labels(axis, plane, labels, index, spacing)
        row[0].set_ylabel(name, fontsize=8.5)
    for axis, plane in zip(axes[0], PLANES, strict=True):
        axis.set_title(plane.name, **SUBTITLE)
    planes.scale_bar(axes[0, 0])
    planes.frame(fig, title, f"{planes.CONVENTION}; grey from {window[0]:.4g} to {window[1]:.4g} {unit}")
    return fig


def volume_viewer(volume: ArrayLike, spacing: Spacing, layers: Mapping[str, ArrayLike]) -> Any:
    """The volume in a viewer, with a slider for the opacity of each of its ``layers``; an ipywidgets box.

    Raises:
        ModuleNotFoundError: ipyniivue is not installed; the extra ``viewer`` brings it.
    """
    import ipywidgets
    from ipyniivue import NiiVue, Volume

    array = as_volume(volume)
    low, high = planes.grey_window(array)
    grey = {"colormap": "gray", "cal_min": low, "cal_max": high}
    shown = [Volume(name="volume.nii", data=_nifti(array, spacing), **grey)]
    for name, layer in layers.items():
        colours, opacity = OVERLAYS[name]
        own = on_voxels(layer, array.shape) if name == "hidden" else as_volume(layer, name, like=array)
        look = grey if name == "reconstruction" else {"colormap": colours, "cal_min": 0.5}
        shown.append(Volume(name=f"{name}.nii", data=_nifti(own, spacing), opacity=opacity, **look))
    viewer = NiiVue(height=420)
    viewer.load_volumes(shown)
    sliders = []
    for name, layer in zip(layers, shown[1:], strict=True):
        slider = ipywidgets.FloatSlider(layer.opacity, min=0, max=1, step=0.05, description=name)
        ipywidgets.link((slider, "value"), (layer, "opacity"))
        sliders.append(slider)
    return ipywidgets.VBox([viewer, *sliders])


def mask_slider(volume: ArrayLike, masks: Mapping[str, ArrayLike], spacing: Spacing, title: str) -> Any:
    """A slider over ``masks`` with the picture of the chosen one below it; an ipywidgets box.

    Raises:
        ModuleNotFoundError: as :func:`volume_viewer`.
    """
    import io

    import ipywidgets

    def drawn(name: str) -> bytes:
        fig, file = mask_picture(volume, {name: masks[name]}, spacing, title), io.BytesIO()
        fig.savefig(file, format="png")
        plt.close(fig)
        return file.getvalue()

    names = list(masks)
    slider = ipywidgets.SelectionSlider(options=names, description="mask", layout={"width": "32rem"})
    picture = ipywidgets.Image(value=drawn(names[0]), format="png", layout={"max_width": "100%"})
    slider.observe(lambda change: setattr(picture, "value", drawn(change["new"])), "value")
    return ipywidgets.VBox([slider, picture])


def _nifti(array: NDArray, spacing: Spacing) -> bytes:
    """A volume (X, Y, Z), RAS+, as the bytes of a NIfTI file."""
    from nibabel.nifti1 import Nifti1Image

    kind = np.float32 if array.dtype.kind == "f" else np.int16
    return Nifti1Image(np.ascontiguousarray(array, kind), np.diag([*spacing, 1.0])).to_bytes()
