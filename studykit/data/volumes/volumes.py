"""A volume in canonical orientation, refused where it cannot be used, and its preparation for training.

Everywhere in the kit an array's axes are (X, Y, Z): X runs to the subject's right, Y to anterior, Z to
superior (RAS+). An oblique volume keeps its own axes, named after the nearest anatomical ones; its affine
keeps the tilt.
"""

from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from studykit.data.files.errors import BadVolume
from studykit.data.files.formats import decode
from studykit.data.files.refs import VolumeRef
from studykit.data.volumes.foreground import bounding_box, find_foreground
from studykit.data.volumes.grids import resample, resample_labels, spacing

PREPARATION_VERSION = 1
"""Raised when the same file and settings give other voxels than before."""

LABELS_VERSION = 2
"""Raised when the same label map and settings give other labels than before; images are as they were."""

SPACING_LIMITS_MM = (0.005, 50.0)
CT_AIR_HU = -300.0
MOST_HU = 2.0**15
"""What no scanner states: more are HU below 0 that lost their sign."""
HU_MEAN, HU_DEVIATION = -21.14, 578.02
"""In HU, of the dental CBCT that BertsWin's released code standardises (arXiv 2512.21769)."""

INTENSITIES = ("auto", "ct-window", "mr-percentile", "hu")


