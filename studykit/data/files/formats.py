"""File formats into arrays: NIfTI and MGH by nibabel, MetaImage, NRRD and DICOM series by SimpleITK.

Untrusted bytes are data: nothing is unpickled and no header leads out of its folder.
"""

import gzip
import io
import math
import zlib
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from studykit.data.files.archives import ArchiveStandIn
from studykit.data.files.dicom_grid import LPS_TO_RAS
from studykit.data.files.dicom_headers import keep_locale
from studykit.data.files.dicom_volume import read_series
from studykit.data.files.errors import BadVolume, NoGrid, Unusable
from studykit.data.files.itk_headers import META_SUFFIXES, NRRD_SUFFIXES, detached_data, millimetres
from studykit.data.files.refs import RawGrid, VolumeRef
from studykit.data.files.stand_ins import stand_in
from studykit.data.files.text import plain_path

MGH_FLAG = (28, 30)
"""Where a header of MGH says whether it states a grid."""
NIFTI_HEADER_BYTES = 540
"""Of NIfTI-2, the longer one."""
MOST_SCALED = 0.2
"""By how much the voxel sizes of a header's two matrices may differ: a template's space scales a head."""
MOST_BEHIND = 2**24
"""Bytes that may lie behind the voxels of a packed file."""
PIECE_BYTES = 2**18
"""Unpacked at once: few enough to stay near the processor."""
MOST_OF_A_BYTE = 1032
"""Bytes that one byte of gzip unpacks to at most (RFC 1951: 258 bytes for two bits)."""
NIFTI_MM = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 1e-3}
"""Code of a NIfTI header's unit of length → millimetres: not stated, metre, millimetre, micrometre."""

Decoded = tuple[NDArray[Any], NDArray[np.float64]]


def decode(ref: VolumeRef) -> Decoded:
    """Voxels (i, j, k[, …]) in stored order and the 4x4 matrix that takes (i, j, k, 1) to RAS millimetres.

    Raises:
        BadVolume: unknown format, not a readable file of its format, truncated, or voxels that are no real
            numbers.
    """
    try:
        if ref.is_series:
            with ref.series_files() as files:
                array, affine = read_series(files)
        elif ref.raw is not None:
            array, affine = _read_raw(ref.read_bytes(), ref.raw), np.eye(4)
        elif ref.suffix in _STREAM_READERS:
            with ref.stream() as file:
                unpacked, most = _unpacked(file)
                array, affine = _STREAM_READERS[ref.suffix](unpacked, most)
                _to_its_end(unpacked)
        elif ref.suffix in (*META_SUFFIXES, *NRRD_SUFFIXES):
            array, affine = _read_itk(ref)
        else:
            raise BadVolume(
                ref.name, f"unknown format {ref.suffix!r}; known: NIfTI, MGH/MGZ, MHA/MHD, NRRD, DICOM"
            )
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadVolume(ref.name, f"truncated or damaged: {error}") from error
    except (BadVolume, ArchiveStandIn):
        raise
    except Unusable as error:
        raise BadVolume(ref.name, stand_in(ref) or str(error)) from error
    except Exception as error:  # a damaged file makes a decoder fail in any way
        raise BadVolume(ref.name, stand_in(ref) or f"cannot be read: {_first_line(error)}") from error
    if array.dtype.kind not in "buif":
        raise BadVolume(ref.name, f"voxels are {array.dtype}, not real numbers (a colour or complex image?)")
    if ref.frame is not None:
        if array.ndim != 4 or ref.frame >= array.shape[3]:
            raise BadVolume(ref.name, f"has shape {array.shape}, no frame {ref.frame}")
        array = array[..., ref.frame]
    return array, affine if ref.affine is None else np.asarray(ref.affine, dtype=np.float64)


def _read_nifti(file: BinaryIO, most: int) -> Decoded:
    import nibabel as nib

    header = _nifti_header(file.read(NIFTI_HEADER_BYTES))
    if not header["vox_offset"] >= header.single_vox_offset:
        raise Unusable(f"its header says that voxels begin at byte {header['vox_offset']:g}, inside of it")
    sizes = np.asarray(header["pixdim"][1:4], dtype=np.float64)
    if header["sform_code"] <= 0 and not (np.isfinite(sizes).all() and (sizes != 0).all()):
        raise NoGrid(f"its header states no voxel size along three axes, but {sizes.tolist()}")
    header.check_fix()
    array = _voxels(nib.arrayproxy.ArrayProxy(file, header), header, most)
    unit = NIFTI_MM.get(int(header["xyzt_units"]) % 8)
    if unit is None:
        raise NoGrid(f"its voxel size has the unknown unit {int(header['xyzt_units']) % 8}")
    return array, np.diag([unit, unit, unit, 1.0]) @ header.get_best_affine()


def doubts(ref: VolumeRef) -> str:
    """What a NIfTI header leaves open of its grid; empty where nothing, and for other formats."""
    if not ref.suffix.startswith(".nii") or ref.affine is not None:
        return ""
    with ref.stream() as file:
        header = _nifti_header(_unpacked(file)[0].read(NIFTI_HEADER_BYTES))
    if header["sform_code"] <= 0 and header["qform_code"] <= 0:
        return "its header does not say which way its axes run: left and right may be swapped"
    return (
        "" if _one_grid(header) else "its sform and its qform disagree on axes or voxel size: sform is used"
    )


