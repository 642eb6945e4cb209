"""Headers of DICOM files by SimpleITK."""

import locale
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def keep_locale() -> Iterator[None]:
    """ITK leaves the process in the C locale, where Python reads text files as ASCII; undo that."""
    before = locale.setlocale(locale.LC_ALL)
    try:
        yield
    finally:
        locale.setlocale(locale.LC_ALL, before)


def read_header(file: Path) -> Any:
    """An ITK reader that holds the header of one file, for :func:`tag`; pixels are not read."""
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetFileName(str(file))
    reader.ReadImageInformation()
    return reader


def tag(header: Any, key: str) -> str:
    """Value of a tag such as ``"0020|0032"``, empty where the header has none."""
    return header.GetMetaData(key).strip() if header.HasMetaDataKey(key) else ""
