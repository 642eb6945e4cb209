"""Bars: redrawn in a terminal and in an open notebook, a line a minute in a log, none in a kernel alone."""

import io
import json
import os
import re
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from jupyter_client import KernelManager
from tiny_run import config

from studykit.runs import board as boards
from studykit.runs.board import Board, in_words, progress_line


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def at_a_desk(monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    for name in boards.LOOKED_AT:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def clock(monkeypatch):
    """Time that passes only when a test says so."""
    now = SimpleNamespace(seconds=0.0)
    monkeypatch.setattr(boards.time, "monotonic", lambda: now.seconds)
    return now


def kernel(monkeypatch, shown):
    """Pretends to be in a kernel; what is displayed goes to ``shown``."""
    handle = SimpleNamespace(update=lambda content, raw: shown.append(content["text/plain"]))

    def display(content, **_):
        shown.append(content["text/plain"])
        return handle

    shell = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=display))


def test_a_line_says_how_far_and_how_long():
    assert in_words("an arm", 30, 120, 60.0) == "an arm: step 30 of 120, about 3 min to go"
    assert in_words("an arm", 30, 120, 10.0, first=20) == "an arm: step 30 of 120, about 90 s to go"
    assert in_words("an arm", 0, 120, 0.0) == "an arm: step 0 of 120"
    assert "an arm:  25%" in progress_line("an arm", 30, 120, 60.0)


@pytest.mark.parametrize("columns", [80, 100, 200])
def test_a_bar_tells_the_time_left_in_a_terminal_of_any_usual_width(monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    line = progress_line("bertswin-convergence: BertsWin, tuning at 0.0015", 1200, 20000, 3600.0)
    assert len(line) < columns and "tuning at 0.0015:" in line and "1200/20000 [1:00:00<15:40:00" in line


def test_a_terminal_is_drawn_over(clock):
    out = Terminal()
    board = Board(out)
    board.show(["one", "two"])
    board.show(["too soon"])
    clock.seconds = 1.0
    board.show(["three"])
    assert out.getvalue() == ("\r\x1b[2Kone\n\r\x1b[2Ktwo\n\x1b[2A\r\x1b[2Kthree\n\r\x1b[2K\n\x1b[1A")


def test_a_log_gets_a_line_a_minute(clock):
    out = io.StringIO()
    board = Board(out)
    for clock.seconds in range(0, 130, 10):
        board.show([f"at {clock.seconds}", "and"], now=True)
    assert out.getvalue() == "at 60; and\nat 120; and\n" and board.is_log


def test_a_kernel_alone_stays_silent_and_an_open_notebook_is_updated_in_place(clock, monkeypatch):
    shown = []
    kernel(monkeypatch, shown)
    alone = Board()
    alone.show(["nobody looks"], now=True)
    assert alone.silent and not shown
    monkeypatch.setenv("JPY_SESSION_NAME", "notebooks/01.ipynb")
    board = Board()
    board.show(["one", "two"])
    clock.seconds = 5.0
    board.show(["three"])
    assert shown == ["one\ntwo", "three"]


CELL = """import json
from studykit import home
from studykit.runs.outlook import LookingAhead
from studykit.runs.store import RunStore
from studykit.runs.training_run import work
own, store = json.loads({config!r}), RunStore(home.runs_dir())
planned = store.open(own, "an arm")
with LookingAhead("a-study", [planned], {{planned.key: 1.0}}):
    print(store.execute(own, "an arm", lambda run: work(run, show=True)).state)
"""


def test_jupyterlab_sees_one_bar_that_a_training_brings_to_its_end(small):
    """A real kernel, started as JupyterLab starts one; what it sends is what JupyterLab shows."""
    code, sent = CELL.format(config=json.dumps(config(recipe=small.recipe))), []
    with tempfile.TemporaryDirectory() as sockets:
        manager = KernelManager(transport="ipc", ip=str(Path(sockets) / "kernel"))
        manager.start_kernel(env=os.environ | {"JPY_SESSION_NAME": "notebooks/01.ipynb"})
        client = manager.client()
        client.start_channels()
        try:
            client.wait_for_ready(timeout=240)
            reply = client.execute_interactive(code, timeout=240, allow_stdin=False, output_hook=sent.append)
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)
    assert reply["content"]["status"] == "ok", sent
    drawn = [message for message in sent if "display_data" in message["msg_type"]]
    first, *updates = drawn
    assert first["msg_type"] == "display_data" and {one["msg_type"] for one in updates} == {
        "update_display_data"
    }
    assert len({message["content"]["transient"]["display_id"] for message in drawn}) == 1
    last = updates[-1]["content"]["data"]["text/plain"]
    assert last.startswith("an arm: 100%|") and "4/4" in last
    assert re.search(r"\na-study: \d trainings? ahead, about \d+ s of training to go$", last), last
    assert [one["content"]["text"] for one in sent if one["msg_type"] == "stream"] == ["done\n"]
