"""File formats into arrays: NIfTI and MGH by nibabel, MetaImage, NRRD and DICOM series by SimpleITK.

Untrusted bytes are data: nothing is unpickled and no header leads out of its folder.
"""

import gzip
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from studykit.data.files.dicom_headers import keep_locale, read_header, tag
from studykit.data.files.refs import RawGrid, VolumeRef, detached_data

Decoded = tuple[NDArray[Any], NDArray[np.float64]]

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
SLICE_TOLERANCE = 0.1


class BadVolume(ValueError):
    """A volume that cannot be used: ``path`` says which, ``reason`` why."""

    def __init__(self, path: str, reason: str):
        self.path, self.reason = path, reason
        super().__init__(path, reason)

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


def decode(ref: VolumeRef) -> Decoded:
    """Voxels (i, j, k[, …]) in stored order and the 4x4 matrix that takes (i, j, k, 1) to RAS millimetres.

    Raises:
        BadVolume: unknown format, not a readable file of its format, truncated, or voxels that are no real
            numbers.
    """
    try:
        if ref.is_series:
            with ref.series_files() as files:
                array, affine = _read_series(ref.name, files)
        elif ref.raw is not None:
            array, affine = _read_raw(ref.read_bytes(), ref.raw), np.eye(4)
        elif ref.suffix in _BYTES_READERS:
            array, affine = _BYTES_READERS[ref.suffix](ref.read_bytes())
        elif ref.suffix in (".mha", ".mhd", ".nrrd", ".nhdr"):
            array, affine = _read_itk(ref)
        else:
            raise BadVolume(
                ref.name, f"unknown format {ref.suffix!r}; known: NIfTI, MGH/MGZ, MHA/MHD, NRRD, DICOM"
            )
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadVolume(ref.name, f"truncated or damaged: {error}") from error
    except BadVolume:
        raise
    except Exception as error:  # a damaged file makes a decoder fail in any way
        raise BadVolume(ref.name, f"cannot be read: {_first_line(error)}") from error
    if array.dtype.kind not in "buif":
        raise BadVolume(ref.name, f"voxels are {array.dtype}, not real numbers (a colour or complex image?)")
    if ref.frame is not None:
        if array.ndim != 4 or ref.frame >= array.shape[3]:
            raise BadVolume(ref.name, f"has shape {array.shape}, no frame {ref.frame}")
        array = array[..., ref.frame]
    return array, affine if ref.affine is None else np.asarray(ref.affine, dtype=np.float64)


@keep_locale()
def dicom_series(folder: Path) -> list[tuple[tuple[str, ...], str, str]]:
    """Every DICOM series of one folder: its file names, PatientID and modality (CT, MR, …)."""
    import SimpleITK as sitk

    found = []
    for series in sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder)):
        files = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), series)
        header = read_header(Path(files[0]))
        names = tuple(Path(file).name for file in files)
        found.append((names, tag(header, "0010|0020"), tag(header, "0008|0060")))
    return found


def _read_nifti(data: bytes) -> Decoded:
    import nibabel as nib

    size = {int.from_bytes(data[:4], order) for order in ("little", "big")}
    if 348 in size:
        image = nib.Nifti1Image.from_bytes(data)
    elif 540 in size:
        image = nib.Nifti2Image.from_bytes(data)
    else:
        raise ValueError("no NIfTI header")
    return _proxy(image)


def _read_mgh(data: bytes) -> Decoded:
    import nibabel as nib

    return _proxy(nib.MGHImage.from_bytes(data))


def _proxy(image: Any) -> Decoded:
    if image.get_data_dtype().fields is not None:
        return np.empty(image.shape, image.get_data_dtype()), image.affine
    return np.asanyarray(image.dataobj), np.asarray(image.affine, dtype=np.float64)


_BYTES_READERS: dict[str, Callable[[bytes], Decoded]] = {
    ".nii": _read_nifti,
    ".nii.gz": lambda data: _read_nifti(gzip.decompress(data)),
    ".mgh": _read_mgh,
    ".mgz": lambda data: _read_mgh(gzip.decompress(data)),
    ".mgh.gz": lambda data: _read_mgh(gzip.decompress(data)),
}


def _read_raw(data: bytes, grid: RawGrid) -> NDArray[np.float32]:
    count = int(np.prod(grid.shape))
    stored = np.frombuffer(data, dtype=grid.dtype, count=count, offset=grid.offset)
    return stored.reshape(grid.shape).astype(np.float32) * np.float32(grid.slope) + np.float32(grid.intercept)


@keep_locale()
def _read_itk(ref: VolumeRef) -> Decoded:
    import SimpleITK as sitk

    if ref.archive_sha256 is not None:
        raise BadVolume(ref.name, "this format is read from a folder, not from an archive")
    for path in detached_data(ref.path):
        if not path.resolve().is_relative_to(ref.path.parent.resolve()):
            raise BadVolume(ref.name, f"its header names {path.name!r} outside its folder")
        if not path.is_file():
            raise BadVolume(ref.name, f"its data file {path.name!r} is missing, or is more than one file")
    return _from_itk(sitk.ReadImage(str(ref.path)))


@keep_locale()
def _read_series(name: str, files: list[Path]) -> Decoded:
    """A DICOM series in order of slice position; gaps and doubled slices are refused."""
    import SimpleITK as sitk

    if len(files) > 1:
        headers = {file: read_header(file) for file in files}
        if not all(tag(header, "0020|0032") and tag(header, "0020|0037") for header in headers.values()):
            raise BadVolume(name, "a slice has no position or orientation (ImagePositionPatient)")
        axes = np.array(tag(headers[files[0]], "0020|0037").split("\\"), dtype=float)
        normal = np.cross(axes[:3], axes[3:])
        places = {
            f: float(normal @ np.array(tag(h, "0020|0032").split("\\"), float)) for f, h in headers.items()
        }
        files = sorted(files, key=places.__getitem__)
        steps = np.diff([places[file] for file in files])
        step = float(np.median(steps))
        if step <= 0 or np.abs(steps - step).max() > SLICE_TOLERANCE * step:
            raise BadVolume(
                name, f"slices are missing or doubled: steps from {steps.min():.3g} to {steps.max():.3g} mm"
            )
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames([str(file) for file in files])
    warned = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        return _from_itk(reader.Execute())
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(warned)


def _from_itk(image: Any) -> Decoded:
    import SimpleITK as sitk

    axes = image.GetDimension()
    if image.GetNumberOfComponentsPerPixel() != 1:
        raise ValueError(f"has {image.GetNumberOfComponentsPerPixel()} components a voxel")
    array = np.transpose(sitk.GetArrayFromImage(image))
    affine = np.eye(4)
    if axes >= 3:
        direction = np.array(image.GetDirection()).reshape(axes, axes)[:3, :3]
        affine[:3, :3] = direction * np.array(image.GetSpacing()[:3])
        affine[:3, 3] = image.GetOrigin()[:3]
    return array, LPS_TO_RAS @ affine


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:200]
