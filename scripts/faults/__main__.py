"""``make faults``: what studykit survives, counted, into ``results/faults.md``.

Each trial is a process of its own, forked from this one. ``--share`` makes a part of the trials. Disks are
mounted and users changed where this is root; what cannot be tried here is told in the table.
"""

import argparse
import io
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
LISTED = 10_000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=1.0, help="of the trials (default 1)")
    parser.add_argument("--seed", type=int, default=0, help="of where and when (default 0)")
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "faults.md")
    options = parser.parse_args()
    sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "data"), str(ROOT)]
    from studykit.runs.provenance import in_words, provenance

    start, code = time.monotonic(), provenance()
    base = Path(tempfile.mkdtemp(prefix="faults-"))
    base.chmod(0o755)
    try:
        rows = trials(base, random.Random(options.seed), options.share)
    finally:
        shutil.rmtree(base, ignore_errors=True)
    from table import markdown, write

    minutes = (time.monotonic() - start) / 60
    share = "" if options.share == 1 else f", {options.share:.0%} of the trials"
    facts = f"{minutes:.1f} minutes{share}, {in_words(code)}"
    write(options.out, markdown(rows, facts))
    return any(row.losses for row in rows)


def trials(base: Path, chance: random.Random, share: float) -> list:
    """All rows, made by two processes."""
    own = {"STUDYKIT_DATA": str(base / "data"), "STUDYKIT_RESULTS": str(base / "results")}
    real_results = ROOT / "results"
    os.environ.update({**own, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive", "TQDM_DISABLE": "1"})
    import torch

    torch.set_num_threads(1)
    import disks
    import hostile
    import kills
    import surroundings
    import volumes
    import writers
    from children import Child
    from tiny_study import write_heads
    from trainings import Toy

    for module in (kills, disks, writers):
        module.results_dir = lambda: real_results
    heads = write_heads(base / "heads")
    toy = Toy(heads, base / "toy")
    first = [kills.rows(toy, heads, chance, share)]
    second = [
        disks.rows(toy, heads, chance, share),
        surroundings.rows(toy, chance, share),
        volumes.rows(base, chance, share),
        hostile.rows(toy, chance, share),
        (listing(base) for _ in range(1)),
    ]
    drivers = [Child(lambda part=part: told(part), quiet=False) for part in (first, second)]
    ends = [driver.wait() for driver in drivers]
    if errors := [end.error for end in ends if end.error]:
        raise RuntimeError("; ".join(errors))
    return [row for end in ends for row in end.value]


def told(groups: Iterable[Iterable[Any]]) -> list:
    """All rows of some groups; each is printed as it is done."""
    found = []
    for group in groups:
        for row in group:
            found.append(row)
            print(f"{row.survived:>4} of {row.made:<4} {row.fault}; {row.seen}", flush=True)
            for loss in row.losses:
                print(f"      {loss}", flush=True)
    return found


def listing(base: Path) -> object:
    """A store of ten thousand runs, listed by ``studykit runs list``."""
    from table import Row
    from tiny_run import config

    from studykit.cli import main
    from studykit.runs.store import Status, run_hash

    row, root = (
        Row(f"a store of {LISTED:,} runs", "listed in under a second of the processor"),
        base / "many" / "runs",
    )
    plain = json.loads(json.dumps(config()))
    record = {"loss": 0.1234567, "val/error": None, "lr": 0.0001, "seconds": 123.456}
    metrics = "".join(json.dumps({"step": step, **record}) + "\n" for step in range(0, 401, 10))
    for seed in range(LISTED):
        own = plain | {"seeds": {"init": seed, "training": 0}}
        folder = root / run_hash(own)
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps(own))
        status = Status("done", f"an arm, seed {seed}", "", "", "", 1, 1, "here")
        (folder / "status.json").write_text(json.dumps(asdict(status)))
        (folder / "metrics.jsonl").write_text(metrics)
    took = []
    os.environ["STUDYKIT_RESULTS"] = str(root.parent)
    for _ in range(5):
        start, said = time.process_time(), io.StringIO()
        with redirect_stdout(said):
            main(["runs", "list"])
        took.append(time.process_time() - start)
        assert said.getvalue().count(f" of {plain['training']['steps']} ") == LISTED
    row.count("" if min(took) < 1 else f"{min(took):.2f} s")
    row.seen = f"{min(took):.2f} s, the best of five"
    return row


if __name__ == "__main__":
    sys.exit(main())
