"""Where one volume's bytes lie (a file, a DICOM series, members of an archive) and whose they are."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

from studykit.data.files import archives
from studykit.data.files.digests import file_sha256, text_sha256
from studykit.data.files.itk_headers import detached_data
from studykit.data.files.text import readable

Affine = tuple[tuple[float, float, float, float], ...]


@dataclass(frozen=True)
class RawGrid:
    """A headerless buffer of numbers: value in HU or arbitrary units = stored * slope + intercept."""

    offset: int
    shape: tuple[int, int, int]
    dtype: str
    slope: float = 1.0
    intercept: float = 0.0


@dataclass(frozen=True)
class VolumeRef:
    """One volume, not yet read.

    Attributes:
        path: the volume's file; with ``parts``, the folder or the archive that holds them.
        parts: file names in the folder, or exact member names in the archive. Several are one DICOM series.
        archive_sha256: digest of the archive; None where ``path`` is a file or a folder.
        affine: 4x4 voxel-to-RAS matrix in mm that replaces the file's own, where that one is known to be
            wrong.
        frame: index on the last axis of a 4-D file; None for a 3-D file.
        raw: layout of a headerless buffer; None for a known format.
        other_side: the right one of two masks of one structure; ``path`` is the left one then.
    """

    path: Path
    parts: tuple[str, ...] = ()
    archive_sha256: str | None = None
    affine: Affine | None = None
    frame: int | None = None
    raw: RawGrid | None = None
    other_side: Path | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", Path(self.path))

    @property
    def name(self) -> str:
        """What messages call this volume: its path, and the member of the archive or the frame."""
        text = str(self.path)
        if self.archive_sha256 is not None:
            first = self.parts[0]
            text += (
                f"!{first}"
                if len(self.parts) == 1
                else f"!{first.rpartition('/')[0]}/ ({len(self.parts)} files)"
            )
        elif len(self.parts) == 1:
            text = str(self.path / self.parts[0])
        elif self.parts:
            text += f" ({len(self.parts)} files)"
        text = readable(text if self.other_side is None else f"{text} with {self.other_side.name}")
        return text if self.frame is None else f"{text}[frame {self.frame}]"

    @property
    def is_series(self) -> bool:
        """Whether the bytes are a DICOM series."""
        return len(self.parts) > 1 or (bool(self.parts) and self.archive_sha256 is None)

    @property
    def suffix(self) -> str:
        """File type in lower case, ``.gz`` kept on its inner type: ``.nii.gz``, ``.mgz``, ``.nrrd``."""
        name = (self.parts[0] if self.parts else self.path.name).lower()
        stem, dot, last = name.rpartition(".")
        if last == "gz" and "." in stem:
            return "." + stem.rpartition(".")[2] + ".gz"
        return dot + last

    def stream(self) -> BinaryIO:
        """A single-file volume as an open file: on disk the file itself, which can be mapped."""
        return open(self.path, "rb") if self.archive_sha256 is None else BytesIO(self.read_bytes())

    def read_bytes(self) -> bytes:
        """The whole of a single-file volume."""
        if self.archive_sha256 is None:
            return self.path.read_bytes()
        return archives.read_members(self.path, self.parts)[self.parts[0]]

    @contextmanager
    def series_files(self) -> Iterator[list[Path]]:
        """Paths of a series' slices; those of an archive are temporary, under names of our own."""
        if self.archive_sha256 is None:
            yield [self.path / part for part in self.parts]
            return
        with TemporaryDirectory(prefix="studykit-series-") as folder:
            files = []
            for index, data in enumerate(archives.read_members(self.path, self.parts).values()):
                files.append(Path(folder) / f"{index:05d}.dcm")
                files[-1].write_bytes(data)
            yield files

    def content_key(self, memory: Path | None = None) -> str:
        """Hex digest of the bytes and of what is overridden in them: the same wherever the file lies.

        Archive members are keyed by the archive's digest and their names, files by their bytes; a header
        with a separate data file (``.mhd``, ``.nhdr``) by both. ``memory`` is handed to
        :func:`file_sha256`.
        """
        if self.archive_sha256 is not None:
            content = [self.archive_sha256, *self.parts]
        elif self.parts:
            content = [file_sha256(self.path / part, memory) for part in self.parts]
        else:
            content = [file_sha256(self.path, memory)]
            content += [file_sha256(path, memory) for path in detached_data(self.path) if path.is_file()]
        if self.other_side is not None:
            content += ["other side", VolumeRef(self.other_side).content_key(memory)]
        raw = None if self.raw is None else asdict(self.raw)
        return text_sha256(repr((content, self.suffix, self.affine, self.frame, raw)))


@dataclass(frozen=True)
class Subject:
    """One image of one subject. Images of the same subject share ``id``: splits are made by it.

    Attributes:
        image: where the image lies.
        labels: where its label map lies, None for an unlabelled image.
        modality: ``"T1w"``, ``"CT"``, … as the source says; ``"unknown"`` lets the intensities decide.
        labels_fit: ``"grid"`` if the label map must lie on the image's grid, ``"affine"`` if it is to be
            resampled onto it (nearest neighbour) through the two affines.
        note: origin, resolution, licence.
    """

    id: str
    image: VolumeRef
    labels: VolumeRef | None = None
    modality: str = "unknown"
    labels_fit: str = "grid"
    note: str = ""


@dataclass(frozen=True)
class Unused:
    """A file that is no image of a collection, and why."""

    path: Path
    reason: str


@dataclass(frozen=True)
class Collection:
    """An opened source: its images, all of them at hand.

    Attributes:
        subjects: images in a fixed order; images of one subject are neighbours.
        cache: folder for archives, digests and decoded volumes.
        unused: files that may have been meant as images or label maps and are none, with reasons.
        others: suffix → number of other files.
    """

    name: str
    subjects: tuple[Subject, ...]
    licence: str
    citation: str
    cache: Path
    unused: tuple[Unused, ...] = ()
    others: Mapping[str, int] = field(default_factory=dict)

    @property
    def ids(self) -> tuple[str, ...]:
        """The distinct subject ids, in order."""
        return tuple(dict.fromkeys(subject.id for subject in self.subjects))
