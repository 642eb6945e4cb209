"""What the text headers of MetaImage and NRRD state: voxel size, its unit, and a separate data file.

ITK takes a voxel size of 1 where a header has none, and passes over units: what is not stated is refused.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from studykit.data.files.errors import NoGrid

HEADER_BYTES = 1 << 16
META_SUFFIXES, NRRD_SUFFIXES = (".mha", ".mhd"), (".nrrd", ".nhdr")
MM = {
    "mm": 1.0, "millimeter": 1.0, "millimetre": 1.0,
    "um": 1e-3, "µm": 1e-3, "μm": 1e-3, "micron": 1e-3, "micrometer": 1e-3, "micrometre": 1e-3,
    "nm": 1e-6, "cm": 10.0, "centimeter": 10.0, "centimetre": 10.0, "m": 1000.0, "meter": 1000.0,
    "metre": 1000.0,
}  # fmt: skip
"""Unit of length, in the singular → millimetres."""
META_KEYS = {
    key.lower(): key
    for key in (
        "NDims DimSize ElementSpacing ElementSize Offset Position Origin TransformMatrix Rotation "
        "Orientation AnatomicalOrientation ElementType ElementNumberOfChannels ElementDataFile HeaderSize "
        "CompressedData BinaryData BinaryDataByteOrderMSB ElementByteOrderMSB"
    ).split()
}
"""Keys of MetaImage on which the voxels and their places depend: ITK passes over them in another spelling."""
_PLACES = {
    True: ("offset", "position", "origin", "transformmatrix", "rotation", "orientation"),
    False: ("spaceorigin", "spacedirections"),
}
"""What else must be finite, for MetaImage and for NRRD."""
SPACES = {
    "right-anterior-superior", "ras", "left-anterior-superior", "las", "left-posterior-superior", "lps",
    "right-anterior-superior-time", "rast", "left-anterior-superior-time", "last",
    "left-posterior-superior-time", "lpst",
}  # fmt: skip
"""NRRD spaces whose axes are anatomical."""


def read_fields(path: Path) -> dict[str, str]:
    """Field → value of a header, names in lower case and without spaces."""
    return {key.replace(" ", "").lower(): value for key, value in _lines(path)}


def misspelt(path: Path) -> str:
    """The first key of a MetaImage header that ITK passes over for its spelling alone; empty without one."""
    keys = [key for key, _ in _lines(path)] if path.suffix.lower() in META_SUFFIXES else []
    odd = (key for key in keys if META_KEYS.get(key.lower(), key) not in keys)
    return next(odd, "")


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    """Key and value of each line of a header, up to where the voxels may begin."""
    meta = path.suffix.lower() in META_SUFFIXES
    with open(path, "rb") as file:
        lines = file.read(HEADER_BYTES).decode("utf-8", "replace").splitlines()
    for line in lines:
        key, found, value = line.partition("=" if meta else ":")
        if found and not line.startswith("#"):
            yield key.strip(), value.strip()
        if (meta and key.strip().lower() == "elementdatafile") or (not meta and not line.strip()):
            return


def detached_data(path: Path) -> list[Path]:
    """The separate data file that a header names, resolved against its folder.

    A header that spreads its data over several files gives a path that does not exist.
    """
    meta = path.suffix.lower() in META_SUFFIXES
    if not meta and path.suffix.lower() not in NRRD_SUFFIXES:
        return []
    name = read_fields(path).get("elementdatafile" if meta else "datafile", "")
    return [] if not name or (meta and name.upper() == "LOCAL") else [path.parent / name]


def millimetres(path: Path) -> float:
    """What a header's lengths are multiplied by to be millimetres.

    Raises:
        NoGrid: no voxel size along three axes, one that is no positive number, an unknown unit, a space whose
            axes are not anatomical, a place that is no number, or a key in another spelling than ITK's.
    """
    if key := misspelt(path):
        raise NoGrid(f"its header has {key!r}, which ITK passes over: it must be {META_KEYS[key.lower()]!r}")
    fields = read_fields(path)
    for name in _PLACES[path.suffix.lower() in META_SUFFIXES]:
        stated = re.sub(r"[(),]|\bnone\b", " ", fields.get(name, ""))
        if not np.isfinite(_numbers(stated)).all():
            raise NoGrid(f"its header states the {name} {fields[name]!r}, which are no numbers")
    if path.suffix.lower() in META_SUFFIXES:
        sizes = _numbers(fields.get("elementspacing") or fields.get("elementsize") or "")
        unit = fields.get("distanceunits", "?").lower()
        units = [] if unit == "?" else [unit]
    else:
        vectors = re.findall(r"\(([^)]*)\)", fields.get("spacedirections", ""))
        sizes = [float(np.linalg.norm(_numbers(vector))) for vector in vectors]
        sizes = sizes or _numbers(fields.get("spacings", ""))
        quoted = fields.get("spaceunits") or fields.get("units") or ""
        units = [unit for unit in re.findall(r'"([^"]*)"', quoted) if unit.strip()][:3]
        space = fields.get("space", "").lower()
        if space and space not in SPACES:
            raise NoGrid(f"its space {space!r} does not say which way its axes run in the body")
    if len(sizes) < 3 or not all(np.isfinite(size) and size > 0 for size in sizes[:3]):
        raise NoGrid(f"its header states no voxel size along three axes, but {_text(sizes)}")
    factors = {MM.get(_singular(unit.strip().lower())) for unit in units}
    if None in factors or len(factors) > 1:
        raise NoGrid(f"its voxel size has the unit {', '.join(units)}; known: {', '.join(MM)}")
    return factors.pop() if factors else 1.0


def _singular(unit: str) -> str:
    """A unit that is written out without its plural's end: ``ms`` is none of length."""
    return unit.removesuffix("s") if len(unit) > len("mms") else unit


def _numbers(text: str) -> list[float]:
    """Numbers apart by spaces or commas; NaN for what is none."""
    found = []
    for word in re.split(r"[\s,]+", text.strip()):
        try:
            found.append(float(word))
        except ValueError:
            found.append(float("nan"))
    return found if text.strip() else []


def _text(sizes: list[float]) -> str:
    return "(" + ", ".join(f"{size:g}" for size in sizes) + ")" if sizes else "none"
