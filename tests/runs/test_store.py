"""Runs: their identity, their states, and that no two processes and no sudden end can spoil one."""

import errno
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from studykit import home
from studykit.cli import main
from studykit.runs import store as run_store
from studykit.runs.store import Run, RunStore, Status, derive_seed, run_hash

CONFIG = {"study": "toy", "method": {"name": "mae", "version": 1}, "lr": 1e-3, "sizes": [48, 48]}


@dataclass
class Ended:
    state: str = "done"
    message: str = ""


def refuse(run: Run) -> Ended:
    raise AssertionError("this run should not have been worked on")


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore(tmp_path / "runs")


def in_process(root: Path, body: str) -> subprocess.Popen:
    """Python with ``store``, ``CONFIG`` and ``Ended`` at hand, in another process."""
    preamble = (
        "import os, pathlib, signal, sys, time\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from test_store import CONFIG, Ended\n"
        "from studykit.runs.store import RunStore\n"
        f"store = RunStore({str(root)!r})\n"
    )
    return subprocess.Popen([sys.executable, "-c", preamble + body], stderr=subprocess.PIPE, text=True)


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline, "waited 30 s"
        time.sleep(0.02)


def test_hash_golden() -> None:
    assert run_hash(CONFIG) == "f9133279337f5d50"


