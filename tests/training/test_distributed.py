"""Several processes train as one, stop as one, and are launched, stopped and heard by one."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
import toy_training
from toy_training import config, train_toy

from studykit.training import distributed
from studykit.training.checkpoint import load_checkpoint
from studykit.training.distributed import World, distributed_world, launch
from studykit.training.records import read_records
from studykit.training.signals import stop_on_signal


def saved(folder: Path) -> dict:
    content = torch.load(folder / "checkpoint.pt", weights_only=True)
    return load_checkpoint(folder / "checkpoint.pt", content["configuration"])


SRUN = """#!/bin/sh
# Two nodes on one machine: starts a command twice and hands SIGTERM on, as srun does.
while case "$1" in --*) true;; *) false;; esac; do shift; done
"$@" & first=$!
"$@" & second=$!
trap 'kill -TERM $first $second' TERM
while kill -0 $first 2>/dev/null; do wait $first; status=$?; done
wait $second && exit $status
"""


def pretend_two_nodes(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """As in a job of Slurm with two nodes, which are both this machine."""
    (folder / "srun").write_text(SRUN)
    (folder / "srun").chmod(0o755)
    patch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    patch.setenv("SLURMD_NODENAME", "localhost")
    patch.setenv(distributed.NODES, "2")


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the trainings that two gloo processes made: see the task ``ranks`` of toy_training.

    Each is a node of a job; on one machine, :func:`launch` is held by a study's own test of two processes.
    """
    folder = tmp_path_factory.mktemp("ranks")
    with pytest.MonkeyPatch.context() as patch:
        pretend_two_nodes(folder, patch)
        assert launch([toy_training.__file__, "ranks", str(folder)], 2, log=folder / "torchrun.log")
    return folder


@pytest.mark.parametrize("accumulate", [1, 2])
def test_two_processes_train_as_one(ranks: Path, tmp_path: Path, accumulate: int) -> None:
    _, single = train_toy(tmp_path, config(steps=2), dropout=0.0)
    folder = ranks / f"accumulate{accumulate}"
    together, alone = saved(folder), saved(tmp_path)
    for name, value in single.state_dict().items():
        torch.testing.assert_close(together["method"][name], value, rtol=1e-5, atol=1e-6)
    for one, other in zip(
        together["optimizer"]["state"].values(), alone["optimizer"]["state"].values(), strict=True
    ):
        torch.testing.assert_close(one["exp_avg"], other["exp_avg"], rtol=1e-4, atol=1e-7)
    record, expected = (read_records(place / "metrics.jsonl")[-1] for place in (folder, tmp_path))
    for name in ("step", "samples", "lr", "train/hidden", "train/total", "grad_norm", "val/error"):
        assert record[name] == pytest.approx(expected[name], rel=1e-5), name


def test_a_signal_to_one_rank_stops_all_and_they_resume_bit_equal(ranks: Path) -> None:
    outcomes = [json.loads((ranks / f"rank{rank}.json").read_text(encoding="utf-8")) for rank in (0, 1)]
    for outcome in outcomes:
        assert (outcome["stopped"]["state"], outcome["stopped"]["step"]) == ("interrupted", 6)
        assert outcome["resumed"]["state"] == outcome["whole"]["state"] == "done"
    assert "stopped by SIGTERM" in outcomes[1]["stopped"]["message"]
    resumed, whole = saved(ranks / "stopped"), saved(ranks / "whole")
    assert len(whole["random"]) == 2
    assert not torch.equal(whole["random"][0]["cpu"], whole["random"][1]["cpu"]), "dropout differs by rank"
    for name, value in whole["method"].items():
        assert torch.equal(resumed["method"][name], value), name
    steps = [record["step"] for record in read_records(ranks / "stopped" / "metrics.jsonl")]
    assert steps == [0, 4, 8, 12]


def test_no_thread_of_the_group_outlives_it(ranks: Path) -> None:
    for rank in (0, 1):
        assert json.loads((ranks / f"rank{rank}.json").read_text(encoding="utf-8"))["threads left"] == []


def test_training_of_two_goes_on_with_one(ranks: Path) -> None:
    outcome, _ = train_toy(ranks / "whole")
    assert (outcome.state, outcome.step) == ("done", 12)


@pytest.mark.parametrize("nodes", [1, 2])
def test_launch_passes_a_signal_on_and_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nodes: int
) -> None:
    if nodes == 2:
        pretend_two_nodes(tmp_path, monkeypatch)
    worker = tmp_path / "worker.py"
    worker.write_text(
        "import os, pathlib, signal, sys, time\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "def save(*_):\n"
        "    time.sleep(0.3)\n"
        "    (folder / f'saved{os.environ[\"RANK\"]}').touch()\n"
        "    sys.exit()\n"
        "signal.signal(signal.SIGTERM, save)\n"
        "(folder / f'ready{os.environ[\"RANK\"]}').touch()\n"
        "time.sleep(60)\n"
    )

    def interrupt() -> None:
        while len(list(tmp_path.glob("ready*"))) < nodes:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    assert launch([str(worker), str(tmp_path)], nodes, log=tmp_path / "torchrun.log") is False
    assert len(list(tmp_path.glob("saved*"))) == nodes


def test_processes_that_the_nodes_of_a_job_cannot_share_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(distributed.NODES, "2")
    with pytest.raises(ValueError, match="3, which the 2 nodes of this job cannot share evenly"):
        launch(["x.py"], 3, log=tmp_path / "log")


def test_failure_shows_the_end_of_the_output(tmp_path: Path) -> None:
    worker = tmp_path / "worker.py"
    worker.write_text("raise SystemExit('no volume was found')\n")
    match = r"2 process\(es\) ended with exit code 1; from .*torchrun\.log:(?s:.*)no volume was found"
    with pytest.raises(RuntimeError, match=match) as failure:
        launch([str(worker)], 2, log=tmp_path / "torchrun.log")
    assert "failed (exitcode" not in str(failure.value), "torchrun's own report would hide the reason"


def test_orphan_is_told_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    launcher = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    monkeypatch.setenv(distributed.LAUNCHER, str(launcher.pid))
    with stop_on_signal(insist=False) as stop:
        distributed._follow_launcher()
        assert stop.received is None
        launcher.kill()
        launcher.wait()
        deadline = time.monotonic() + 10
        while stop.received is None and time.monotonic() < deadline:
            time.sleep(0.02)
        assert stop.received == "SIGTERM"


def test_rows_cover_the_batch_once() -> None:
    parts = [World(rank, 4).rows(24, 3) for rank in range(4)]
    assert [list(range(24))[rows] for rows in parts] == [list(range(6 * r, 6 * r + 6)) for r in range(4)]


def test_batch_that_cannot_be_shared_is_refused() -> None:
    with pytest.raises(ValueError, match=r"batch_size 12 cannot be shared by 4 .* 2 equal .* multiple of 8"):
        World(0, 4).rows(12, 2)


def test_without_torchrun_there_is_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with distributed_world() as world:
        assert (world.rank, world.size, world.is_main) == (0, 1, True)


def test_half_an_environment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    with pytest.raises(ValueError, match="WORLD_SIZE is 2, but LOCAL_RANK is not set"), distributed_world():
        pass


def test_no_process_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nproc is 0"):
        launch(["worker.py"], 0, log=tmp_path / "torchrun.log")
