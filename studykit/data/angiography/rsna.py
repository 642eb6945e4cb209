"""The layout of RSNA 2025 Intracranial Aneurysm Detection: series, their 14 labels, and points on aneurysms.

    root/train.csv              SeriesInstanceUID, PatientAge, PatientSex, Modality, then the 14 labels
    root/train_localizers.csv   SeriesInstanceUID, SOPInstanceUID, coordinates, location
    root/series/<SeriesInstanceUID>/*.dcm

The data need a registration with the challenge, so they are a folder of one's own here. A series is read when
it is asked for. The challenge names no patients: a split is by series.

    rsna = open_rsna_aneurysm("~/rsna-2025")
    prepared = prepare(rsna.collection)             # as of any other source
    case = rsna.cases[0]                            # case.labels, case.localizers
    where = to_voxels(localizers_mm(case), prepared.volumes[0].affine)
"""

import ast
import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from studykit.data.angiography.sites import LABELS, SITES, site_number
from studykit.data.files.dicom_grid import planes_of_files, refuse_mixed
from studykit.data.files.dicom_headers import read_header, text
from studykit.data.files.errors import BadVolume, NoGrid
from studykit.data.files.refs import Collection, Subject, VolumeRef
from studykit.home import data_dir

SERIES, INSTANCE = "SeriesInstanceUID", "SOPInstanceUID"
CASE_COLUMNS = (SERIES, "PatientAge", "PatientSex", "Modality", *LABELS)
LOCALIZER_COLUMNS = (SERIES, INSTANCE, "coordinates", "location")
MODALITIES = {"CTA": "CT", "MRA": "MR", "MRI T2": "T2w", "MRI T1post": "T1w"}
"""The challenge's words → the kit's."""
RADIUS_MM = 4.0
"""Of the ball that stands for an aneurysm in a label map; the challenge gives a point, no outline."""

_UID = re.compile(r"[0-9]+(\.[0-9]+)*")


@dataclass(frozen=True)
class Localizer:
    """A point on an aneurysm.

    Attributes:
        instance: SOPInstanceUID of the slice.
        column, row: pixel of that slice, from 0 in the middle of its first pixel.
        site: one of :data:`studykit.data.angiography.sites.SITES`.
    """

    instance: str
    column: float
    row: float
    site: str


@dataclass(frozen=True)
class AneurysmCase:
    """One series.

    Attributes:
        uid: SeriesInstanceUID, and the subject id in the collection.
        age: years; NaN where it is not stated.
        modality: as the challenge says, ``"CTA"``, ``"MRA"``, ``"MRI T2"`` or ``"MRI T1post"``.
        labels: 0 or 1 for each of :data:`studykit.data.angiography.sites.LABELS`.
        folder: where its slices lie.
    """

    uid: str
    age: float
    sex: str
    modality: str
    labels: tuple[int, ...]
    localizers: tuple[Localizer, ...]
    folder: Path


@dataclass(frozen=True)
class RsnaAneurysm:
    """The opened data: a ``collection`` to prepare, and its ``cases`` in the same order."""

    collection: Collection
    cases: tuple[AneurysmCase, ...]

    @property
    def labels(self) -> NDArray[np.int64]:
        """(N, 14), rows as ``cases``, columns as :data:`studykit.data.angiography.sites.LABELS`."""
        return np.array([case.labels for case in self.cases], dtype=np.int64).reshape(-1, len(LABELS))


