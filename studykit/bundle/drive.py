"""What ``run.sh`` does on the machine once its packages are there: tests, benchmarks, studies, packing.

Whatever happens, what is there is packed. Where the tests of the card fail nothing is trained on it.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from studykit.bundle.collect import collect
from studykit.bundle.manifest import Manifest, read_manifest
from studykit.bundle.volumes import unpack

TEST_SECONDS = 90
TEST_PROCESSES = 4
"""That share the card while it is tested, where pytest-xdist is at hand."""
BENCHMARK_SECONDS = 60
PACK_SECONDS = 15
SAVE_SECONDS = 60
"""That a study which is stopped may take to save."""
BENCHMARK = "card"


def drive(root: Path, back: Path) -> int:
    """Do what the bundle unpacked at ``root`` says; what is to come back goes into the folder ``back``.

    Returns:
        0, or the exit status of what failed.
    """
    manifest, start = read_manifest(root), time.monotonic()
    end = start + 60 * manifest.minutes - PACK_SECONDS
    (root / "logs").mkdir(exist_ok=True)
    try:
        print(f"{unpack(root / 'carried', root / 'data')} volumes at hand", flush=True)
        return _work(manifest, root, end)
    finally:
        path, megabytes = collect(root, back)
        print(f"{path}: {megabytes:.1f} MB, after {time.monotonic() - start:.0f} s", flush=True)


def _work(manifest: Manifest, root: Path, end: float) -> int:
    source = root / "source"
    files = [path for path in sorted((source / "tests").rglob("test_*.py")) if "mark.gpu" in path.read_text()]
    tests = [
        "pytest",
        "-q",
        "-m",
        "gpu",
        "-p",
        "no:cacheprovider",
        *(["-n", str(TEST_PROCESSES)] if find_spec("xdist") else []),
        *(str(p.relative_to(source)) for p in files),
    ]
    if failed := _logged(tests, root, "tests", TEST_SECONDS):
        print("the tests of the card failed: nothing is trained on it", flush=True)
        return failed
    script = str(source / "benchmarks" / "run.py")
    left = min(BENCHMARK_SECONDS, (end - time.monotonic()) / 6)
    _logged([script, BENCHMARK], root, "benchmarks", left, module=False)
    minutes = f"{(end - time.monotonic()) / 60:.2f}"
    study = ["studykit", "run", *manifest.studies, "--profile", manifest.profile, "--minutes", minutes]
    return _logged(study, root, "run", None)


def _logged(
    arguments: Sequence[str], root: Path, name: str, seconds: float | None, *, module: bool = True
) -> int:
    """Run a module or a script of Python; what it says is shown, and kept as a log. Gives its exit status."""
    command = [sys.executable, *(["-P", "-m"] if module else []), *arguments]
    start = time.monotonic()
    with open(root / "logs" / f"{name}.log", "w+b") as log:
        child: subprocess.Popen[Any] = subprocess.Popen(
            command, cwd=root / "source", stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        print(f"{name}:", flush=True)
        try:
            status = _follow(child, log.name, None if seconds is None else start + seconds)
        finally:
            _end(child)
    print(f"  {name}: exit status {status} after {time.monotonic() - start:.0f} s", flush=True)
    return status


def _follow(child: "subprocess.Popen[Any]", log: str, end: float | None) -> int:
    """Show a log as it grows, until its process ends or its time is over (status 124, as of ``timeout``)."""
    with open(log, encoding="utf-8", errors="replace") as lines:
        while True:
            status = child.poll()
            for line in lines:
                print(f"  {line}", end="", flush=True)
            if status is not None:
                return status
            if end is not None and time.monotonic() > end:
                return 124
            time.sleep(0.2)


def _end(child: "subprocess.Popen[Any]") -> None:
    """End a process that is still at work, with all that it has started."""
    if child.poll() is not None:
        return
    os.killpg(child.pid, signal.SIGTERM)
    try:
        child.wait(SAVE_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def _stop(number: int, _: Any) -> None:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _stop)
    sys.exit(drive(Path(sys.argv[1]), Path(sys.argv[2])))
