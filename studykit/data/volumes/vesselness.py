"""How much a voxel looks like a bright vessel: scikit-image's ridge filters at scales in millimetres."""

import json
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from studykit.data.files.digests import text_sha256
from studykit.data.volumes.cache import PreparedVolume, cached_arrays
from studykit.data.volumes.grids import spacing
from studykit.data.volumes.volumes import PreparedArrays
from studykit.home import data_dir

VESSELNESS_VERSION = 1
"""Raised when the same volume gives other values than before."""

FILTERS = ("sato", "frangi")
ISOTROPY = 0.05
"""Largest relative difference of the spacings along the axes: the filters' scales are the same along all."""


def vesselness(
    image: NDArray[np.floating],
    spacing_mm: float | Sequence[float],
    scales_mm: Sequence[float] = (0.5, 1.0, 2.0),
    ridge_filter: str = "sato",
) -> NDArray[np.float32]:
    """Largest response over the scales to bright tubes, divided by its maximum over the volume.

    A flat sheet does not answer, the bends of one such as the skull do. Takes about 1.5 s a scale and million
    voxels, so it is computed once a volume, not for each crop.

    Args:
        image: (X, Y, Z), any intensities; vessels are brighter than what is around them.
        spacing_mm: voxel size, one number or (X, Y, Z), the same along all axes.
        scales_mm: standard deviations of the Gaussians: radii of the vessels looked for, roughly.
        ridge_filter: "sato" (Sato et al. 1998) or "frangi" (Frangi et al. 1998).

    Returns:
        float32 (X, Y, Z) in [0, 1]; all 0 where there is no ridge at all.

    Raises:
        ValueError: unknown filter, an image that is not 3-D or not finite, anisotropic voxels, or a scale
            that is not positive.
    """
    if ridge_filter not in FILTERS:
        raise ValueError(f"Unknown ridge filter {ridge_filter!r}. Known: {', '.join(FILTERS)}.")
    if image.ndim != 3 or not np.isfinite(image).all():
        raise ValueError(f"vesselness takes a finite 3-D volume, got shape {image.shape}")
    spacing = np.broadcast_to(np.asarray(spacing_mm, dtype=float), 3)
    if spacing.min() <= 0 or spacing.max() > (1 + ISOTROPY) * spacing.min():
        raise ValueError(
            f"vesselness takes isotropic voxels, got {spacing.tolist()} mm: resample the volume first"
        )
    if not len(scales_mm) or min(scales_mm) <= 0:
        raise ValueError(f"scales_mm must be one or several positive numbers, got {tuple(scales_mm)}")
    from skimage import filters

    image = image.astype(np.float32)
    if ridge_filter == "frangi":
        # Its thresholds are absolute numbers: without this, the unit of intensity would decide.
        image = (image - image.mean(dtype=np.float64)) / max(image.std(dtype=np.float64), 1e-30)
    response = getattr(filters, ridge_filter)(
        image.astype(np.float32), sigmas=[scale / spacing.mean() for scale in scales_mm], black_ridges=False
    )
    return (response / max(response.max(), np.finfo(np.float32).tiny)).astype(np.float32)


def vesselness_of(volume: PreparedVolume) -> NDArray[np.float32]:
    """:func:`vesselness` of a prepared volume, (X, Y, Z): worked out once, mapped from the cache then."""
    key = text_sha256(json.dumps(["vesselness", VESSELNESS_VERSION, volume.key]))[:32]

    def work_out() -> PreparedArrays:
        image = vesselness(np.asarray(volume.array), spacing(volume.affine))
        return PreparedArrays(image, np.asarray(volume.foreground), None, volume.affine, "vesselness")

    return cached_arrays(data_dir(), key, work_out).image
