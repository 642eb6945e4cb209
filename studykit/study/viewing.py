"""A volume looked at from a notebook; what draws is imported when it is drawn."""

from typing import Any

from numpy.typing import ArrayLike


def show_volume(volume: ArrayLike, spacing: tuple[float, float, float], title: str, **layers: Any) -> None:
    """Slices to leaf through in JupyterLab, three planes on a page.

    Args:
        volume: intensities (X, Y, Z), RAS+.
        spacing: voxel size in mm along X, Y, Z.
        title: what is shown.
        layers: ``labels``, ``hidden``, ``reconstruction`` and ``unit``, see
            :func:`studykit.figures.viewer.show_volume`, which raises what does not fit.
    """
    from studykit.figures import viewer

    viewer.show_volume(volume, spacing, title, **layers)
