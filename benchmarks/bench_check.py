"""Checking a folder against nibabel reading it once, and the memory that it takes."""

import re
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import nibabel as nib
import numpy as np
from timing import compared, is_quick, race, write_result

from studykit.data.check import check_source

NOTES = (
    "`studykit data check` of a folder of heads, 16 bits a voxel, against nibabel, which reads the voxels of "
    "each file once (`get_fdata`), label maps included. The files stay in the page cache. Volumes held: how "
    "much the process grows over the check of one tiny volume, in bytes of one volume's voxels."
)
TARGET = 1 / 1.3
WHY = "what is asked of each header, subject and label map outweighs the quicker reading of small files"
TINY = 8


@dataclass(frozen=True)
class Heads:
    """A folder of ``count`` cubes of ``side`` voxels, with label maps or without."""

    count: int
    side: int
    suffix: str
    labels: bool = False

    def write(self, folder: Path) -> None:
        """Balls of noise in air, one file a subject; eight structures in the middle of each."""
        grid = np.stack(np.meshgrid(*[np.arange(self.side) - self.side / 2] * 3, indexing="ij"))
        rng, radius = np.random.default_rng(0), (grid**2).sum(0)
        head = (radius < (0.4 * self.side) ** 2) * (500 + rng.integers(0, 200, radius.shape))
        octant = (radius < (0.2 * self.side) ** 2) * (1 + (grid > 0).T @ [1, 2, 4]).T
        for number in range(self.count):
            arrays = {"images": np.roll(head, number, axis=0) + rng.integers(0, 5)}
            arrays |= {"labels": np.roll(octant, number, axis=0)} if self.labels else {}
            for name, array in arrays.items():
                path = folder / name / f"p{number:03d}.{self.suffix}"
                path.parent.mkdir(exist_ok=True)
                nib.save(nib.Nifti1Image(array.astype(np.int16), np.eye(4)), path)


FOLDERS = (
    Heads(200, 256, "nii"),
    Heads(24, 256, "nii.gz"),
    Heads(24, 160, "nii", labels=True),
    Heads(60, 96, "nii"),
    Heads(60, 64, "nii.gz"),
)
QUICK = (Heads(2, 48, "nii"), Heads(2, 48, "nii.gz", labels=True))


def read_by_nibabel(folder: Path) -> None:
    for path in sorted(folder.rglob("*.nii*")):
        nib.load(path).get_fdata(caching="unchanged")


def held(folder: Path, tiny: Path, cache: str) -> int:
    """Bytes by which a process of its own grows from the check of one folder to that of the other."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as fresh:
        before, after = (fresh.submit(_peak, own, cache).result() for own in (tiny, folder))
    return after - before


def _peak(folder: Path, cache: str) -> int:
    """The most bytes that this process has held at once; ``getrusage`` counts what forked it, too."""
    check_source(f"folder:{folder}", cache=cache)
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return 1024 * int(re.search(r"VmHWM:\s+(\d+)", status)[1])


def main(quick: bool) -> None:
    rows = []
    for heads in QUICK if quick else FOLDERS:
        with TemporaryDirectory() as scratch, TemporaryDirectory() as cache:
            folder, tiny = Path(scratch, "heads"), Path(scratch, "tiny")
            for own, content in ((folder, heads), (tiny, Heads(1, TINY, heads.suffix, heads.labels))):
                own.mkdir()
                content.write(own)
            times = race(
                {
                    "check": lambda folder=folder, cache=cache: check_source(f"folder:{folder}", cache=cache),
                    "nibabel": lambda folder=folder: read_by_nibabel(folder),
                },
                rounds=3 if quick else 4 if heads.count * heads.side**3 > 2e9 else 9,
                warm_up=1,
            )
            memory = held(folder, tiny, cache) / (2 * heads.side**3)
        what = {"volumes": heads.count, "side": heads.side, "format": heads.suffix}
        what["labels"] = "yes" if heads.labels else "no"
        row = compared(times["check"], times["nibabel"], TARGET, why=WHY)
        rows.append(what | row | {"volumes held": memory})
    write_result("check", rows, NOTES, quick=quick)


if __name__ == "__main__":
    main(is_quick(__doc__))
