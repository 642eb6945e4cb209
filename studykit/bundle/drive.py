"""What ``run.sh`` does on the machine once its packages are there: tests, benchmarks, studies, packing.

Whatever happens, what is there is packed. Where a test of the card fails nothing is trained on it, unless
:data:`UNTESTED` says so; tests that their time cuts off fail nothing. A second call does neither the tests
that passed nor the benchmarks again.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from studykit.bundle.collect import collect, split
from studykit.bundle.manifest import Manifest, read_manifest
from studykit.bundle.volumes import unpack

TEST_SECONDS = 90
TEST_PROCESSES = 4
"""That share the card while it is tested, where pytest-xdist is at hand."""
BENCHMARK_SECONDS = 60
PACK_SECONDS = 15
LATE_SECONDS = 20
"""That a study which is concluding may take beyond its time."""
SAVE_SECONDS = 60
"""That a study which is stopped may take to save."""
BENCHMARK = "card"
NODE = "node.json"
"""What :mod:`studykit.bundle.node` found out about the machine."""
PASSED = "tests.passed"
UNTESTED = "STUDYKIT_TRAIN_UNTESTED"
CUT_OFF = 124
"""Exit status of what was ended by its time, as of ``timeout``."""
_FAILED = re.compile(
    r"^(?:\[gw\d+\] \[ *\d+%\] )?(?:FAILED|ERROR) (\S+::.+?)(?: - .*)?\s*$"
    r"|^(\S+::.+) (?:FAILED|ERROR)\s+\[ *\d+%\]\s*$"
)


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
        names = ", ".join(map(str, split(path)))
        print(f"{names}: {megabytes:.1f} MB, after {time.monotonic() - start:.0f} s", flush=True)


def _work(manifest: Manifest, root: Path, end: float) -> int:
    source, logs = root / "source", root / "logs"
    here = _tested_here(manifest, root)
    known, failed = _text(logs / PASSED) == here, ()
    if not known:
        status, failed = _test(root)
        if failed and os.environ.get(UNTESTED) != "1":
            _say(root, "tests", f"tests of the card that failed: {', '.join(failed)}")
            print(f"nothing is trained on it; {UNTESTED}=1 trains all the same", flush=True)
            return status
        if status == CUT_OFF:
            _say(root, "tests", f"cut off after {TEST_SECONDS} s, the tests that came to their end passed")
        elif not failed:
            (logs / PASSED).write_text(here, encoding="utf-8")
    if not (known and (logs / "benchmarks.log").exists()):
        script = str(source / "benchmarks" / "run.py")
        left = min(BENCHMARK_SECONDS, (end - time.monotonic()) / 6)
        _logged([script, BENCHMARK], root, "benchmarks", left, module=False)
    done = _run_studies(manifest, root, end)
    if failed:
        _say(root, "run", f"trained all the same; tests of the card that failed: {', '.join(failed)}")
    return done


def _run_studies(manifest: Manifest, root: Path, end: float) -> int:
    """Run the studies, then those that run once more; each has its share of the time that is left by then.

    One that is still at work when all has to be over is ended, so that what there is can be packed.
    """
    calls: list[tuple[str, Sequence[str], Mapping[str, Any]]] = [("run", manifest.studies, {})]
    calls += [(f"run-{study}", [study], given) for study, given in manifest.further.items()]
    worst, waiting = 0, len(manifest.studies) + len(manifest.further)
    for name, studies, given in calls:
        minutes = max(end - time.monotonic(), 1) / 60 * len(studies) / waiting
        waiting -= len(studies)
        call = ["studykit", "run", *studies, "--profile", manifest.profile, "--minutes", f"{minutes:.2f}"]
        for parameter, value in given.items():
            call += ["-p", parameter, value if isinstance(value, str) else json.dumps(value)]
        left = max(end - time.monotonic(), 1) + LATE_SECONDS
        done = _logged([*call, "--on-a-card", str(manifest.on_a_card)], root, name, left)
        worst = max(worst, done)
    return worst


def _test(root: Path) -> tuple[int, tuple[str, ...]]:
    """Exit status of the tests of the card, and what failed, be it before they were cut off."""
    source = root / "source"
    files = [path for path in sorted((source / "tests").rglob("test_*.py")) if "mark.gpu" in path.read_text()]
    tests = [
        "pytest",
        "-v",
        "-m",
        "gpu",
        "-p",
        "no:cacheprovider",
        *(["-n", str(TEST_PROCESSES)] if find_spec("xdist") else []),
        *(str(p.relative_to(source)) for p in files),
    ]
    status = _logged(tests, root, "tests", TEST_SECONDS)
    failed = failed_tests(_text(root / "logs" / "tests.log"))
    unnamed = () if status in (0, CUT_OFF) else (f"pytest, exit status {status}",)
    return status, failed or unnamed


def failed_tests(log: str) -> tuple[str, ...]:
    """Names of the tests that failed, each once, from what ``pytest -v`` says, with xdist or without.

    >>> failed_tests("tests/test_a.py::test_b[x y] FAILED   [ 50%]")
    ('tests/test_a.py::test_b[x y]',)
    """
    found = (_FAILED.match(line) for line in log.splitlines())
    return tuple(dict.fromkeys(match[1] or match[2] for match in found if match))


def _tested_here(manifest: Manifest, root: Path) -> str:
    """What the tests are of: this commit, on these cards, with this torch."""
    have = json.loads(_text(root / NODE) or "{}")
    cards = [name for name, _ in have.get("cards", [])]
    return json.dumps({"commit": manifest.commit, "torch": have.get("torch"), "cards": cards})


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


def _say(root: Path, name: str, words: str) -> None:
    """Show words, and keep them at the end of a log."""
    print(words, flush=True)
    with open(root / "logs" / f"{name}.log", "a", encoding="utf-8") as log:
        log.write(f"{words}\n")


def _logged(arguments: Sequence[str], root: Path, name: str, seconds: float, *, module: bool = True) -> int:
    """Run a module or a script of Python; what it says is shown, and kept as a log. Gives its exit status."""
    command = [sys.executable, *(["-P", "-m"] if module else []), *arguments]
    start = time.monotonic()
    with open(root / "logs" / f"{name}.log", "w+b") as log:
        child: subprocess.Popen[Any] = subprocess.Popen(
            command, cwd=root / "source", stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        print(f"{name}:", flush=True)
        try:
            status = _follow(child, log.name, start + seconds)
        finally:
            _end(child)
    print(f"  {name}: exit status {status} after {time.monotonic() - start:.0f} s", flush=True)
    return status


def _follow(child: "subprocess.Popen[Any]", log: str, end: float) -> int:
    """Show a log as it grows, until its process ends or its time is over (:data:`CUT_OFF`)."""
    with open(log, encoding="utf-8", errors="replace") as lines:
        while True:
            status = child.poll()
            for line in lines:
                print(f"  {line}", end="", flush=True)
            if status is not None:
                return status
            if time.monotonic() > end:
                return CUT_OFF
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