def open_rsna_aneurysm(root: str | Path, *, cache: str | Path | None = None) -> RsnaAneurysm:
    """Read both tables and look up the slices of every series; no voxel is read yet.

    Args:
        root: folder of the layout above. Without ``train_localizers.csv`` no case has a point.
        cache: folder for decoded volumes; default :func:`studykit.home.data_dir`.

    Raises:
        FileNotFoundError: no ``train.csv``, no folder of a series, or no ``.dcm`` file in it.
        ValueError: a missing column, a series that stands twice, a UID that is none, a label other than 0 and
            1, an unknown place or modality, or a point of a series that ``train.csv`` has not.
    """
    root = Path(root).expanduser().absolute()
    table = root / "train.csv"
    rows = _read(table, CASE_COLUMNS)
    uids = [_uid(row[SERIES], where) for where, row in rows]
    repeated = [uid for uid, count in Counter(uids).items() if count > 1]
    if repeated:
        raise ValueError(f"{table}: series {repeated[0]} stands twice")
    points = _localizers(root / "train_localizers.csv", set(uids))
    cases = tuple(
        _case(where, row, root / "series" / uid, points[uid])
        for uid, (where, row) in zip(uids, rows, strict=True)
    )
    collection = Collection(
        f"rsna-aneurysm:{root}",
        tuple(_subject(case) for case in cases),
        "RSNA's terms for the challenge",
        "RSNA 2025 Intracranial Aneurysm Detection",
        data_dir() if cache is None else Path(cache),
    )
    return RsnaAneurysm(collection, cases)


def localizers_mm(case: AneurysmCase) -> NDArray[np.float64]:
    """The points of a case in RAS mm, (n, 3), from the position of their slices.

    Raises:
        BadVolume: a file of another series, slices of several sizes, spacings or orientations, a slice
            without a position (one file with all frames), or a point on a slice that the folder has not.
    """
    grids = _slice_grids(case)
    points = []
    for localizer in case.localizers:
        if localizer.instance not in grids:
            raise BadVolume(str(case.folder), f"has no slice {localizer.instance}, which has an aneurysm")
        points.append(grids[localizer.instance] @ [localizer.column, localizer.row, 1.0])
    return np.array(points, dtype=np.float64).reshape(-1, 3)


