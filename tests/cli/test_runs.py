"""Runs: what goes on now, listed, cleaned."""

import os
import socket

from tiny_study import STUDY

from studykit import home
from studykit.runs.outlook import LookingAhead
from studykit.runs.store import RunStore
from studykit.runs.telling import telling


def test_runs_alone_says_what_goes_on_now(call, results):
    run = RunStore(home.runs_dir()).open({"training": {"steps": 40}}, "an arm, seed 0")
    assert call("runs").out.startswith("no training is at work")
    with telling(run, show=False) as tell:
        tell(10)
        assert call("runs").out.startswith("no training is at work"), "a note whose process is dead"
        with run.held(wait=False):
            said = call("runs")
    assert said.status == 0
    who = f"process {os.getpid()} on {socket.gethostname()}"
    assert said.out == f"an arm, seed 0: step 10 of 40 ({who})\n"
    with LookingAhead("a-study", [run], {run.key: 1.0}, pace=0.5):
        assert call("runs").out.startswith("no training is at work"), "it is between two trainings"
        with telling(run, show=False) as tell, run.held(wait=False):
            tell(10)
            assert "a-study: 1 training ahead, about " in call("runs").out
    assert call("runs").out.startswith("no training is at work")


def test_runs_are_listed_and_cleaned_by_state(call, tiny):
    study = tiny()
    study.arm("small", "mae", embed_dim=48, depth=1, num_heads=2, decoder_dim=24, decoder_num_heads=2)
    run = study.run("small")
    said = call("runs", "list")
    assert said.status == 0
    assert said.out.splitlines()[1].split() == [
        f"{STUDY}:", "small,", "seed", "0", "done", "4", "of", "4", run.folder.name,
    ]  # fmt: skip
    said = call("runs", "clean", "finished")
    assert said.status == 2 and "unknown state finished; known: running, interrupted, done" in said.err
    assert call("runs", "clean", "error", "diverged").out == "removed 0 run(s)\n" and run.folder.exists()
    assert call("runs", "clean", "done").out == "removed 1 run(s)\n" and not run.folder.exists()
    assert call("runs", "list").out == "run  state  steps  folder\n"