def test_hash_ignores_order_and_tuples_only() -> None:
    shuffled = {"sizes": (48, 48), "lr": 0.001, "method": {"version": 1, "name": "mae"}, "study": "toy"}
    assert run_hash(shuffled) == run_hash(CONFIG)
    changed = [{"lr": 2e-3}, {"sizes": [48, 49]}, {"method": {"name": "mae", "version": 2}}, {"extra": None}]
    hashes = {run_hash({**CONFIG, **change}) for change in [{}, *changed]}
    assert len(hashes) == 5


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": {"b": [0, {1, 2}]}}, r"config\.a\.b\[1\] is \{1, 2\} \(set\)"),
        ({"a": float("nan")}, r"config\.a is nan \(float\)"),
        ({"a": {1: 2}}, r"config\.a: key 1 is int, not str"),
        ({"a": Path("x")}, r"config\.a is .*finite float and None"),
    ],
)
def test_hash_refuses_what_json_would_change(value: dict, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        run_hash(value)


def test_seed_golden() -> None:
    assert derive_seed("bertswin-convergence", "mae-vit", 0) == 7460328290933904254
    assert derive_seed("bertswin-convergence", "mae-vit", 1) == 4371239110289830447


def test_seeds_differ_by_every_part_and_by_where_it_is_cut() -> None:
    seeds = [
        derive_seed(*p) for p in [("a", "b", 0), ("a", "b", 1), ("a", "c", 0), ("ab", 0), ("a", "b", "0")]
    ]
    assert len(set(seeds)) == 5
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_nothing_is_written_before_work(store: RunStore) -> None:
    run = store.open(CONFIG, "toy/mae")
    assert (run.state, run.status, len(run.metrics)) == (None, None, 0)
    assert not store.root.exists()
    assert list(store.list()) == []


def test_done_is_reused_and_told(store: RunStore) -> None:
    def work(run: Run) -> Ended:
        assert run.state == "running"
        assert run.status.pid == os.getpid()
        assert json.loads((run.folder / "config.json").read_text(encoding="utf-8")) == CONFIG
        return Ended(message="twelve steps")

    run = store.execute(CONFIG, "toy/mae", work)
    assert (run.state, run.status.message, run.status.attempts) == ("done", "twelve steps", 1)
    assert run.folder == store.root / run_hash(CONFIG)
    again = store.execute(CONFIG, "toy/mae", refuse)
    assert again.status == run.status


def test_interrupted_goes_on_and_diverged_does_not(store: RunStore) -> None:
    assert store.execute(CONFIG, "toy/mae", lambda run: Ended("interrupted")).state == "interrupted"
    assert store.execute(CONFIG, "toy/mae", lambda run: Ended("diverged", "at step 3")).state == "diverged"
    run = store.execute(CONFIG, "toy/mae", refuse)
    assert (run.state, run.status.message, run.status.attempts) == ("diverged", "at step 3", 2)
    assert [gone.key for gone in store.clean(["diverged"])] == [run.key]
    assert store.execute(CONFIG, "toy/mae", lambda run: Ended()).state == "done"


def test_collapsed_is_an_end_of_its_own(store: RunStore) -> None:
    assert store.execute(CONFIG, "toy/volta", lambda run: Ended("collapsed", "constant")).state == "collapsed"
    assert store.execute(CONFIG, "toy/volta", refuse).status.message == "constant"
    assert store.clean(["diverged", "done"]) == [] and len(store.clean(["collapsed"])) == 1


def test_error_is_told_raised_and_tried_again(store: RunStore) -> None:
    def fail(run: Run) -> Ended:
        (run.folder / "checkpoint.pt").write_text("of step 6")
        raise ZeroDivisionError("no volumes")

    with pytest.raises(ZeroDivisionError):
        store.execute(CONFIG, "toy/mae", fail)
    run = store.open(CONFIG, "toy/mae")
    assert (run.state, run.status.message) == ("error", "ZeroDivisionError: no volumes")

    def resume(run: Run) -> Ended:
        assert (run.folder / "checkpoint.pt").read_text(encoding="utf-8") == "of step 6"
        return Ended()

    assert store.execute(CONFIG, "toy/mae", resume).state == "done"


def test_ctrl_c_is_an_interruption(store: RunStore) -> None:
    def stop(run: Run) -> Ended:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.execute(CONFIG, "toy/mae", stop)
    assert store.open(CONFIG, "toy/mae").state == "interrupted"


def test_unknown_ending_is_refused(store: RunStore) -> None:
    with pytest.raises(ValueError, match="ended 'finished'; known: interrupted, done, diverged, collapsed"):
        store.execute(CONFIG, "toy/mae", lambda run: Ended("finished"))
    assert store.open(CONFIG, "toy/mae").state == "error"


def test_two_processes_work_once(store: RunStore, caplog: pytest.LogCaptureFixture) -> None:
    work = (
        "def work(run):\n"
        "    with open(run.folder / 'worked', 'a') as file: file.write('x')\n"
        "    while not (run.folder / 'go').exists(): time.sleep(0.02)\n"
        "    return Ended()\n"
        "store.execute(CONFIG, 'toy/mae', work)\n"
    )
    other = in_process(store.root, work)
    run = store.open(CONFIG, "toy/mae")
    wait_until(lambda: (run.folder / "worked").exists() and run.state == "running")
    assert list(store.clean(["running", "interrupted"])) == [], "a run that is worked on stays"
    results = []
    waiting = threading.Thread(target=lambda: results.append(store.execute(CONFIG, "toy/mae", refuse)))
    waiting.start()
    wait_until(lambda: "waiting for it" in caplog.text)
    assert f"toy/mae: process {other.pid} on " in caplog.text
    (run.folder / "go").touch()
    waiting.join(30)
    assert other.wait(30) == 0, other.stderr.read()
    assert results[0].state == "done"
    assert (run.folder / "worked").read_text(encoding="utf-8") == "x"


SHARED = """
import socket
from studykit.runs import locks
from test_store import numbers
def no_lock(*_, **__): raise NotImplementedError("this storage has none")
locks.FileLock.acquire, locks.LOOK_SECONDS = no_lock, 0.02
socket.gethostname = lambda: HOST
(store.root.parent / HOST).touch()
while not all((store.root.parent / name).exists() for name in ("node-a", "node-b")): time.sleep(0.01)
while store.execute(CONFIG, "toy/mae", numbers).state != "done": pass
"""


def numbers(run: Run) -> Ended:
    """Twelve numbers, each made of the one before; a first attempt stops half way; never two at once."""
    path, alone = run.folder / "numbers", run.folder / "at work"
    made = [int(line) for line in path.read_text().split()] if path.exists() else [1]
    while len(made) < 12:
        alone.touch(exist_ok=False)
        made.append(made[-1] * 31 % 1009)
        time.sleep(0.02)
        path.write_text("\n".join(map(str, made)))
        alone.unlink()
        if len(made) == 6 and run.status.attempts == 1:
            return Ended("interrupted")
    return Ended()


def test_two_machines_on_storage_without_locks_work_one_at_a_time(store: RunStore, tmp_path: Path) -> None:
    both = [in_process(store.root, SHARED.replace("HOST", repr(name))) for name in ("node-a", "node-b")]
    said = [process.communicate(timeout=200)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    run, alone = store.open(CONFIG, "toy/mae"), RunStore(tmp_path / "alone")
    assert (run.state, run.status.attempts) == ("done", 2) and run.status.host in ("node-a", "node-b")
    assert any("is working on this run; waiting for it" in words for words in said), said
    assert [path.name for path in (store.root / ".locks").iterdir()] == [run.key], "no lease is left"
    while alone.execute(CONFIG, "toy/mae", numbers).state != "done":
        pass
    files = [one.open(CONFIG, "toy/mae").folder / "numbers" for one in (store, alone)]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_killed_worker_leaves_an_interrupted_run(store: RunStore) -> None:
    killed = in_process(
        store.root, "store.execute(CONFIG, 'toy/mae', lambda run: os.kill(os.getpid(), signal.SIGKILL))\n"
    )
    killed.communicate(timeout=30)
    run = store.open(CONFIG, "toy/mae")
    assert run.status.state == "running"
    assert run.state == "interrupted"
    assert [listed.state for listed in store.list()] == ["interrupted"]
    run = store.execute(CONFIG, "toy/mae", lambda run: Ended())
    assert (run.state, run.status.attempts) == ("done", 2)


@pytest.mark.parametrize("content", ["", '{"state": "do', "[]", '{"state": "done"}', '{"state": "finished"}'])
def test_damaged_status_is_never_taken_for_done(store: RunStore, content: str) -> None:
    run = store.execute(CONFIG, "toy/mae", lambda run: Ended())
    (run.folder / "status.json").write_text(content)
    assert run.state == "interrupted"
    assert "status.json could not be read" in run.status.message
    worked = []
    store.execute(CONFIG, "toy/mae", lambda run: worked.append(run) or Ended())
    assert len(worked) == 1
    assert run.state == "done"


def test_metrics_are_a_table_without_the_torn_end(store: RunStore) -> None:
    run = store.execute(CONFIG, "toy/mae", lambda run: Ended())
    (run.folder / "metrics.jsonl").write_text(
        '{"step": 0, "val/error": null}\n{"step": 4, "val/error": 0.5}\n{"st'
    )
    table = run.metrics
    assert list(table["step"]) == [0, 4]
    assert table["val/error"].isna().tolist() == [True, False]


def test_list_and_clean(store: RunStore, caplog: pytest.LogCaptureFixture) -> None:
    endings = {"c": "done", "a": "diverged", "b": "interrupted"}
    for label, state in endings.items():
        store.execute({"arm": label}, label, lambda run, state=state: Ended(state))
    strange, torn = store.root / "0123456789abcdef", store.root / "fedcba9876543210"
    for folder, text in ((strange, '{"arm": "d"}'), (torn, '{"arm":')):
        folder.mkdir()
        (folder / "config.json").write_text(text)
    listed = store.list()
    assert [(run.label, run.state) for run in listed] == [
        ("a", "diverged"),
        ("b", "interrupted"),
        ("c", "done"),
    ]
    assert listed[0].config == {"arm": "a"}
    assert "it is not the configuration its folder is named after" in caplog.text
    removed = store.clean(["diverged", "interrupted"])
    assert [run.label for run in removed] == ["a", "b"]
    assert [run.label for run in store.list()] == ["c"]
    assert not removed[0].folder.exists()
    with pytest.raises(ValueError, match="unknown state finished; known: running, interrupted, done"):
        store.clean(["finished"])


def test_a_thousand_runs_are_listed_at_once(store, monkeypatch, capsys) -> None:
    """By ``studykit runs list``: seconds of the processor, the best of three; ten thousand take one or so."""
    monkeypatch.setenv("STUDYKIT_RESULTS", str(store.root.parent))
    assert store.root == home.runs_dir()
    record = {"loss": 0.1234567, "val/error": None, "lr": 0.0001, "seconds": 123.456}
    metrics = "".join(json.dumps({"step": step, **record}) + "\n" for step in range(0, 401, 10))
    status = asdict(Status("done", "an arm", "", "", "", 1, 1, "here"))
    for seed in range(1000):
        config = {**CONFIG, "seed": seed, "more": {str(n): [n, "text"] for n in range(20)}}
        config["training"] = {"steps": 400}
        folder = store.root / run_hash(config)
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps(config, indent=2))
        (folder / "status.json").write_text(json.dumps(status))
        (folder / "metrics.jsonl").write_text(metrics)
    took = []
    for _ in range(3):
        start = time.process_time()
        assert main(["runs", "list"]) == 0
        took.append(time.process_time() - start)
        _, *rows = capsys.readouterr().out.splitlines()
        assert len(rows) == 1000 and all("done   400 of 400  " in row for row in rows)
    assert min(took) < 0.4


def test_full_disk_is_explained_and_the_run_goes_on(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def work(run: Run) -> Ended:
        monkeypatch.setattr(run_store, "write_json", full)
        full()

    with pytest.raises(OSError, match=r"the disk is full: toy/mae stopped.*Free some space") as caught:
        store.execute(CONFIG, "toy/mae", work)
    assert caught.value.errno == errno.ENOSPC
    monkeypatch.undo()
    assert store.open(CONFIG, "toy/mae").state == "interrupted"
    assert store.execute(CONFIG, "toy/mae", lambda run: Ended()).state == "done"


def test_import_is_quick() -> None:
    heavy = "[m for m in ('torch', 'pandas', 'numpy') if m in sys.modules]"
    heavy = f"import sys, studykit.runs.store; print({heavy})"
    assert subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True).stdout == "[]\n"
