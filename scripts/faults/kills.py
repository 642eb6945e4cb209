"""SIGKILL at random moments: in training, while checkpoints or evidence are written, in a batch."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
from children import Child, run
from table import Row
from tiny_notebook import write_notebook
from trainings import Toy, digest_of

from studykit.claims.paper import load_papers
from studykit.home import results_dir
from studykit.report.record import FILE, read_verdicts, write_verdicts
from studykit.training.checkpoint import CHECKPOINT

LOOK_SECONDS = 0.0005
CELL = """from tiny_study import BERTSWIN, STUDY, tiny_profile
from dataclasses import replace
from studykit.arms import profiles
from studykit.study import open_study
profiles.PRETRAINING["smoke"] = replace(tiny_profile(), steps=60, checkpoint_every=5, eval_every=30)
study = open_study(STUDY, data=data, seeds=[0])
print(study.run(study.arm("BertsWin", "bertswin", **BERTSWIN)).state)"""


def training(toy: Toy, chance: random.Random, times: int) -> Row:
    """At any moment from the fork to the end."""
    row = Row("kill -9 in training", "begins at the step of its last checkpoint, ends in the same bits")
    lost = []
    for trial in range(times):
        root = toy.folder / f"training-{trial}"
        child = Child(lambda root=root: toy.train(root))
        time.sleep(chance.uniform(0, toy.seconds))
        child.kill()
        child.wait()
        lost.append(toy.saved_step(root))
        row.count(toy.finish(root))
        shutil.rmtree(root)
    row.seen = f"killed between steps {min(lost)} and {max(lost)} of the last checkpoint"
    return row


def checkpoints(toy: Toy, chance: random.Random, times: int) -> Row:
    """At a moment at which the draft of a checkpoint lies there."""
    row = Row("kill -9 while a checkpoint is written", "the one before is whole, ends in the same bits")
    hit = 0
    for trial in range(times):
        root = toy.folder / f"checkpoint-{trial}"
        child, folder = Child(lambda root=root: toy.train(root)), toy.run_in(root).folder
        nth, seen, end = chance.randrange(1, 6), 0, time.monotonic() + 10 * toy.seconds + 5
        drafts: set[str] = set()
        while seen < nth and time.monotonic() < end:
            new = {path.name for path in folder.glob(".checkpoint.pt.*")} - drafts
            seen, drafts = seen + bool(new), drafts | new
            time.sleep(LOOK_SECONDS)
        time.sleep(chance.uniform(0, 0.003))
        child.kill()
        child.wait()
        hit += any(folder.glob(".checkpoint.pt.*"))
        row.count(toy.finish(root))
        shutil.rmtree(root)
    row.seen = f"{hit} left half a draft"
    return row


def evidence(folder: Path, chance: random.Random, times: int) -> Row:
    """While the verdicts of a study are written over and over, in one of two forms."""
    row = Row(
        "kill -9 while evidence is written", "verdict.json is whole; concluded again, it is as if unbroken"
    )
    source = next(path for path in sorted(results_dir().glob(f"*/laptop/{FILE}")))
    study = source.parents[1].name
    records = read_verdicts(source.parent)
    assert load_papers(), "the papers are at hand"
    place = folder / "evidence"

    def conclude(turn: int, place: Path = place) -> None:
        own = [type(r).from_dict(r.to_dict() | {"data": f"turn {turn}"}) for r in records]
        write_verdicts(place, study, "laptop", own)

    def forever() -> None:
        for turn in range(10**9):
            conclude(turn % 2)

    conclude(0, folder / "unbroken")
    unbroken = (folder / "unbroken" / FILE).read_bytes()
    for _ in range(times):
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        child = Child(forever)
        while not (place / FILE).exists():
            time.sleep(LOOK_SECONDS)
        time.sleep(chance.uniform(0, 0.1))
        child.kill()
        child.wait()
        try:
            found = read_verdicts(place, study, "laptop")
            same = len({record.data for record in found}) == 1 and len(found) == len(records)
            again = run(lambda: conclude(0)).error
            as_unbroken = (place / FILE).read_bytes() == unbroken
            loss = "" if as_unbroken else "concluded again, it is another one"
            row.count(again or loss if same else "a mixture of both")
        except ValueError as error:
            row.count(str(error))
    return row


def batches(toy: Toy, heads: Path, chance: random.Random, times: int) -> Row:
    """Any one process of ``studykit run``: the command, papermill, the kernel; then the same call again."""
    row = Row("kill -9 of a process of studykit run", "the same call ends with the bits of an unbroken one")
    checkout = toy.folder / "checkout"
    shutil.copytree(Path(__file__).parents[2] / "papers", checkout / "papers")
    (checkout / "notebooks").mkdir()
    write_notebook(checkout / "notebooks" / "01_bertswin_convergence.ipynb", CELL)
    victims: dict[str, int] = {}
    status, expected = _batch(checkout, heads, toy.folder / "whole", None, chance, victims)
    assert status == 0 and expected, "the batch cannot be run unbroken"
    for trial in range(times):
        results = toy.folder / f"batch-{trial}"
        kind = ("command", "papermill", "kernel")[trial % 3]
        _batch(checkout, heads, results, kind, chance, victims)
        status, found = _batch(checkout, heads, results, None, chance, victims)
        row.count("" if status == 0 and found == expected else f"status {status}, other results")
    row.seen = ", ".join(f"{count} × {name}" for name, count in victims.items())
    return row


def _batch(
    checkout: Path,
    heads: Path,
    results: Path,
    kind: str | None,
    chance: random.Random,
    victims: dict[str, int],
) -> tuple[int, dict[str, str]]:
    """Exit status, and of a batch that was not broken the digest of every run, by its key."""
    tests = Path(__file__).parents[2] / "tests"
    path = os.pathsep.join(filter(None, [str(tests), os.environ.get("PYTHONPATH", "")]))
    own = {"STUDYKIT_HOME": str(checkout), "STUDYKIT_RESULTS": str(results), "PYTHONPATH": path}
    command = [
        sys.executable,
        "-m",
        "studykit",
        "run",
        "bertswin-convergence",
        "-p",
        "data",
        f"folder:{heads}",
    ]
    batch = subprocess.Popen(
        command, env=os.environ | own, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    if kind is not None:
        while batch.poll() is None and not any(results.glob("runs/*/metrics.jsonl")):
            time.sleep(0.01)
        time.sleep(chance.uniform(0, 1.0))
        if batch.poll() is None:
            family = [psutil.Process(batch.pid), *psutil.Process(batch.pid).children(recursive=True)]
            victim = family[min(("command", "papermill", "kernel").index(kind), len(family) - 1)]
            victims[kind] = victims.get(kind, 0) + 1
            victim.send_signal(signal.SIGKILL)
            psutil.wait_procs(family, timeout=60)
    status = batch.wait()
    ended = results.glob(f"runs/*/{CHECKPOINT}") if kind is None else ()
    return status, {path.parent.name: digest_of(path.parent) for path in ended}


def rows(toy: Toy, heads: Path, chance: random.Random, share: float) -> Iterator[Row]:
    """Fifty kills, or a share of them."""
    yield training(toy, chance, max(round(24 * share), 1))
    yield checkpoints(toy, chance, max(round(14 * share), 1))
    yield evidence(toy.folder, chance, max(round(6 * share), 1))
    yield batches(toy, heads, chance, max(round(6 * share), 1))
