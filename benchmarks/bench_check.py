"""Checking a folder against nibabel reading it once."""

from pathlib import Path
from tempfile import TemporaryDirectory

import nibabel as nib
import numpy as np
from timing import compared, is_quick, race, write_result

from studykit.data.check import check_source

NOTES = (
    "`studykit data check` of a folder of {count} heads of {side}³ voxels, 16 bits, against nibabel, which "
    "reads the voxels of each once (`get_fdata`). The files stay in the page cache."
)
TARGET = 1 / 1.3


def write_heads(folder: Path, count: int, side: int, suffix: str) -> None:
    """Balls of noise in air, one file a subject."""
    grid = np.stack(np.meshgrid(*[np.arange(side) - side / 2] * 3, indexing="ij"))
    rng = np.random.default_rng(0)
    head = ((grid**2).sum(0) < (0.4 * side) ** 2) * (500 + rng.integers(0, 200, (side,) * 3))
    for number in range(count):
        image = np.roll(head, number, axis=0) + rng.integers(0, 5)
        nib.save(nib.Nifti1Image(image.astype(np.int16), np.eye(4)), folder / f"p{number:03d}.{suffix}")


def read_by_nibabel(folder: Path) -> None:
    for path in sorted(folder.iterdir()):
        nib.load(path).get_fdata(caching="unchanged")


def main(quick: bool) -> None:
    count, side = (2, 48) if quick else (8, 256)
    rows = []
    for suffix in ("nii", "nii.gz"):
        with TemporaryDirectory() as scratch, TemporaryDirectory() as cache:
            folder = Path(scratch)
            write_heads(folder, count, side, suffix)
            times = race(
                {
                    "check": lambda folder=folder, cache=cache: check_source(f"folder:{folder}", cache=cache),
                    "nibabel": lambda folder=folder: read_by_nibabel(folder),
                },
                rounds=3 if quick else 10,
            )
        rows.append({"format": suffix} | compared(times["check"], times["nibabel"], TARGET))
    write_result("check", rows, NOTES.format(count=count, side=side), quick=quick)


if __name__ == "__main__":
    main(is_quick(__doc__))
