"""Verbs on trainings of this machine: runs (what is going on now), runs list, runs clean."""

import argparse
import gc
from collections.abc import Iterator
from contextlib import contextmanager

from studykit.cli.words import known_states, print_columns


def add_verbs(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    runs = verbs.add_parser("runs", help="trainings on this machine; alone, what is going on now")
    runs.set_defaults(action=now)
    parts = runs.add_subparsers(metavar="COMMAND")
    verb = parts.add_parser("list", help="state, steps and folder of every run")
    verb.set_defaults(action=list_runs)
    verb = parts.add_parser("clean", help="remove runs by state")
    states = verb.add_argument("state", nargs="+", help="interrupted, done, diverged, collapsed or error")
    states.completer = known_states
    verb.set_defaults(action=clean)


def now(options: argparse.Namespace) -> int:
    from studykit.home import runs_dir
    from studykit.runs.now import notes
    from studykit.runs.outlook import outlooks

    found = notes(runs_dir())
    for note in found:
        print(f"{note.line(words=True)} (process {note.pid} on {note.host})")
    at_work = {note.key for note in found}
    for ahead in outlooks(runs_dir()):
        if at_work & ahead.ahead.keys():
            print(ahead.line(runs_dir()))
    if not found:
        print("no training is at work; studykit run goes on with those that were interrupted")
    return 0


def list_runs(options: argparse.Namespace) -> int:
    from studykit.home import runs_dir
    from studykit.runs.store import RunStore
    from studykit.training.records import METRICS, last_record

    lines = [["run", "state", "steps", "folder"]]
    with _nothing_collected():
        for run, state in RunStore(runs_dir()).states():
            done = last_record(f"{run.folder}/{METRICS}").get("step", 0)
            steps = f"{done} of {run.config['training']['steps']}"
            lines.append([run.label, str(state), steps, run.key])
    print_columns(lines)
    return 0


@contextmanager
def _nothing_collected() -> Iterator[None]:
    """Ten thousand configurations have no circles; looking for some takes a fifth of the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def clean(options: argparse.Namespace) -> int:
    from studykit.home import runs_dir
    from studykit.notebooks.unchanged import forget
    from studykit.runs.store import RunStore

    removed = RunStore(runs_dir()).clean(options.state)
    if removed:
        forget()
    print(f"removed {len(removed)} run(s)")
    return 0
