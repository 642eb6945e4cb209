"""What is to come back from a machine: evidence, runs without their weights, timings, logs, the manifest.

studykit-back/   bundle.json  results/<study>/<profile>/…  runs/<key>/…  benchmarks/…-cuda.…  logs/…
"""

import tarfile
from pathlib import Path

from studykit import atomic
from studykit.bundle.manifest import FILE, Manifest, read_manifest

ROOT = "studykit-back"
BACK = f"{ROOT}.tar.gz"
RUN_FILES = (
    "config.json",
    "status.json",
    "metrics.jsonl",
    "provenance.json",
    "outcome.json",
    "transfer.json",
)
"""Of a run: all that is no weight and no scratch."""
BENCHMARKS = "benchmarks"
TIMINGS = ("csv", "json", "md", "tex")
PART_BYTES, MOST_PARTS = 16_000_000, 8
"""What comes back as one file, and how many files may."""
FAILED = "batch"
NOT_KEPT = ".png"
"""Evidence is kept with its SVGs; PNGs stay where they were drawn."""


def collect(root: Path, back: Path) -> tuple[Path, float]:
    """Pack what lies in the folder of a bundle into ``back``; gives the file and its megabytes.

    What would be more than :data:`MOST_PARTS` files of :data:`PART_BYTES` goes without the largest of it, but
    for the manifest; that is told by name.
    """
    path, wanted = back / BACK, _wanted(root, read_manifest(root))
    _write(path, wanted)
    while path.stat().st_size > MOST_PARTS * PART_BYTES and len(wanted) > 1:
        largest = max((pair for pair in wanted if pair[0] != FILE), key=lambda pair: pair[1].stat().st_size)
        print(f"left out, too large: {largest[0]}, {largest[1].stat().st_size / 1e6:.1f} MB", flush=True)
        wanted.remove(largest)
        _write(path, wanted)
    return path, path.stat().st_size / 1e6


def split(path: Path) -> list[Path]:
    """Cut a file that is too large to come back into ``.1``, ``.2``, … beside it; itself where it is not.

    ``cat studykit-back.tar.gz.* > studykit-back.tar.gz`` puts it together again.
    """
    for old in path.parent.glob(f"{path.name}.*"):
        old.unlink()
    if path.stat().st_size <= PART_BYTES:
        return [path]
    parts = []
    with open(path, "rb") as whole:
        while data := whole.read(PART_BYTES):
            parts.append(path.with_name(f"{path.name}.{len(parts) + 1}"))
            parts[-1].write_bytes(data)
    path.unlink()
    return parts


def _write(path: Path, wanted: list[tuple[str, Path]]) -> None:
    with atomic.replace_into(path) as temporary, tarfile.open(temporary, "w:gz") as tar:
        for name, file in wanted:
            tar.add(file, f"{ROOT}/{name}", recursive=False)


def _wanted(root: Path, manifest: Manifest) -> list[tuple[str, Path]]:
    """Names in the archive, and files."""
    results = root / "results"
    files = [(FILE, root / FILE)]
    for study, name in manifest.evidence:
        kept = [path for path in (results / study / name).glob("*.*") if path.suffix != NOT_KEPT]
        files += [(f"results/{study}/{name}/{path.name}", path) for path in kept]
    for part in RUN_FILES:
        files += [(f"runs/{path.parent.name}/{part}", path) for path in results.glob(f"runs/*/{part}")]
    for kind in TIMINGS:
        found = (results / BENCHMARKS).glob(f"*-cuda.{kind}")
        files += [(f"{BENCHMARKS}/{path.name}", path) for path in found]
    files += [(f"logs/{path.name}", path) for path in (root / "logs").glob("*.log")]
    files += [(f"logs/{path.name}", path) for path in (results / FAILED).glob("*.log")]
    return sorted(pair for pair in files if pair[1].is_file() and not pair[1].name.startswith("."))
