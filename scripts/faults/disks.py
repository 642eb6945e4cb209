"""A full disk at each writer, on a small tmpfs: nothing is damaged, and what was begun goes on with space."""

import random
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import writers
from children import run
from table import Row
from trainings import Toy
from writers import KEPT, fill

from studykit.data.sources import prepared_source
from studykit.home import results_dir
from studykit.report.record import FILE, read_verdicts, write_verdicts
from studykit.report.tables import write_table
from studykit.runs.weights import new_method
from studykit.training.checkpoint import export_weights

MEGABYTES = 6
KERNELS = 2
"""Trials of what takes three kernels each."""


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A disk of some megabytes.

    Raises:
        OSError: nobody but root may mount one.
    """
    folder.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise OSError(done.stderr.strip())
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def rows(toy: Toy, heads: Path, chance: random.Random, share: float) -> Iterator[Row]:
    """Each writer, some times with another remainder of space."""
    for name, writer, words in WRITERS:
        row = Row(f"full disk while {name} written", words)
        for trial in range(max(round((KERNELS if writer is writers.notebook else 6) * share), 1)):
            try:
                with small_disk(toy.folder / f"disk-{writer.__name__}-{trial}") as disk:
                    row.count(writer(toy, heads, disk, chance))
            except OSError as error:
                row.seen = f"not tried: {error}"
                break
        yield row


def _run(toy: Toy, heads: Path, disk: Path, chance: random.Random) -> str:
    fill(disk, chance.randrange(4096, 1_500_000))
    stopped = run(lambda: toy.train(disk), limit=120)
    if stopped.error and "disk is full" not in stopped.error:
        return f"another message: {stopped.error}"
    (disk / KEPT).unlink()
    return toy.finish(disk)


def _evidence(toy: Toy, heads: Path, disk: Path, chance: random.Random) -> str:
    source = next(iter(sorted(results_dir().glob(f"*/laptop/{FILE}"))))
    study, records = source.parents[1].name, read_verdicts(source.parent)
    write_verdicts(disk, study, "laptop", records)
    table = pd.DataFrame({"x": range(2000)})
    write_table(table.head(3), disk, "table", caption="three rows")
    before = {path.name: path.read_bytes() for path in disk.iterdir()}
    fill(disk, chance.randrange(0, 4096))

    def write() -> None:
        write_verdicts(disk, study, "laptop", records)
        write_table(table, disk, "table", caption="many rows")

    said = run(write).error
    (disk / KEPT).unlink()
    after = {path.name: path.read_bytes() for path in disk.iterdir()}
    if not said:
        return "it found space where there was none"
    changed = [name for name in before if after.get(name) != before[name]]
    strange = [name for name in after if name not in before]
    return f"changed {changed}, left {strange}" if changed or strange else ""


def _volumes(toy: Toy, heads: Path, disk: Path, chance: random.Random) -> str:
    def prepare() -> str:
        return prepared_source(f"folder:{heads}", 4.0, cache=disk).fingerprint

    fill(disk, chance.randrange(0, 200_000))
    full = run(prepare)
    if full.error and "cannot be written" not in full.error:
        return f"another message: {full.error}"
    (disk / KEPT).unlink()
    return "" if run(prepare).value == toy.prepared.fingerprint else "other volumes afterwards"


def _weights(toy: Toy, heads: Path, disk: Path, chance: random.Random) -> str:
    method, path = new_method(toy.config), disk / "weights.safetensors"
    export_weights(method, path, {"step": 1})
    before = path.read_bytes()
    fill(disk, chance.randrange(0, len(before)))
    said = run(lambda: export_weights(method, path, {"step": 2})).error
    kept = path.read_bytes() == before and [p.name for p in disk.iterdir() if p.name != KEPT] == [path.name]
    return "" if said and kept else f"said {said!r}, the old file {'stands' if kept else 'is damaged'}"


WHOLE = "each file is as before or as it should be; with space all are"
WRITERS: tuple[tuple[str, Callable[..., str], str], ...] = (
    ("a run is", _run, "it says that the disk is full; with space it ends in the same bits"),
    ("verdicts and tables are", _evidence, "what was there stands, whole"),
    ("prepared volumes are", _volumes, "it names the cache, or needs no space; afterwards the same volumes"),
    ("exported weights are", _weights, "it says so, and the old file stands"),
    ("figures are", writers.figures, WHOLE),
    ("an executed notebook is", writers.notebook, WHOLE),
    ("an archive is downloaded and", writers.archive, WHOLE),
    ("the site is", writers.site, WHOLE),
    ("a bundle is", writers.bundle, "it says so, what was there stands, and nothing else is left"),
    ("a fine-tuned network is", writers.finetuned, WHOLE),
)
