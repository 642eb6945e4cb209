"""Notebooks in a batch: run apart, stopped in time, and away from the evidence where they fail."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from tiny_notebook import printed, write_notebook

from studykit import home
from studykit.notebooks import batch, run_batch
from studykit.notebooks import execution as executed


def test_a_batch_of_two_jobs_with_a_failure_and_the_summary_last(checkout):
    evidence = checkout / "results" / "bad" / "laptop" / "02_bad.ipynb"
    evidence.parent.mkdir(parents=True)
    evidence.write_text("earlier evidence")
    own = checkout / "own volumes"
    told = []
    executions = run_batch(
        ["99_summary", "02_bad", "good", "01_good"],
        {"profile": "laptop", "data": f"folder:{own}"},
        jobs=2,
        announce=told.append,
    )
    assert executions == told and executions[-1].notebook == "99_summary"
    by_name = {execution.notebook: execution for execution in executions}
    assert sorted(by_name) == ["01_good", "02_bad", "99_summary"] and len(executions) == 3

    bad = by_name["02_bad"]
    assert "ValueError: this cell fails" in bad.error and bad.seconds > 0
    assert evidence.read_text(encoding="utf-8") == "earlier evidence"
    assert bad.output.parent == checkout / "results" / "batch" and "before" in printed(bad.output)

    good = by_name["01_good"]
    assert good.error == "" and good.output == checkout / "results" / "good" / "laptop-own" / "01_good.ipynb"
    text = good.output.read_text(encoding="utf-8")
    assert "laptop a = b # c folder:own volumes" in printed(good.output)
    assert printed(good.output).splitlines()[1] == "studykit/notebooks python results ~"
    for place in (checkout, own, sys.prefix, Path.home()):
        assert str(place) not in text
    assert "papermill" not in json.loads(text)["metadata"]
    assert all(cell["metadata"].keys() <= {"tags"} for cell in json.loads(text)["cells"])

    assert "'01_good'" in printed(by_name["99_summary"].output), "it reads what the others wrote"
    left = {path.name for path in bad.output.parent.iterdir()}
    assert left == {bad.output.name, bad.log.name}, "drafts and logs of the rest are gone"
    assert "ValueError: this cell fails" in bad.log.read_text(encoding="utf-8")


@pytest.fixture
def ends(checkout, monkeypatch):
    """Notebooks take 100 s each and nothing is run; when each was told to be over, and its limit."""
    told, now = [], [1000.0]

    def pretend(source, draft, parameters, *, variables, limit, **_):
        told.append((variables.get(home.UNTIL), limit))
        shutil.copy(source, draft)
        now[0] += 100
        return ""

    monkeypatch.setattr(executed, "execute", pretend)
    for module in (executed, batch):
        monkeypatch.setattr(module.time, "time", lambda: now[0])
    return told


def test_notebooks_share_the_minutes_that_are_left(ends):
    run_batch(["01_good", "02_bad", "99_summary"], {}, minutes=10)
    assert ends == [("1200.0", 200.0), ("1350.0", 250.0), ("1600.0", 400.0)]


def test_without_minutes_there_is_no_end_and_a_limit_stays_one(ends):
    run_batch(["01_good"], {}, limit_seconds=7)
    run_batch(["01_good"], {}, limit_seconds=7, minutes=10)
    assert ends == [(None, 7), ("1700.0", 7)]


@pytest.mark.parametrize(("minutes", "jobs"), [(0, 1), (-1, 1), (float("nan"), 1), (5, 2)])
def test_minutes_that_cannot_be_spent_are_refused(ends, minutes, jobs):
    with pytest.raises(ValueError, match="minutes must be above 0 and are spent on one job at a time"):
        run_batch(["01_good"], {}, minutes=minutes, jobs=jobs)
    assert ends == []


def test_a_kernel_knows_when_it_has_to_be_over(checkout):
    write_notebook(checkout / "notebooks" / "01_good.ipynb", "print(home.until())")
    [done] = run_batch(["01_good"], {}, minutes=5)
    assert 200 < float(printed(done.output).split()[-1]) - time.time() < 300


def kernels(data):
    """Kernels of this machine that work for the notebook which got this folder."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or ())
        if "ipykernel_launcher" in line or "studykit.notebooks.kernel" in line:
            with contextlib.suppress(psutil.Error):
                if str(data) in " ".join([line, *process.environ().values()]):
                    found.append(process)
    return found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_whoever_stops_a_batch_stops_its_kernels_which_save(checkout, tmp_path, number):
    command = [sys.executable, "-m", "studykit", "run", "slow", "-p", "data", f"folder:{tmp_path}"]
    environment = os.environ | {"STUDYKIT_RESULTS": str(tmp_path / "results")}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as batch_process:
        deadline = time.monotonic() + 120
        while not (tmp_path / "started").exists():
            assert batch_process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        assert kernels(tmp_path)
        batch_process.send_signal(number)
        said = batch_process.communicate(timeout=120)[1]
    if number != signal.SIGKILL:
        assert batch_process.returncode == 130 and "the same call goes on from the last checkpoints" in said
    while kernels(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert (tmp_path / "saved").exists() and not kernels(tmp_path)


def test_an_end_with_force_cancels_what_is_still_queued(checkout, monkeypatch):
    started = []

    def stop(stem, *_, **__):
        started.append(stem)
        time.sleep(0.3)
        raise KeyboardInterrupt

    monkeypatch.setattr(batch, "run_notebook", stop)
    with pytest.raises(KeyboardInterrupt):
        run_batch(["01_good", "02_bad", "03_slow", "99_summary"], {})
    assert "03_slow" not in started and "99_summary" not in started
