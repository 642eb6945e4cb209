"""What is ahead of a study: reckoned by operations at the pace of those behind, by whoever watches."""

import json
import subprocess
import sys
from dataclasses import asdict
from types import SimpleNamespace

import pytest

from studykit.atomic import write_json
from studykit.runs import outlook as outlooks_of
from studykit.runs.now import NOW
from studykit.runs.outlook import LookingAhead, outlooks, own_outlook
from studykit.runs.store import STATUS, RunStore, Status
from studykit.runs.telling import telling
from studykit.training.records import METRICS

STEPS = 10


@pytest.fixture
def clock(monkeypatch):
    """Time that passes only when a test says so."""
    now = SimpleNamespace(seconds=1000.0)
    monkeypatch.setattr(outlooks_of.time, "time", lambda: now.seconds)
    return now


def planned(root, name, state=""):
    run = RunStore(root).open({"training": {"steps": STEPS}, "name": name}, name)
    if state:
        run.folder.mkdir(parents=True)
        write_status(run, state)
    return run


def write_status(run, state):
    write_json(run.folder / STATUS, asdict(Status(state, run.label, "", "", "", 1, 1, "")))


def test_what_is_left_goes_by_operations_at_the_pace_of_what_is_done(tmp_path, clock):
    small, large = planned(tmp_path, "small", state="running"), planned(tmp_path, "large")
    with LookingAhead("a-study", [small, large], {small.key: 1.0, large.key: 3.0}) as ahead:
        assert own_outlook(tmp_path) == ahead and outlooks(tmp_path) == [ahead]
        assert ahead.left(tmp_path) == (2, None), "nothing is known before the first step"
        assert ahead.line(tmp_path) == "a-study: 2 trainings ahead"
        clock.seconds += 10
        with telling(small, show=False) as tell:
            tell(5)
            # 5 operations took 10 s, and 5 of the small one and 30 of the large one are left.
            assert ahead.left(tmp_path) == (2, 70.0)
            assert own_outlook(tmp_path).line(tmp_path) == (
                "a-study: 2 trainings ahead, about 70 s of training to go"
            )
        write_status(small, "done")
        clock.seconds += 10
        assert ahead.left(tmp_path) == (1, 60.0) and ahead.pace_now(tmp_path) == 0.5
    assert own_outlook(tmp_path) is None and outlooks(tmp_path) == []


def test_steps_of_before_are_not_ahead_and_a_pace_of_before_counts_at_first(tmp_path, clock):
    run = planned(tmp_path, "one", state="interrupted")
    run.folder.joinpath(METRICS).write_text(json.dumps({"step": 4}) + "\n")
    with LookingAhead("a-study", [run], {run.key: 1.0}, pace=2.0) as ahead:
        assert ahead.left(tmp_path) == (1, 3.0)
        clock.seconds += 20
        with telling(run, show=False) as tell:
            tell(6)
            # 2 in these 20 s and 40 in as many of before.
            assert ahead.pace_now(tmp_path) == pytest.approx(42 / 40)
        clock.seconds -= 3600
        assert ahead.pace_now(tmp_path) == 2.0, "a clock that went back says nothing"


def test_what_a_killed_process_left_is_not_ahead_of_anybody(tmp_path):
    run = planned(tmp_path, "one")
    code = f"""import os
from pathlib import Path
from studykit.runs.outlook import LookingAhead
from studykit.runs.store import RunStore
run = RunStore({str(tmp_path)!r}).open({run.config!r}, "one")
with LookingAhead("a-study", [run], {{run.key: 1.0}}):
    os._exit(1)"""
    subprocess.run([sys.executable, "-P", "-c", code], check=False)
    assert len(list((tmp_path / NOW).glob("*.ahead"))) == 1 and outlooks(tmp_path) == []
    with LookingAhead("a-study", [run], {run.key: 1.0}):
        assert len(list((tmp_path / NOW).glob("*.ahead"))) == 1, "it was swept away"


def test_an_outlook_that_is_damaged_or_cannot_be_written_stops_nothing(tmp_path):
    run = planned(tmp_path, "one")
    (tmp_path / NOW).write_text("a file where the folder should be")
    with LookingAhead("a-study", [run], {run.key: 1.0}):
        assert own_outlook(tmp_path) is None
    (tmp_path / NOW).unlink()
    (tmp_path / NOW).mkdir()
    for number, content in enumerate(("{", "[]", '{"study": "x"}', '{"ahead": 1}')):
        (tmp_path / NOW / f"{number}.ahead").write_text(content)
    assert outlooks(tmp_path) == []
