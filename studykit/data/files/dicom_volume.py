"""One volume from DICOM files: single slices, or one file of many frames, each in its own units and place."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from studykit.data.files.dicom_grid import (
    functional_group,
    planes_of_files,
    planes_of_frames,
    stack,
)
from studykit.data.files.dicom_headers import (
    broken_structure,
    frames,
    keep_locale,
    no_image,
    numbers,
    read_header,
    text,
)
from studykit.data.files.errors import NoGrid, Unusable
from studykit.data.files.text import plain_path


@keep_locale()
def read_series(files: Sequence[Path]) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Voxels (column, row, slice) in the files' units (HU for CT), and the matrix to RAS mm.

    Raises:
        NoGrid: files that are no one volume.
        Unusable: a file that cannot be read.
    """
    headers = []
    for file in files:
        header = read_header(file)
        if header is None:
            raise Unusable(damage(file))
        if what := no_image(header):
            raise Unusable(f"{file.name} is {what}, no image")
        if what := _unknown_units(header) or _miscounted(file, header):
            raise Unusable(f"{file.name} {what}")
        headers.append(header)
    if len(files) == 1 and frames(headers[0]) > 1:
        return _read_frames(files[0], headers[0])
    odd = next((f.name for f, h in zip(files, headers, strict=True) if frames(h) > 1), "")
    if odd:
        raise NoGrid(f"{odd} has many frames and lies among single slices")
    order, affine = stack(planes_of_files([file.name for file in files], headers))
    slices = [_slice(files[index], headers[index]) for index in order]
    return np.stack(slices, axis=2), affine


def damage(file: Path) -> str:
    """What is wrong with a file that has no readable header."""
    size = file.stat().st_size
    return f"{file.name} is " + ("no readable DICOM file, or damaged" if size else "empty")


def _read_frames(file: Path, header: Any) -> tuple[NDArray[Any], NDArray[np.float64]]:
    order, affine = stack(planes_of_frames(header))
    scales = [_scale(header, index) for index in range(frames(header))]
    if len(set(scales)) == 1 and not _inverted(header):
        return _pixels(file)[..., order], affine
    stored = _stored(file)
    return np.stack(
        [stored[index].T * scales[index][0] + scales[index][1] for index in order], axis=2
    ), affine


def _slice(file: Path, header: Any) -> NDArray[Any]:
    """(column, row) of a file of one frame, rescaled as the file says."""
    if not _inverted(header) and not functional_group(header, 0, "PixelValueTransformationSequence"):
        return _pixels(file)[..., 0]
    slope, intercept = _scale(header, 0)
    return _stored(file).reshape(header.Rows, header.Columns).T * slope + intercept


def _inverted(header: Any) -> bool:
    """Whether small numbers are shown bright: ITK then turns the numbers themselves round."""
    return text(header, "PhotometricInterpretation") == "MONOCHROME1"


def _unknown_units(header: Any) -> str:
    """Why a file's numbers cannot be taken to the units of its modality; empty where they can."""
    if "ModalityLUTSequence" in header:
        return "takes its units from a table (ModalityLUTSequence), which is not read: convert it to NIfTI"
    for frame in range(max(1, len(header.get("PerFrameFunctionalGroupsSequence") or []))):
        group = functional_group(header, frame, "PixelValueTransformationSequence") or header
        for name in ("RescaleIntercept", "RescaleSlope"):
            value = numbers(group, name)
            if text(header, "Modality") == "CT" and not len(value):
                return f"is CT and states no {name}: its numbers need not be Hounsfield units"
            if len(value) and (not np.isfinite(value).all() or (name == "RescaleSlope" and not value[0])):
                return f"states the {name} {value[0]:g}, which gives no units"
    return ""


def _miscounted(file: Path, header: Any) -> str:
    """Why a file's number of frames cannot be right; empty where nothing speaks against it."""
    count, groups = frames(header), len(header.get("PerFrameFunctionalGroupsSequence") or [])
    if groups and groups != count:
        return f"states {count} frames and describes {groups}"
    size = _pixel_bytes(header)
    more = size and file.stat().st_size >= (count + 1) * size
    stored = _stored_bytes(file) // size if more else 0
    return f"states {count} frames and has the pixels of {stored}" if stored > count else ""


def _pixel_bytes(header: Any) -> int:
    """Bytes of a frame; 0 where its header does not say."""
    bits, samples = numbers(header, "BitsAllocated"), numbers(header, "SamplesPerPixel")
    whole = int(bits[0]) // 8 * int(samples[0]) if len(bits) and len(samples) else 0
    return int(header.Rows) * int(header.Columns) * whole


def _stored_bytes(file: Path) -> int:
    """Bytes of a file's pixels as they are stored."""
    import pydicom

    return len(pydicom.dcmread(file, force=True, specific_tags=["PixelData"]).get("PixelData") or b"")


def _scale(header: Any, frame: int) -> tuple[float, float]:
    """Slope and intercept of a frame: its own, that of all frames, or none."""
    group = functional_group(header, frame, "PixelValueTransformationSequence")
    slope, intercept = (numbers(group or header, f"Rescale{name}") for name in ("Slope", "Intercept"))
    return (float(slope[0]) if len(slope) else 1.0, float(intercept[0]) if len(intercept) else 0.0)


def _pixels(file: Path) -> NDArray[Any]:
    """(column, row, frame) of one file, rescaled as the file says."""
    import SimpleITK as sitk

    if what := broken_structure(file):
        raise Unusable(f"{file.name} {what}")
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    warned = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        with plain_path(file) as path:
            reader.SetFileName(str(path))
            image = reader.Execute()
    except RuntimeError as error:
        raise Unusable(f"{file.name}: its pixels cannot be read, they are cut short or damaged") from error
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(warned)
    if image.GetNumberOfComponentsPerPixel() != 1:
        raise Unusable(f"{file.name} has {image.GetNumberOfComponentsPerPixel()} components a voxel")
    array = np.transpose(sitk.GetArrayFromImage(image))
    return array[..., None] if array.ndim == 2 else array


def _stored(file: Path) -> NDArray[Any]:
    """([frame,] row, column) as stored, where ITK would not give that."""
    import pydicom

    try:
        return pydicom.dcmread(file, force=True).pixel_array
    except (NotImplementedError, RuntimeError) as error:
        raise Unusable(
            f"{file.name} is MONOCHROME1, or its frames have scales of their own, and is compressed in a way "
            f"that only pydicom's plugins read ({error})"
        ) from error