def to_voxels(points_mm: NDArray[np.float64], affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points in RAS mm, (n, 3), as places in a volume's (X, Y, Z) array, in voxels.

    Args:
        affine: 4x4, that of :class:`~studykit.data.volumes.volumes.Volume` or of a prepared volume.
    """
    inverse = np.linalg.inv(affine)
    return points_mm @ inverse[:3, :3].T + inverse[:3, 3]


def localizer_map(
    case: AneurysmCase,
    shape: Sequence[int],
    affine: NDArray[np.float64],
    radius_mm: float = RADIUS_MM,
) -> NDArray[np.int16]:
    """Site numbers in a ball about each point of a case, 0 elsewhere: (X, Y, Z).

    What detection learns from in place of outlines, see :class:`studykit.methods.detection.Detector`.

    Raises:
        BadVolume: as :func:`localizers_mm`.
    """
    result = np.zeros(shape, dtype=np.int16)
    reach = radius_mm * np.linalg.norm(np.linalg.inv(affine[:3, :3]), axis=1)
    for localizer, place in zip(case.localizers, to_voxels(localizers_mm(case), affine), strict=True):
        low = np.clip(np.floor(place - reach), 0, shape).astype(int)
        high = np.clip(np.ceil(place + reach) + 1, low, shape).astype(int)
        ranges = [np.arange(a, b) for a, b in zip(low, high, strict=True)]
        voxels = np.stack(np.meshgrid(*ranges, indexing="ij"), axis=-1)
        near = np.linalg.norm((voxels - place) @ affine[:3, :3].T, axis=-1) <= radius_mm
        result[tuple(slice(a, b) for a, b in zip(low, high, strict=True))][near] = site_number(localizer.site)
    return result


def _read(table: Path, columns: Sequence[str]) -> list[tuple[str, dict[str, str]]]:
    """Rows by column, each with what messages call it."""
    if not table.is_file():
        raise FileNotFoundError(f"{table}: no such file; the challenge's folder has one")
    with open(table, newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        missing = [name for name in columns if name not in (reader.fieldnames or ())]
        if missing:
            raise ValueError(
                f"{table} has no column {missing[0]!r}; it has {', '.join(reader.fieldnames or ())}"
            )
        return [(f"{table}, line {reader.line_num}", row) for row in reader]


def _uid(text: str, where: str) -> str:
    """A DICOM UID; nothing else becomes the name of a folder."""
    if not _UID.fullmatch(text) or len(text) > 64:
        raise ValueError(f"{where}: {text!r} is no DICOM UID (digits and points)")
    return text


def _case(where: str, row: dict[str, str], folder: Path, localizers: tuple[Localizer, ...]) -> AneurysmCase:
    if row["Modality"] not in MODALITIES:
        raise ValueError(f"{where}: unknown modality {row['Modality']!r}; known: {', '.join(MODALITIES)}")
    values = [row[name] for name in LABELS]
    wrong = [name for name, value in zip(LABELS, values, strict=True) if value not in ("0", "1")]
    if wrong:
        raise ValueError(f"{where}: {wrong[0]} must be 0 or 1, got {row[wrong[0]]!r}")
    age = float(row["PatientAge"]) if row["PatientAge"] else float("nan")
    labels = tuple(int(value) for value in values)
    return AneurysmCase(folder.name, age, row["PatientSex"], row["Modality"], labels, localizers, folder)


def _subject(case: AneurysmCase) -> Subject:
    if not case.folder.is_dir():
        raise FileNotFoundError(f"{case.folder}: no such folder, though train.csv lists the series")
    files = sorted(path.name for path in case.folder.glob("*.dcm") if not path.name.startswith("."))
    if not files:
        raise FileNotFoundError(f"{case.folder} holds no .dcm file, though train.csv lists the series")
    return Subject(case.uid, VolumeRef(case.folder, tuple(files)), modality=MODALITIES[case.modality])


def _localizers(table: Path, known: set[str]) -> dict[str, tuple[Localizer, ...]]:
    points: dict[str, tuple[Localizer, ...]] = dict.fromkeys(known, ())
    for where, row in _read(table, LOCALIZER_COLUMNS) if table.exists() else ():
        uid = row[SERIES]
        if uid not in known:
            raise ValueError(f"{where}: series {uid!r} is not in train.csv")
        if row["location"] not in SITES:
            raise ValueError(f"{where}: unknown place {row['location']!r}; known: {', '.join(SITES)}")
        column, line = _coordinates(row["coordinates"], where)
        points[uid] += (Localizer(_uid(row[INSTANCE], where), column, line, row["location"]),)
    return points


def _coordinates(text: str, where: str) -> tuple[float, float]:
    """Column and row from ``{'x': 258.3, 'y': 261.1}``."""
    try:
        given = ast.literal_eval(text)
        return float(given["x"]), float(given["y"])
    except (ValueError, SyntaxError, KeyError, TypeError) as error:
        raise ValueError(
            f"{where}: coordinates must be like {{'x': 12.5, 'y': 30.0}}, got {text!r}"
        ) from error


def _slice_grids(case: AneurysmCase) -> dict[str, NDArray[np.float64]]:
    """SOPInstanceUID → 3x3 matrix from (column, row, 1) to RAS mm, of every slice of a series."""
    headers = {}
    for path in sorted(case.folder.glob("[!.]*.dcm")):
        header = read_header(path)
        if header is None:
            raise BadVolume(str(path), "is no readable DICOM file")
        if text(header, "SeriesInstanceUID") != case.uid:
            found = text(header, "SeriesInstanceUID")
            raise BadVolume(str(path), f"is of series {found}, not of its folder's")
        headers[path.name] = header
    try:
        planes = planes_of_files(list(headers), list(headers.values()))
        refuse_mixed(planes)
    except NoGrid as error:
        raise BadVolume(str(case.folder), str(error)) from error
    uids = [text(header, "SOPInstanceUID") for header in headers.values()]
    return {uid: plane.matrix() for uid, plane in zip(uids, planes, strict=True)}
