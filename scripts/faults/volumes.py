"""Malformed volumes: each is refused by its name and a reason, within seconds and in bounded memory."""

import gzip
import random
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk
from children import run
from table import Row
from tiny_dicom import evenly, write_file

from studykit.data.check import check_report

SIDE = 24
SECONDS, MEGABYTES, CAP_GB = 10.0, 1024, 6
BOMB_MEMBER = gzip.compress(bytes(2**26))
TERABYTES = 2**14


def write_volume(path: Path) -> Path:
    """A ball in noise, in the format of the file's suffix; a folder without one is a DICOM series."""
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, SIDE)] * 3, indexing="ij"))
    noise = np.random.default_rng(0).normal(size=grid.shape[1:])
    array = ((grid**2).sum(0) < 0.6) * 500 + 20 * noise
    if path.name.endswith((".nii", ".nii.gz")):
        nib.save(nib.Nifti1Image(array.astype(np.int16), np.diag([4.0, 4, 4, 1])), path)
    elif path.suffix == ".mgz":
        nib.save(nib.MGHImage(array.astype(np.float32), np.diag([4.0, 4, 4, 1])), path)
    elif path.suffix:
        image = sitk.GetImageFromArray(array.astype(np.int16))
        image.SetSpacing((4.0, 4.0, 4.0))
        sitk.WriteImage(image, str(path))
    else:
        for k, position in enumerate(evenly(SIDE, (0, 0, 4))):
            own = {"SOPInstanceUID": f"1.2.3.9.{k}", "ImagePositionPatient": list(position)}
            pixels = (array[..., k] + 1024).astype(np.uint16)
            write_file(path / f"{k:03d}.dcm", pixels, PixelSpacing=[4, 4], **own)
    return path


def flipped(data: bytes, chance: random.Random, header: int) -> bytes:
    """Some bytes of the header are others."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 40)):
        changed[chance.randrange(min(header, len(changed)))] = chance.randrange(256)
    return bytes(changed)


def cut(data: bytes, chance: random.Random, header: int) -> bytes:
    """The file ends too early."""
    return data[: chance.randrange(len(data))]


def claiming(data: bytes, chance: random.Random, header: int) -> bytes:
    """The header states a shape of terabytes."""
    if data[:4] == b"NRRD":
        return data.replace(f"sizes: {SIDE} {SIDE} {SIDE}".encode(), b"sizes: 99999 99999 99999")
    if b"DimSize" in data[:400]:
        return data.replace(f"DimSize = {SIDE} {SIDE} {SIDE}".encode(), b"DimSize = 99999 99999 99999")
    changed = bytearray(data)
    if data[:4] == (348).to_bytes(4, "little"):
        changed[42:48] = np.array([TERABYTES * 2 - 1] * 3, "<i2").tobytes()
    elif data[:4] == (1).to_bytes(4, "big"):
        changed[4:16] = np.array([TERABYTES] * 3, ">i4").tobytes()
    else:  # rows and columns of a DICOM slice
        for tag in (b"\x28\x00\x10\x00US\x02\x00", b"\x28\x00\x11\x00US\x02\x00"):
            at = data.find(tag) + len(tag)
            changed[at : at + 2] = b"\xff\xff"
    return bytes(changed)


def bombed(data: bytes, chance: random.Random, header: int) -> bytes:
    """Behind the header, gzip of four gibibytes of zeros."""
    return gzip.compress(data) + BOMB_MEMBER * 64


Damage = Callable[[bytes, random.Random, int], bytes]
FORMATS = {
    "NIfTI": ".nii",
    "NIfTI in gzip": ".nii.gz",
    "NRRD": ".nrrd",
    "MHA": ".mha",
    "MGZ": ".mgz",
    "DICOM": "",
}
HEADERS = {".nii": 348, ".nii.gz": 348, ".nrrd": 300, ".mha": 300, ".mgz": 90, "": 1500}
DAMAGES: dict[str, tuple[Damage, int, tuple[str, ...]]] = {
    "headers fuzzed": (flipped, 96, tuple(FORMATS)),
    "files cut short": (cut, 60, tuple(FORMATS)),
    "shapes of terabytes": (claiming, 30, tuple(FORMATS)),
    "gzip bombs of 4 GiB": (bombed, 14, ("NIfTI in gzip", "MGZ")),
}
"""How, how many of 200, and of which formats."""


def damage(path: Path, suffix: str, act: Damage, chance: random.Random) -> None:
    """Damage a volume, or one slice of a series."""
    target = path if suffix else chance.choice(sorted(path.iterdir()))
    data = target.read_bytes()
    packed = data[:2] == b"\x1f\x8b"
    whole = gzip.decompress(data) if packed else data
    if act is cut or not packed:
        target.write_bytes(act(data, chance, HEADERS[suffix]))
    elif act is bombed:
        target.write_bytes(act(whole, chance, HEADERS[suffix]))
    else:
        target.write_bytes(gzip.compress(act(whole, chance, HEADERS[suffix])))


def look(folder: Path) -> list[str]:
    """What the check says of each image; of no image, why there is none."""
    warnings.simplefilter("ignore")
    try:
        report = check_report(f"folder:{folder}")
    except (ValueError, FileNotFoundError) as error:
        return [f"refused: {error}"]
    named = [f"refused: {entry.path}: {entry.reason}" for entry in report.unused]
    return [row.verdict for row in report.rows] + named


def rows(folder: Path, chance: random.Random, share: float) -> Iterator[Row]:
    for name, (act, count, formats) in DAMAGES.items():
        row = Row(f"volumes: {name}", "a named refusal within 10 s and 1 GiB, or still a volume")
        refused, longest, largest = 0, 0.0, 0.0
        for trial in range(max(round(count * share), len(formats))):
            kind = formats[trial % len(formats)]
            place = folder / f"{act.__name__}-{trial}"
            place.mkdir()
            damage(write_volume(place / f"volume{FORMATS[kind]}"), FORMATS[kind], act, chance)
            end = run(lambda place=place: look(place), limit=3 * SECONDS, most_gb=CAP_GB)
            longest, largest = max(longest, end.seconds), max(largest, end.megabytes)
            row.count(f"{kind}: {loss}" if (loss := _loss(end)) else "")
            refused += bool(end.value) and any(said.startswith("refused") for said in end.value)
        row.seen = f"{refused} refused; at most {longest:.1f} s and {largest:,.0f} MB"
        yield row


def _loss(end: object) -> str:
    if end.error:
        return end.error
    if end.seconds > SECONDS:
        return f"took {end.seconds:.0f} s"
    if end.megabytes > MEGABYTES:
        return f"took {end.megabytes:,.0f} MB"
    return "" if end.value else "not a word about it"