@dataclass(frozen=True)
class Volume:
    """A decoded volume.

    Attributes:
        array: (X, Y, Z) float32, RAS+, in the file's units (HU for CT).
        affine: 4x4, voxel index (x, y, z, 1) to RAS mm.
        path: what messages call it.
    """

    array: NDArray[np.float32]
    affine: NDArray[np.float64]
    path: str

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel size along X, Y, Z."""
        return spacing(self.affine)


@dataclass(frozen=True)
class VolumeSettings:
    """How volumes are prepared; part of every run's identity.

    Attributes:
        spacing_mm: voxel size after resampling, one number or (X, Y, Z).
        intensity: ``"ct-window"`` clips to ``hu_window``, ``"mr-percentile"`` to ``percentiles``; both then
            have the foreground's mean 0 and standard deviation 1. ``"auto"`` follows the modality. ``"hu"``,
            for CT alone, clips to ``hu_window`` and scales all volumes alike:
            HU = intensity · ``HU_DEVIATION`` + ``HU_MEAN``.
        hu_window: lower and upper limit in HU.
        percentiles: lower and upper percentile over the cropped volume.
        crop: whether to cut the volume to the foreground's box.
        margin_mm: what is kept around that box.
    """

    spacing_mm: float | tuple[float, float, float] = 2.0
    intensity: Literal["auto", "ct-window", "mr-percentile", "hu"] = "auto"
    hu_window: tuple[float, float] = (-1011.0, 1992.0)
    percentiles: tuple[float, float] = (0.5, 99.5)
    crop: bool = True
    margin_mm: float = 4.0

    def __post_init__(self) -> None:
        if self.intensity not in INTENSITIES:
            raise ValueError(f"unknown intensity {self.intensity!r}; known: {', '.join(INTENSITIES)}")
        low, high = SPACING_LIMITS_MM
        sizes = self.target_mm
        if len(sizes) != 3 or not all(_is_number(v) and low <= v <= high for v in sizes):
            raise ValueError(f"spacing_mm must lie in {low} to {high} mm, got {self.spacing_mm!r}")
        for name, least, most in (("hu_window", -np.inf, np.inf), ("percentiles", 0, 100)):
            limits = getattr(self, name)
            pair = isinstance(limits, tuple | list) and len(limits) == 2 and all(map(_is_number, limits))
            if not pair or not least <= limits[0] < limits[1] <= most:
                within = f" within {least} to {most}" if np.isfinite(most) else ""
                raise ValueError(f"{name} must be two numbers that rise{within}, got {limits!r}")
        if not _is_number(self.margin_mm) or not 0 <= self.margin_mm < np.inf:
            raise ValueError(f"margin_mm must be a number from 0, got {self.margin_mm!r}")
        if not isinstance(self.crop, bool):
            raise ValueError(f"crop must be True or False, got {self.crop!r}")

    def identity(self) -> dict[str, Any]:
        """Plain values for hashing; 2 and 2.0 are alike, and so are one spacing and the same one thrice."""
        return {
            "spacing_mm": [float(value) for value in self.target_mm],
            "intensity": self.intensity,
            "hu_window": [float(value) for value in self.hu_window],
            "percentiles": [float(value) for value in self.percentiles],
            "crop": self.crop,
            "margin_mm": float(self.margin_mm),
        }

    @property
    def target_mm(self) -> tuple[float, float, float]:
        """Voxel size along X, Y, Z."""
        value = self.spacing_mm
        return tuple(value) if isinstance(value, tuple | list) else (value, value, value)


@dataclass(frozen=True)
class PreparedArrays:
    """A prepared volume: ``image`` float32, ``foreground`` bool, ``labels`` int or None, all (X, Y, Z).

    ``doubt`` is what speaks against its being an image at all.
    """

    image: NDArray[np.float32]
    foreground: NDArray[np.bool_]
    labels: NDArray[np.integer[Any]] | None
    affine: NDArray[np.float64]
    intensity: str
    doubt: str = ""


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def read_volume(ref: VolumeRef | str | Path) -> Volume:
    """Read, orient and check an image, given as it lies or by the path of its file.

    A 4-D file with a single frame counts as 3-D.

    Raises:
        BadVolume: not 3-D, empty, constant, NaN or infinite voxels, a broken affine, or a file that cannot
            be read.
    """
    ref = VolumeRef(Path(ref)) if isinstance(ref, str | Path) else ref
    seen, _ = look_at_volume(ref)
    return Volume(np.ascontiguousarray(seen.array, dtype=np.float32), seen.affine, ref.name)


def look_at_volume(ref: VolumeRef) -> tuple[Volume, tuple[float, float]]:
    """An image in the file's own type of numbers, and its smallest and largest value.

    Without another copy in memory: to be looked at, not to be trained on. Raises what :func:`read_volume`
    raises.
    """
    array, affine = checked(ref)
    array, affine = oriented(array, affine, affine)
    # A NaN is both the smallest and the largest value.
    with np.errstate(over="ignore"):
        low, high = np.float32(array.min()), np.float32(array.max())
    if not np.isfinite([low, high]).all():
        with np.errstate(over="ignore"):
            bad = int(array.size - np.isfinite(array.astype(np.float32)).sum())
        raise BadVolume(ref.name, f"has {bad} NaN or infinite voxels of {array.size}")
    if low == high:
        raise BadVolume(ref.name, f"is constant: every voxel is {low:g}")
    return Volume(array, affine, ref.name), (float(low), float(high))


def prepare_arrays(
    volume: Volume, labels: NDArray[np.int32] | None, modality: str, settings: VolumeSettings
) -> PreparedArrays:
    """Resample to ``settings.spacing_mm``, cut to the foreground, window and standardise the intensities.

    Raises:
        BadVolume: nothing is left of the intensities inside their window, ``"hu"`` is asked of a volume that
            is not CT, or a CT's HU have lost their sign.
    """
    import nibabel as nib

    refuse_lost_signs(volume.path, modality, float(volume.array.max()))
    intensity = settings.intensity
    if intensity == "auto":
        intensity = "ct-window" if is_ct(volume.array, modality) else "mr-percentile"
    if intensity == "hu" and not is_ct(volume.array, modality):
        raise BadVolume(
            volume.path,
            f"is not CT (modality {modality!r}), so it has no Hounsfield units for intensity 'hu': "
            "use 'mr-percentile', or 'auto', which follows the modality",
        )
    image, affine = resample(volume.array, volume.affine, settings.target_mm)
    if labels is not None:
        labels = resample_labels(labels, volume.affine, settings.target_mm)
    foreground = find_foreground(image, None if intensity == "mr-percentile" else CT_AIR_HU)
    if settings.crop:
        margin = [int(np.ceil(settings.margin_mm / size)) for size in settings.target_mm]
        box = bounding_box(foreground, margin)
        affine = affine @ nib.affines.from_matvec(np.eye(3), [side.start for side in box])
        image, foreground = image[box], foreground[box]
        labels = None if labels is None else labels[box]
    window = settings.hu_window
    if intensity == "mr-percentile":
        window = tuple(np.percentile(image, settings.percentiles))
    image = np.clip(image, *window)
    inside = image[foreground]
    mean, deviation = inside.mean(dtype=np.float64), float(inside.std(dtype=np.float64))
    if deviation <= 0:
        raise BadVolume(volume.path, f"is constant inside its intensity window {as_text(window)}")
    if intensity == "hu":
        mean, deviation = np.float64(HU_MEAN), HU_DEVIATION
    image = ((image - mean) / deviation).astype(np.float32)
    if labels is not None and np.abs(labels).max() <= np.iinfo(np.int16).max:
        labels = labels.astype(np.int16)
    return PreparedArrays(image, foreground, labels, affine, intensity)


def refuse_lost_signs(path: str, modality: str, highest: float) -> None:
    """Raise BadVolume where a CT has values that only HU below 0, stored without a sign, can have."""
    if modality.upper() == "CT" and highest > MOST_HU:
        raise BadVolume(
            path,
            f"is CT and has values up to {highest:.0f}: HU below 0 seem to have lost their sign, as in "
            "unsigned 16 bits; write it anew with signed numbers",
        )


def is_ct(array: NDArray[np.float32], modality: str) -> bool:
    """Whether an image is CT: by its modality, or where that is ``"unknown"`` by air at about -1000 HU."""
    if modality != "unknown":
        return modality.upper() == "CT"
    return bool(np.percentile(array, 1) < -500 and np.percentile(array, 99.9) < 5000)


def oriented(
    array: NDArray[Any], affine: NDArray[np.float64], axes: NDArray[np.float64]
) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """An array with its axes in the order and direction that ``axes``, a 4x4 matrix, takes them to."""
    import nibabel as nib

    orientation = nib.orientations.io_orientation(axes)
    affine = affine @ nib.orientations.inv_ornt_aff(orientation, array.shape)
    return nib.orientations.apply_orientation(array, orientation), affine


def checked(ref: VolumeRef) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Decoded voxels in stored order with everything about the grid checked."""
    array, affine = decode(ref)
    while array.ndim > 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.size == 0:
        raise BadVolume(ref.name, f"is empty: shape {array.shape}")
    if array.ndim != 3 or min(array.shape) < 2:
        raise BadVolume(ref.name, f"is not 3-D: shape {array.shape}")
    if not np.isfinite(affine).all():
        raise BadVolume(ref.name, "has NaN or infinite numbers in its affine")
    sizes = spacing(affine)
    low, high = SPACING_LIMITS_MM
    if not all(low <= size <= high for size in sizes):
        raise BadVolume(
            ref.name, f"has a voxel size of {as_text(sizes)} mm: broken affine, or not in millimetres?"
        )
    if abs(np.linalg.det(affine[:3, :3] / sizes)) < 1e-3:
        raise BadVolume(ref.name, "has a singular affine: two of its axes point the same way")
    return array, affine


def as_text(values: Any) -> str:
    return "(" + ", ".join(f"{float(value):.4g}" for value in values) + ")"
