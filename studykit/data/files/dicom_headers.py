"""Headers of DICOM files by pydicom: what a file holds, whose it is, and where its slice lies."""

import locale
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

TAGS = (
    "SOPClassUID SOPInstanceUID Modality PatientID SpecificCharacterSet StudyInstanceUID SeriesInstanceUID "
    "ImageType "
    "AcquisitionNumber EchoTime TemporalPositionIdentifier TriggerTime DiffusionBValue InstanceNumber "
    "Rows Columns NumberOfFrames SamplesPerPixel BitsAllocated ImagePositionPatient ImageOrientationPatient "
    "PixelSpacing RescaleSlope RescaleIntercept ModalityLUTSequence PhotometricInterpretation "
    "SharedFunctionalGroupsSequence PerFrameFunctionalGroupsSequence"
).split()

UNDEFINED = 0xFFFFFFFF
"""The length of an element that ends where it says so."""
NO_IMAGE = {
    "RTDOSE": "a radiotherapy dose",
    "RTSTRUCT": "contours of radiotherapy",
    "RTPLAN": "a radiotherapy plan",
    "SEG": "a segmentation",
    "SR": "a report",
    "PR": "a presentation state",
    "KO": "a list of key images",
    "REG": "a registration",
    "RWV": "a value mapping",
    "FID": "fiducials",
    "DOC": "a document",
    "ECG": "a curve",
}
"""Modality → what such a file holds in place of an image."""
_STORAGE = "1.2.840.10008.5.1.4.1.1."
NO_IMAGE_CLASSES = {
    f"{_STORAGE}{last}": what
    for last, what in {
        "66.4": "a segmentation", "66.5": "a segmentation", "66.7": "a segmentation",
        "30": "a parametric map", "67": "a value mapping", "66.1": "a registration",
        "66.3": "a registration", "66.2": "fiducials", "481.2": "a radiotherapy dose",
        "481.3": "contours of radiotherapy", "481.5": "a radiotherapy plan", "88.59": "a list of key images",
    }.items()
}  # fmt: skip
"""SOP class → the same, whatever modality the file states (DICOM PS3.4, annex B.5)."""


@contextmanager
def keep_locale() -> Iterator[None]:
    """ITK leaves the process in the C locale, where Python reads text files as ASCII; undo that."""
    before = locale.setlocale(locale.LC_ALL)
    try:
        yield
    finally:
        locale.setlocale(locale.LC_ALL, before)


def read_header(file: Path) -> Any | None:
    """The header of a file as a pydicom ``Dataset``, with or without a preamble; pixels are not read.

    None where the file is no DICOM file, or damaged before its pixels.
    """
    import pydicom

    try:
        with pydicom.config.disable_value_validation():
            header = pydicom.dcmread(file, stop_before_pixels=True, force=True, specific_tags=TAGS)
            for _ in header.iterall():  # values are read here, where what cannot be read is caught
                pass
            known = "SOPClassUID" in header or "SeriesInstanceUID" in header
            return header if known else None
    except Exception:  # damaged bytes make a parser fail in any way
        return None


def broken_structure(file: Path) -> str:
    """What in a file's elements ITK would lose itself in; empty where they are sound.

    ITK sets aside as much memory as an element claims to be long, or what it takes for that where it does
    not know the element's kind: gigabytes for a file of two kilobytes.
    """
    import pydicom
    from pydicom.dataelem import RawDataElement
    from pydicom.valuerep import VR

    try:
        header = pydicom.dcmread(file, stop_before_pixels=True, force=True)
    except Exception:  # damaged bytes make a parser fail in any way
        return "is damaged before its pixels"
    for element in (*header.file_meta.values(), *header.values()):
        if not isinstance(element, RawDataElement):
            continue
        if element.VR is not None and element.VR not in set(VR):
            return f"is damaged: {element.tag} is of the unknown kind {element.VR!r}"
        if element.value is not None and 0 <= len(element.value) < element.length < UNDEFINED:
            return f"is damaged: {element.tag} claims {element.length} bytes and has {len(element.value)}"
    return ""


def text(header: Any, name: str) -> str:
    """A value by its keyword as text, empty where the header has none."""
    value = header.get(name)
    return "" if value is None else str(value).strip()


def numbers(holder: Any, name: str) -> NDArray[np.float64]:
    """A value by its keyword as numbers, none where the header has none or they cannot be read."""
    try:
        value = holder.get(name)
        values = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
        return np.array([float(number) for number in values if number not in (None, "")])
    except (TypeError, ValueError):
        return np.empty(0)


def frames(header: Any) -> int:
    """Number of frames of a file."""
    count = numbers(header, "NumberOfFrames")
    return int(count[0]) if len(count) else 1


def no_image(header: Any) -> str:
    """What a file holds in place of an image, in words; empty where it is an image."""
    modality = text(header, "Modality")
    if modality in NO_IMAGE:
        return NO_IMAGE[modality]
    if what := NO_IMAGE_CLASSES.get(text(header, "SOPClassUID")):
        return what
    return "" if header.get("Rows") and header.get("Columns") else f"{modality or 'something'} without pixels"
