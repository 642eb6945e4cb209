"""A batch is watched: in a terminal all the time, in a log once a minute; ``timeout`` ends it cleanly."""

import os
import pty
import re
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
from tiny_notebook import write_notebook

from studykit import home
from studykit.notebooks import batch
from studykit.notebooks.forecast import Forecast
from studykit.runs import board as boards
from studykit.runs.outlook import LookingAhead
from studykit.runs.store import RunStore

AT_WORK = """import os, time
from studykit.runs.outlook import LookingAhead
from studykit.runs.store import RunStore
from studykit.runs.telling import telling
from studykit.training.signals import stop_on_signal
run = RunStore(home.runs_dir()).open({"training": {"steps": 1000}}, "an arm, seed 0")
with LookingAhead("good", [run], {run.key: 1.0}), run.held(wait=False), telling(run, show=False) as tell:
    with stop_on_signal(insist=False) as stop:
        step = 0
        while not stop.received and step < LIMIT:
            step += 1
            tell(step)
            time.sleep(0.05)
if stop.received:
    Path(data.removeprefix("folder:"), "saved").touch()
    raise KeyboardInterrupt"""
WHOLE = r"0 of 2 notebooks done, about [\d.]+ (s|min) to go"
TRAINING = r"an arm, seed 0: +\d+%\|.*\| \d+/1000"


@pytest.fixture
def checkout(tmp_path, monkeypatch, results):
    """Two notebooks; the first trains for a minute."""
    root = tmp_path / "checkout"
    for name in ("papers", "notebooks"):
        (root / name).mkdir(parents=True)
    write_notebook(root / "notebooks" / "01_good.ipynb", AT_WORK.replace("LIMIT", "1000"))
    write_notebook(root / "notebooks" / "99_summary.ipynb", "print('all')")
    monkeypatch.setenv("STUDYKIT_HOME", str(root))
    return root


def command(tmp_path, *before):
    return [*before, sys.executable, "-m", "studykit", "run", "-p", "data", f"folder:{tmp_path}"]


def read(terminal):
    """What is written next; nothing once nobody writes any more."""
    try:
        return os.read(terminal, 4096).decode(errors="replace")
    except OSError:
        return ""


def test_a_terminal_shows_when_all_will_be_over_and_each_training(checkout, tmp_path):
    """The command in a terminal of its own, as a user sees it, until the time left is on the screen."""
    ours, theirs = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if name != "CI"}
    seen, deadline = "", time.monotonic() + 300
    with subprocess.Popen(command(tmp_path), env=environment, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        while not (re.search(WHOLE, seen) and re.search(TRAINING, seen)) and time.monotonic() < deadline:
            if not (said := read(ours)):
                break
            seen += said
        process.send_signal(signal.SIGTERM)
        while read(ours):
            pass
    os.close(ours)
    assert re.search(WHOLE, seen) and re.search(TRAINING, seen), seen[-2000:]
    assert process.returncode == 130 and (tmp_path / "saved").exists()


def test_a_log_gets_one_line_a_minute_with_the_time_left(results, monkeypatch, capsys):
    monkeypatch.setattr(boards.Board, "_surface", lambda self: (self._log, boards.LOG_SECONDS))
    clock = SimpleNamespace(seconds=0.0)
    monkeypatch.setattr(boards.time, "monotonic", lambda: clock.seconds)
    monkeypatch.setattr(batch, "_processes", lambda: {os.getpid(): "01_good"})
    forecast = Forecast({"01_good": {}, "02_next": {}}, jobs=1, cores=2)
    watch = batch._Watch(SimpleNamespace(received=""), forecast)
    run = RunStore(home.runs_dir()).open({"training": {"steps": 100}}, "an arm, seed 0")
    forecast.begin("01_good")
    with LookingAhead("good", [run], {run.key: 1.0}, pace=0.5):  # 200 s, and the next one as long as all
        for clock.seconds in range(0, 151, 10):
            watch.look()
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "0 of 2 notebooks done, about 8 min to go; 01_good: 60 s",
        "0 of 2 notebooks done, about 9 min to go; 01_good: 120 s",
    ]


def test_who_limits_its_time_by_timeout_finds_it_ended_and_saved(checkout, tmp_path):
    """``timeout`` sends SIGTERM, as a scheduler does, and ends with 124 where that was needed."""
    limit = 20
    while not (tmp_path / "saved").exists() and limit <= 160:
        began = time.monotonic()
        done = subprocess.run(
            command(tmp_path, "timeout", str(limit)), env=os.environ, capture_output=True, text=True
        )
        assert done.returncode == 124 and time.monotonic() - began < limit + 160
        limit *= 2  # on a busy machine a kernel takes long to begin
    assert (tmp_path / "saved").exists()
    assert "the same call goes on from the last checkpoints" in done.stderr
