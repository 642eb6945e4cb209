"""Locks: a dead holder's is told and taken over, a live one's on another machine is respected."""

import json
import os
import subprocess
import sys
import threading
import time

import pytest
from filelock import Timeout

from studykit.runs import locks
from studykit.runs.locks import Holder, RunLock


@pytest.fixture
def folder(tmp_path):
    return tmp_path / ".locks"


def leave_lease(folder, *, seconds_ago, host="elsewhere", text=None):
    """A lease of another machine, renewed that long ago."""
    folder.mkdir(exist_ok=True)
    lease = folder / "a.lease"
    lease.write_text(json.dumps({"pid": 7, "host": host, "token": "t"}) if text is None else text)
    (folder / "a").touch()
    then = time.time() - seconds_ago
    os.utime(lease, (then, then))
    return lease


def in_process(folder, body):
    code = "import os, pathlib, time\nfrom studykit.runs import locks\n"
    code += f"lock = locks.RunLock(pathlib.Path({str(folder)!r}), 'a')\n"
    return subprocess.Popen([sys.executable, "-c", code + body], stderr=subprocess.PIPE, text=True)


def test_a_lock_is_held_by_one_and_leaves_no_lease(folder):
    lock = RunLock(folder, "a")
    assert not lock.is_held() and lock.holder is None
    with lock.held(wait=False, label="an arm"):
        assert lock.holder.pid == os.getpid() and RunLock(folder, "a").is_held()
        with pytest.raises(Timeout), RunLock(folder, "a").held(wait=False, label="an arm"):
            pass
    assert not lock.is_held() and lock.holder is None and [p.name for p in folder.iterdir()] == ["a"]


def test_a_killed_holder_is_told_and_taken_over_at_once(folder, caplog):
    killed = in_process(folder, "with lock.held(wait=False, label='an arm'): os.kill(os.getpid(), 9)")
    killed.wait(60)
    assert not RunLock(folder, "a").is_held()
    with RunLock(folder, "a").held(wait=False, label="an arm"):
        assert f"an arm: process {killed.pid} on " in caplog.text and "taken over" in caplog.text


def test_a_live_lease_of_another_machine_holds_though_the_systems_lock_is_free(folder, caplog, monkeypatch):
    monkeypatch.setattr(locks, "LOOK_SECONDS", 0.02)
    lease, lock = leave_lease(folder, seconds_ago=5), RunLock(folder, "a")
    assert lock.is_held()
    with pytest.raises(Timeout), lock.held(wait=False, label="an arm"):
        pass
    assert lease.exists(), "it was left alone"
    threading.Timer(0.3, lease.unlink).start()
    with lock.held(wait=True, label="an arm"):
        assert "process 7 on elsewhere is working on this run" in caplog.text


@pytest.mark.parametrize("seconds_ago", [100, -100_000], ids=["old", "before the clock jumped back"])
def test_a_lease_that_is_not_renewed_is_a_dead_holders(folder, caplog, seconds_ago):
    leave_lease(folder, seconds_ago=seconds_ago)
    assert not RunLock(folder, "a").is_held()
    with RunLock(folder, "a").held(wait=False, label="an arm"):
        assert "process 7 on elsewhere died at this run; its lock is taken over" in caplog.text


def test_a_lease_that_is_just_being_written_counts(folder):
    leave_lease(folder, seconds_ago=0, text="")
    assert RunLock(folder, "a").is_held()
    leave_lease(folder, seconds_ago=100, text="")
    assert not RunLock(folder, "a").is_held()


def test_of_two_who_find_a_dead_lease_the_slower_one_puts_the_quickers_back(folder):
    leave_lease(folder, seconds_ago=100)
    lock, quicker = RunLock(folder, "a"), Holder(8, "third", "q")
    dead = lock.holder
    (folder / "a.lease").write_text(json.dumps(vars(quicker)))
    lock.__class__ = type("Slow", (RunLock,), {"holder": property(lambda self: dead)})
    assert not lock._cleared(Holder(9, "here", "s"), "an arm")
    assert RunLock(folder, "a").holder == quicker


def test_a_lease_is_renewed_and_storage_without_locks_has_it_alone(folder, monkeypatch):
    def none(*_, **__):
        raise NotImplementedError("no flock here")

    monkeypatch.setattr(locks.FileLock, "acquire", none)
    monkeypatch.setattr(locks, "BEAT_SECONDS", 0.05)
    lock = RunLock(folder, "a")
    with lock.held(wait=False, label="an arm"):
        lease = folder / "a.lease"
        os.utime(lease, (1, 1))
        end = time.monotonic() + 20
        while lease.stat().st_mtime < 1000:
            assert time.monotonic() < end
            time.sleep(0.02)
        with pytest.raises(Timeout), RunLock(folder, "a").held(wait=False, label="an arm"):
            pass


def test_who_slept_while_the_lock_was_taken_over_ends_before_it_can_write(folder):
    body = (
        "locks.BEAT_SECONDS = 0.1\n"
        "with lock.held(wait=False, label='an arm'):\n"
        '    (lock._lease).write_text(\'{"pid": 1, "host": "other", "token": "x"}\')\n'
        "    time.sleep(60)\n"
    )
    sleeper = in_process(folder, body)
    said = sleeper.communicate(timeout=50)[1]
    assert sleeper.returncode == 1 and "process 1 on other took over a while this process slept" in said
    assert RunLock(folder, "a").holder.host == "other"
