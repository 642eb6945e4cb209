"""Where the slices of a DICOM volume lie: one grid of parallel, evenly spaced slices, or the reason why not.

Every slice is judged, not the first one alone. Slices that step aside evenly, as under a tilted gantry, give
a sheared grid. Source: DICOM PS3.3 C.7.6.2 (image plane) and C.7.6.16 (multi-frame functional groups).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from studykit.data.files.dicom_headers import frames, numbers
from studykit.data.files.errors import NoGrid

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
SLICE_TOLERANCE = 0.1
"""Of the distance of slices, how much one step may differ; of a pixel, how far a slice may lie aside."""
TURN_TOLERANCE = 1e-3
"""Largest difference of two direction cosines, about 0.06 degrees."""
MOST_TILT_DEGREES = 45.0


@dataclass(frozen=True)
class Plane:
    """One slice.

    Attributes:
        name: what messages call it.
        position: middle of the first pixel, LPS mm.
        along, down: unit vectors of a row and of a column, in the way that columns and rows count.
        spacing: distance of columns and of rows in mm.
        size: columns and rows.
    """

    name: str
    position: NDArray[np.float64]
    along: NDArray[np.float64]
    down: NDArray[np.float64]
    spacing: NDArray[np.float64]
    size: tuple[int, int]

    def matrix(self) -> NDArray[np.float64]:
        """3x3, from (column, row, 1) to RAS mm."""
        along, down = self.along * self.spacing[0], self.down * self.spacing[1]
        return LPS_TO_RAS[:3, :3] @ np.stack([along, down, self.position], axis=1)


def planes_of_files(names: Sequence[str], headers: Sequence[Any]) -> list[Plane]:
    """The planes of single-frame files, plain or with functional groups.

    Raises:
        NoGrid: one without position, orientation or pixel spacing.
    """
    return [_plane(name, header, 0) for name, header in zip(names, headers, strict=True)]


def planes_of_frames(header: Any) -> list[Plane]:
    """The planes of a multi-frame file, from its functional groups.

    Raises:
        NoGrid: a frame without position, orientation or pixel spacing.
    """
    return [_plane(f"frame {index + 1}", header, index) for index in range(frames(header))]


def functional_group(header: Any, frame: int, name: str) -> Any | None:
    """The item of a functional group for a frame: its own, or the one that all frames share."""
    own = header.get("PerFrameFunctionalGroupsSequence") or []
    shared = header.get("SharedFunctionalGroupsSequence") or []
    for group in (*own[frame : frame + 1], *shared[:1]):
        items = group.get(name)
        if items:
            return items[0]
    return None


def stack(planes: Sequence[Plane]) -> tuple[list[int], NDArray[np.float64]]:
    """The order of slices from first to last, and the 4x4 matrix from (column, row, slice, 1) to RAS mm.

    Raises:
        NoGrid: slices of several orientations, sizes or spacings, gaps or doubled slices, or slices that do
            not lie on a line.
    """
    refuse_mixed(planes)
    first = planes[0]
    normal = np.cross(first.along, first.down)
    positions = np.array([plane.position for plane in planes])
    order = np.argsort(positions @ normal, kind="stable").tolist()
    step = _step([planes[index] for index in order], positions[order], normal)
    matrix = np.eye(4)
    matrix[:3, 0], matrix[:3, 1] = first.along * first.spacing[0], first.down * first.spacing[1]
    matrix[:3, 2], matrix[:3, 3] = step, positions[order[0]]
    return order, LPS_TO_RAS @ matrix


def refuse_mixed(planes: Sequence[Plane]) -> None:
    """Make sure that slices have one orientation, one pixel spacing and one size.

    Raises:
        NoGrid: they have not; the message names the slice that differs.
    """
    for name, what in (("along", "orientation"), ("down", "orientation"), ("spacing", "pixel spacing")):
        values = np.array([getattr(plane, name) for plane in planes])
        usual = np.median(values, axis=0)
        off = np.abs(values - usual).max(axis=1)
        if off.max() > (TURN_TOLERANCE if what == "orientation" else TURN_TOLERANCE * usual.max()):
            odd = planes[int(off.argmax())]
            raise NoGrid(f"slices of several {what}s: {odd.name} has {_text(getattr(odd, name))}")
    sizes = [plane.size for plane in planes]
    usual = max(set(sizes), key=sizes.count)
    if len(set(sizes)) > 1:
        odd = next(plane for plane in planes if plane.size != usual)
        raise NoGrid(f"slices of several sizes: {odd.name} has {odd.size[0]} x {odd.size[1]} pixels")


def _step(planes: Sequence[Plane], positions: NDArray, normal: NDArray) -> NDArray[np.float64]:
    """From one slice to the next, LPS mm; the slices are in order."""
    if len(planes) == 1:
        return normal
    steps = np.diff(positions @ normal)
    usual = float(np.median(steps))
    if usual <= 0 or np.abs(steps - usual).max() > SLICE_TOLERANCE * usual:
        at = planes[1 + int(np.abs(steps - usual).argmax())]
        raise NoGrid(
            f"slices are missing or doubled: steps from {steps.min():.3g} to {steps.max():.3g} mm, the "
            f"oddest before {at.name}"
        )
    aside = positions - np.outer(positions @ normal, normal)
    place = (positions @ normal - positions[0] @ normal)[:, None]
    slope = np.median(np.diff(aside, axis=0) / np.diff(place, axis=0), axis=0)
    away = np.linalg.norm(aside - aside[0] - place * slope, axis=1)
    if away.max() > SLICE_TOLERANCE * min(planes[0].spacing):
        odd = planes[int(np.argmax(away > SLICE_TOLERANCE * min(planes[0].spacing)))]
        raise NoGrid(f"slices do not lie on a line: from {odd.name} on by {away.max():.3g} mm")
    tilt = np.degrees(np.arctan(np.linalg.norm(slope)))
    if tilt > MOST_TILT_DEGREES:
        raise NoGrid(f"slices step aside by {tilt:.0f} degrees")
    return (positions[-1] - positions[0]) / (len(positions) - 1)


def _size(header: Any) -> tuple[int, int]:
    return int(header.get("Columns") or 0), int(header.get("Rows") or 0)


def _plane(name: str, header: Any, frame: int) -> Plane:
    position, orientation, measures = (
        functional_group(header, frame, f"{group}Sequence") or header
        for group in ("PlanePosition", "PlaneOrientation", "PixelMeasures")
    )
    place, axes = numbers(position, "ImagePositionPatient"), numbers(orientation, "ImageOrientationPatient")
    spacing = numbers(measures, "PixelSpacing")[::-1]
    lengths = np.linalg.norm(axes.reshape(-1, 3), axis=1) if len(axes) == 6 else np.zeros(2)
    if len(place) != 3 or np.abs(lengths - 1).max() > 0.01 or not np.isfinite([*place, *axes]).all():
        raise NoGrid(f"{name} has no position or orientation (ImagePositionPatient)")
    if len(spacing) != 2 or not np.isfinite(spacing).all() or spacing.min() <= 0:
        given = f" but {_text(spacing)}" if len(spacing) else ""
        raise NoGrid(f"{name} has no pixel size (PixelSpacing){given}")
    return Plane(name, place, axes[:3], axes[3:], spacing, _size(header))


def _text(values: NDArray[np.float64]) -> str:
    return "(" + ", ".join(f"{value:.4g}" for value in values) + ")"
