"""Two at one run, a clock that jumps back, no home, read-only results, odd names."""

import os
import pwd
import random
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from children import Child, run
from disks import small_disk
from table import Row
from trainings import Toy

from studykit.home import data_dir
from studykit.runs.store import Run, RunStore
from studykit.runs.training_run import work

DAY = 86_400.0


def rows(toy: Toy, chance: random.Random, share: float) -> Iterator[Row]:
    yield two_at_once(toy, chance, max(round(8 * share), 1))
    yield clock_back(toy, chance, max(round(6 * share), 1))
    yield read_only(toy)
    yield no_home(toy)
    yield odd_names(toy)


def two_at_once(toy: Toy, chance: random.Random, times: int) -> Row:
    row = Row("two processes at one run", "one trains, the other waits and reuses it; the same bits")
    for trial in range(times):
        root = toy.folder / f"two-{trial}"
        first = Child(lambda root=root: toy.train(root))
        time.sleep(chance.uniform(0, toy.seconds / 2))
        second = Child(lambda root=root: toy.train(root))
        ends = [child.wait(240) for child in (first, second)]
        said = [end.error for end in ends if end.error]
        attempts = toy.run_in(root).status.attempts
        other = "" if toy.result(root) == toy.reference else "other bits"
        row.count("; ".join(said) or other or ("" if attempts == 1 else f"{attempts} trained"))
    return row


def clock_back(toy: Toy, chance: random.Random, times: int) -> Row:
    """The clock of the system, as Python reads it, jumps back by a day in the middle."""
    row = Row("clock jumps back a day", "the training goes on, and a killed one is taken up")
    real = time.time

    def jump(own: Run) -> None:
        at = real() + chance.uniform(0, toy.seconds / 2)
        time.time = lambda: real() - (DAY if real() > at else 0.0)

    for trial in range(times):
        root = toy.folder / f"clock-{trial}"
        child = Child(lambda root=root: toy.train(root, jump))
        if trial % 2:
            time.sleep(chance.uniform(0, toy.seconds))
            child.kill()
        end = child.wait(120)
        loss = end.error if not trial % 2 else ""
        lease = toy.run_in(root).folder.parent / ".locks" / f"{toy.run_in(root).key}.lease"
        if lease.exists():
            os.utime(lease, (real() + DAY, real() + DAY))
        row.count(loss or toy.finish(root))
    return row


def read_only(toy: Toy) -> Row:
    """A disk with one finished run on it, then mounted read-only."""
    row = Row("read-only results", "what is done is read, what is not is refused by name")
    another = toy.config | {"seeds": {"init": 9, "training": 9}}
    try:
        with small_disk(toy.folder / "read-only") as disk:
            run(lambda: toy.train(disk))
            subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
            found = run(lambda: [str(one.state) for one in RunStore(disk).list()] + [toy.train(disk)])
            row.count("" if found.value == ["done", "done"] else f"reading: {found.error or found.value}")
            said = run(lambda: RunStore(disk).execute(another, "another", work)).error
            row.count("" if "Read-only" in said and str(disk) in said else f"writing: {said}")
    except OSError as error:
        row.seen = f"not tried: {error}"
    return row


def no_home(toy: Toy) -> Row:
    """A container's user: without a name, without a home."""
    row = Row("no home, unknown user", "a run is made where the folders are given; without them it is told")

    def nobody() -> None:
        for name in ("HOME", "XDG_CACHE_HOME"):
            os.environ.pop(name, None)
        pwd.getpwuid = pwd.getpwnam = _unknown

    def train() -> str:
        nobody()
        return toy.train(toy.folder / "homeless")

    def look() -> Path:
        nobody()
        del os.environ["STUDYKIT_DATA"]
        return data_dir()

    end = run(train, limit=120)
    same = end.value == "done" and toy.result(toy.folder / "homeless") == toy.reference
    row.count("" if same else end.error or "other bits")
    said = run(look)
    row.count("" if "set STUDYKIT_DATA" in said.error else f"it took {said.value}")
    return row


def _unknown(who: object) -> None:
    raise KeyError(who)


def odd_names(toy: Toy) -> Row:
    row = Row("odd names of folders", "the same bits")
    for name in ("with spaces in it", "Ergebnisse für Müller", "結果 ☃", "a'b\"c", "-dash", "x" * 120):
        end = run(lambda root=toy.folder / name: toy.train(root), limit=120)
        same = not end.error and toy.result(toy.folder / name) == toy.reference
        row.count("" if same else f"{name!r}: {end.error or 'other bits'}")
    return row
