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
FAILED = "batch"
NOT_KEPT = ".png"
"""Evidence is kept with its SVGs; PNGs stay where they were drawn."""


def collect(root: Path, back: Path) -> tuple[Path, float]:
    """Pack what lies in the folder of a bundle into ``back``; gives the file and its megabytes."""
    path = back / BACK
    with atomic.replace_into(path) as temporary, tarfile.open(temporary, "w:gz") as tar:
        for name, file in _wanted(root, read_manifest(root)):
            tar.add(file, f"{ROOT}/{name}", recursive=False)
    return path, path.stat().st_size / 1e6


def _wanted(root: Path, manifest: Manifest) -> list[tuple[str, Path]]:
    """Names in the archive, and files."""
    results = root / "results"
    files = [(FILE, root / FILE)]
    for study in manifest.studies:
        folder = results / study / manifest.profile
        kept = [path for path in folder.glob("*.*") if path.suffix != NOT_KEPT]
        files += [(f"results/{study}/{manifest.profile}/{path.name}", path) for path in kept]
    for name in RUN_FILES:
        files += [(f"runs/{path.parent.name}/{name}", path) for path in results.glob(f"runs/*/{name}")]
    for kind in TIMINGS:
        found = (results / BENCHMARKS).glob(f"*-cuda.{kind}")
        files += [(f"{BENCHMARKS}/{path.name}", path) for path in found]
    files += [(f"logs/{path.name}", path) for path in (root / "logs").glob("*.log")]
    files += [(f"logs/{path.name}", path) for path in (results / FAILED).glob("*.log")]
    return sorted(pair for pair in files if pair[1].is_file() and not pair[1].name.startswith("."))
