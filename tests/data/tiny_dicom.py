"""DICOM files as scanners and archives leave them, each odd in the way a test asks for."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, ExplicitVRLittleEndian

MARKED = (6, 3, 9)
"""Slice, row, column of the brightest voxel of :func:`voxels`."""
HU = 1976


def voxels(count: int = 8, rows: int = 14, columns: int = 12) -> np.ndarray:
    """Stored numbers (slice, row, column) of a CT, with one voxel of :data:`HU` HU."""
    array = np.random.default_rng(0).integers(1000, 1100, (count, rows, columns)).astype(np.uint16)
    array[:, :2] = 0
    array[MARKED] = HU + 1024
    return array


def evenly(count: int = 8, step: Sequence[float] = (0, 0, 5)) -> list[tuple[float, ...]]:
    """Positions of slices."""
    return [tuple(float(i * s) for s in step) for i in range(count)]


def write_file(path: Path, pixels: np.ndarray, **tags: Any) -> Path:
    """One file; a tag that is None is left out. ``mark=False`` leaves out preamble and file meta."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mark = tags.pop("mark", True)
    header = {
        "SOPClassUID": CTImageStorage, "SOPInstanceUID": f"1.2.3.{abs(hash(str(path))) % 10**8}",
        "Modality": "CT", "PatientID": "P1", "StudyInstanceUID": "1.2.3.8", "SeriesInstanceUID": "1.2.3.9",
        "ImagePositionPatient": [0, 0, 0], "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "PixelSpacing": [1, 1], "RescaleSlope": "1", "RescaleIntercept": "-1024",
    } | tags  # fmt: skip
    data = FileDataset(str(path), Dataset(), file_meta=FileMetaDataset(), preamble=bytes(128))
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = header["SOPClassUID"]
    data.file_meta.MediaStorageSOPInstanceUID = header["SOPInstanceUID"]
    for name, value in header.items():
        if value is not None:
            setattr(data, name, value)
    data.Rows, data.Columns = pixels.shape[-2:]
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit, data.PixelRepresentation = 15, 0
    if pixels.ndim == 3:
        data.NumberOfFrames = len(pixels)
    data.PixelData = pixels.astype("<u2").tobytes()
    if mark:
        data.save_as(path, enforce_file_format=True)
    else:
        pydicom.dcmwrite(path, Dataset(data), implicit_vr=False, little_endian=True)
    return path


def write_slices(
    folder: Path,
    array: np.ndarray | None = None,
    positions: Sequence[Sequence[float]] | None = None,
    own: dict[int, dict[str, Any]] | None = None,
    **tags: Any,
) -> Path:
    """A series of single slices; ``own`` has the tags of some of them, by number."""
    array = voxels() if array is None else array
    positions = evenly(len(array)) if positions is None else positions
    for number, (pixels, position) in enumerate(zip(array, positions, strict=True)):
        given = {"ImagePositionPatient": list(position)} | tags | (own or {}).get(number, {})
        write_file(folder / f"{number:03d}.dcm", pixels, **given)
    return folder


def write_frames(
    path: Path, array: np.ndarray, heights: Sequence[float], scales: Sequence[tuple[float, float]] = ()
) -> Path:
    """One enhanced CT file: frames at some heights, each with its own slope and intercept where given."""
    shared, per_frame = Dataset(), []
    shared.PlaneOrientationSequence = _item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])
    shared.PixelMeasuresSequence = _item(SliceThickness=5, PixelSpacing=[2, 3])
    if not scales:
        shared.PixelValueTransformationSequence = _scale(1, -1024)
    for index, height in enumerate(heights):
        frame = Dataset()
        frame.PlanePositionSequence = _item(ImagePositionPatient=[10, 20, height])
        if scales:
            frame.PixelValueTransformationSequence = _scale(*scales[index])
        per_frame.append(frame)
    return write_file(
        path,
        array,
        SOPClassUID=EnhancedCTImageStorage,
        SharedFunctionalGroupsSequence=Items([shared]),
        PerFrameFunctionalGroupsSequence=Items(per_frame),
        **dict.fromkeys(
            "ImagePositionPatient ImageOrientationPatient PixelSpacing RescaleSlope RescaleIntercept".split()
        ),
    )


def _item(**values: Any) -> Items:
    item = Dataset()
    for name, value in values.items():
        setattr(item, name, value)
    return Items([item])


def _scale(slope: float, intercept: float) -> Items:
    return _item(RescaleSlope=str(slope), RescaleIntercept=str(intercept), RescaleType="HU")