def _one_grid(header: Any) -> bool:
    """Whether the two matrices of a NIfTI header name the same axes and voxels of about the same size."""
    import nibabel as nib

    if header["sform_code"] <= 0 or header["qform_code"] <= 0:
        return True
    try:
        sform, qform = header.get_sform(), header.get_qform()
        same = np.array_equal(nib.io_orientation(sform), nib.io_orientation(qform))
        sizes = [nib.affines.voxel_sizes(matrix) for matrix in (sform, qform)]
    except (ValueError, np.linalg.LinAlgError, nib.spatialimages.HeaderDataError):
        return False
    return same and np.allclose(*sizes, rtol=MOST_SCALED)


def _nifti_header(start: bytes) -> Any:
    """The header as it is stored, of either version and either order of bytes."""
    import nibabel as nib

    size = _header_sizes(start)
    kind = nib.Nifti1Header if 348 in size else nib.Nifti2Header if 540 in size else None
    if kind is None:
        raise ValueError("no NIfTI header")
    # nibabel repairs a voxel size of 0 to 1: the header as it is tells.
    return kind(start[: kind.template_dtype.itemsize], check=False)


def _header_sizes(start: bytes) -> set[int]:
    """What the first bytes of a NIfTI file say of its header's size, in either order of bytes."""
    return {int.from_bytes(start[:4], order) for order in ("little", "big")}


def _read_mgh(file: BinaryIO, most: int) -> Decoded:
    import nibabel as nib

    start, end = MGH_FLAG
    stated = int.from_bytes(file.read(end)[start:], "big", signed=True)
    file.seek(0)
    # nibabel takes axes and voxels of 1 mm of its own where a header has none.
    if stated <= 0:
        raise NoGrid("its header states no axes and no voxel size (goodRASFlag is not set)")
    image = nib.MGHImage.from_stream(file)
    return _voxels(image.dataobj, image.header, most), np.asarray(image.affine, dtype=np.float64)


def _voxels(proxy: Any, header: Any, most: int) -> NDArray[Any]:
    """Voxels of a file that holds ``most`` bytes; memory is taken only for what can be in it."""
    shape, dtype = header.get_data_shape(), header.get_data_dtype()
    claimed = math.prod(shape) * dtype.itemsize
    if claimed > most:
        raise Unusable(f"truncated or damaged: it cannot hold the {claimed:,} bytes that its header claims")
    return np.empty(shape, dtype) if dtype.fields is not None else np.asanyarray(proxy)


def _unpacked(file: BinaryIO) -> tuple[BinaryIO, int]:
    """The file without gzip, which its first bytes tell and not its name; unpacked as it is read.

    Also how many bytes it can hold.
    """
    packed, size = file.read(2) == b"\x1f\x8b", file.seek(0, io.SEEK_END)
    file.seek(0)
    return (_Unpacked(fileobj=file), size * MOST_OF_A_BYTE) if packed else (file, size)


class _Unpacked(gzip.GzipFile):
    """A packed file that fills a buffer piece by piece: Python's own first reads all of it into another."""

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        filled = 0
        while filled < len(view) and (piece := self.read(min(PIECE_BYTES, len(view) - filled))):
            view[filled : filled + len(piece)] = piece
            filled += len(piece)
        return filled


def _to_its_end(file: BinaryIO) -> None:
    """Read what lies behind the voxels of a packed file, as only its end tells whether it is whole.

    Raises:
        Unusable: that is far more than any remark: a few kilobytes can unpack to terabytes.
    """
    behind = 0
    while isinstance(file, gzip.GzipFile) and (piece := file.read(PIECE_BYTES)):
        behind += len(piece)
        if behind > MOST_BEHIND:
            raise Unusable(f"goes on for more than {MOST_BEHIND // 2**20} MiB behind its voxels")


_STREAM_READERS: dict[str, Callable[[BinaryIO, int], Decoded]] = {
    **dict.fromkeys((".nii", ".nii.gz"), _read_nifti),
    **dict.fromkeys((".mgh", ".mgz", ".mgh.gz"), _read_mgh),
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
        # A link is its owner's, and followed as that of a volume is; a header leads nowhere else.
        if not (path.parent.resolve() / path.name).is_relative_to(ref.path.parent.resolve()):
            raise BadVolume(ref.name, f"its header names {path.name!r} outside its folder")
        if path.is_symlink() and not path.exists():
            raise BadVolume(ref.name, f"its data file {path.name!r} is a broken link")
        if not path.is_file():
            raise BadVolume(ref.name, f"its data file {path.name!r} is missing, or is more than one file")
    unit = millimetres(ref.path)
    # By its name ITK would not know a file in capitals.
    image_io = "MetaImageIO" if ref.suffix in META_SUFFIXES else "NrrdImageIO"
    with plain_path(ref.path, detached_data(ref.path)) as path:
        array, affine = _from_itk(sitk.ReadImage(str(path), imageIO=image_io))
    return array, np.diag([unit, unit, unit, 1.0]) @ affine


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
    if "Reason: Success" in str(error):  # how ITK ends where a file ends too early
        return "it ends before its voxels do"
    lines = [line.strip(" -") for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:200]
