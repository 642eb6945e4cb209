"""Every file under a folder, sorted by what it may be: a volume, a DICOM file, or neither with a reason.

Links are followed, each folder is entered once. Nothing but a regular file is opened: a named pipe would wait
for ever.
"""

import os
import re
import stat
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from studykit.data.files.dicom_headers import read_header
from studykit.data.files.refs import Unused

VOLUME_SUFFIXES = (".nii.gz", ".nii", ".mha", ".mhd", ".nrrd", ".nhdr", ".mgz", ".mgh", ".mgh.gz")
NOT_READ = tuple(
    ".img .hdr .img.gz .hdr.gz .niigz .mnc2 .nii.bz2 .nii.xz .nii.zst .mnc .mnc.gz .par .rec .gipl "
    ".gipl.gz .vtk .vti .tif .tiff .npy .npz .h5 .hdf5 .mat .b2nd .zip .tar .tar.gz .tgz .rar .7z".split()
)
"""What may hold a volume, in a format that is not read here."""
_GOES_ON = re.compile(
    r"\.(?:nii|mgh|mgz|mha|mhd|nrrd|nhdr|dcm|dicom|ima)(?:\.gz)?+[. ~]"
    r"(?!json|md5|sha\w*|txt|xml|[ct]sv|ya?ml|dvc)",
    re.IGNORECASE,
)
"""A volume's suffix and something behind it that is no remark on the volume: ``a.nii.gz.part``."""
DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")
NO_PREAMBLE = re.compile(rb"[\x02\x08]\0.\0|\0[\x02\x08]\0.", re.DOTALL)
"""A first tag of group 2 or 8, in either order of bytes."""
TEXTS = tuple("readme license licence changes .json .tsv .csv .txt .md .xml .bval .bvec".split())
"""Ends of names of what is no folder of a subject's."""
MAGIC = 132
"""Bytes at the start of a DICOM file, the last four of them are ``DICM``."""


@dataclass
class Found:
    """What lies under a folder.

    Attributes:
        volumes: files with a suffix of :data:`VOLUME_SUFFIXES`.
        dicom: folder → its DICOM files.
        unused: what may have been meant as a volume and is none.
        others: suffix → number of files that are something else, such as tables and texts.
    """

    volumes: list[Path] = field(default_factory=list)
    dicom: dict[Path, list[Path]] = field(default_factory=lambda: defaultdict(list))
    unused: list[Unused] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)


def walk(root: Path) -> Found:
    """All that lies under ``root`` but hidden files (``.…``, and the ``._…`` that some systems leave)."""
    found, seen = Found(), set()

    def refuse(error: OSError) -> None:
        found.unused.append(Unused(Path(os.fsdecode(error.filename)), f"cannot be opened: {error.strerror}"))

    for parent, folders, names in os.walk(root, followlinks=True, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        here = os.stat(parent)
        if (here.st_dev, here.st_ino) in seen:
            folders.clear()
            continue
        seen.add((here.st_dev, here.st_ino))
        for name in sorted(names):
            if not name.startswith("."):
                _sort(Path(parent) / name, found)
    return found


def stem(path: Path) -> str:
    """File name without its volume suffix."""
    suffix = next((s for s in VOLUME_SUFFIXES if path.name.lower().endswith(s)), path.suffix)
    return path.name[: len(path.name) - len(suffix)]


def _sort(path: Path, found: Found) -> None:
    lower = path.name.lower()
    meant = lower.endswith((*VOLUME_SUFFIXES, *DICOM_SUFFIXES))
    try:
        regular = stat.S_ISREG(path.stat().st_mode)
        if regular and lower.endswith(VOLUME_SUFFIXES):
            found.volumes.append(path)
        elif regular and is_dicom(path):
            found.dicom[path.parent].append(path)
        elif regular and lower.endswith(NOT_READ):
            found.unused.append(Unused(path, "is of a format that is not read: convert it to NIfTI"))
        elif regular and _packed_or_cut(lower):
            reason = "has more behind a volume's suffix: unpack it, fetch it to its end, or rename it"
            found.unused.append(Unused(path, reason))
        elif regular or not meant:
            found.others[path.suffix.lower()] += 1
        else:
            found.unused.append(Unused(path, "is no regular file"))
    except OSError as error:
        broken = path.is_symlink()  # to a file or to a folder: what it was meant for cannot be told
        if meant or (broken and not lower.endswith(TEXTS)):
            reason = "is a broken link" if broken else f"cannot be opened: {error.strerror}"
            found.unused.append(Unused(path, reason))
        else:
            found.others[path.suffix.lower()] += 1


def _packed_or_cut(name: str) -> bool:
    return bool(_GOES_ON.search(name)) or name.endswith(
        tuple(f"{s}.gz" for s in (*DICOM_SUFFIXES, ".nrrd", ".mha"))
    )


def is_dicom(path: Path) -> bool:
    """Whether a regular file is DICOM: by its suffix, by the mark after its preamble, or by its header."""
    if path.suffix.lower() in DICOM_SUFFIXES:
        return True
    with open(path, "rb") as file:
        start = file.read(MAGIC)
    if start[MAGIC - 4 :] == b"DICM":
        return True
    named = path.suffix == "" or path.suffix[1:].isdigit() or NO_PREAMBLE.match(start)
    return bool(named) and read_header(path) is not None
