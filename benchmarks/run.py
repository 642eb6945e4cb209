"""Runs benchmarks one after the other, each in a process of its own, on every kind of hardware at hand."""

import argparse
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from kinds import kind, kinds

FOLDER = Path(__file__).parent
NAMES = tuple(sorted(path.stem.removeprefix("bench_") for path in FOLDER.glob("bench_*.py")))
PEERS = {"cohort": "torchio", "gradient_conductor": "quadprog"}
"""Packages that a benchmark needs, of the extra ``peers``, which ``make benchmarks`` installs."""


PASSIVE = {"OMP_WAIT_POLICY": "passive"}
"""As in trainings: threads that wait sleep, so that a busy machine costs its share and not many times it."""
SEVERAL_THREADS = ("beside", "card", "check", "coverage", "mae_step", "reopen", "swin_block")
"""Timed by the clock. The others are seconds of processor on one thread, as small networks train."""


def main(names: list[str], quick: bool) -> int:
    """Exit status: the number of runs that failed. How fast something is fails nothing."""
    failed = 0
    for name in names:
        if name in PEERS and find_spec(PEERS[name]) is None:
            print(
                f"{name}: left out, as {PEERS[name]} is not installed: pip install -e '.[peers]'\n",
                flush=True,
            )
            continue
        for label, environment in ({kind(): {}} if quick else kinds()).items():
            print(f"{name}, {label}", flush=True)
            command = [sys.executable, FOLDER / f"bench_{name}.py", *(["--quick"] if quick else [])]
            single = {} if name in SEVERAL_THREADS or label == "cuda" else {"OMP_NUM_THREADS": "1"}
            environment = {**PASSIVE, **os.environ, **environment, **single}
            failed += subprocess.run(command, env=environment).returncode != 0
    return failed


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; all by default")
    parser.add_argument("--quick", action="store_true", help="few rounds, one kind, and nothing is written")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(NAMES):
        parser.error(f"unknown benchmarks: {', '.join(sorted(unknown))}; known: {', '.join(NAMES)}")
    sys.exit(main(arguments.names or list(NAMES), arguments.quick))
