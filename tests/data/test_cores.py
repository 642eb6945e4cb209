"""Parts of a work on all cores: the same as one after another, errors and surroundings as they should be."""

import os
import sys
from pathlib import Path

import pytest
import torch

from studykit.data import cores
from studykit.data.cores import most_processes, on_all_cores


def squared(number):
    return number**2


def threads_and_path(_):
    return torch.get_num_threads(), tuple(sys.path)


def refusing(number):
    raise ValueError(f"part {number} is bad")


@pytest.fixture
def two(monkeypatch):
    monkeypatch.setattr(cores, "most_processes", lambda: 2)


def test_all_parts_are_made_each_once(two):
    assert sorted(on_all_cores(squared, range(7))) == [number**2 for number in range(7)]


def test_few_parts_and_one_core_start_no_process(monkeypatch):
    for processes, parts in ((2, [1]), (1, [1, 2, 3])):
        monkeypatch.setattr(cores, "most_processes", lambda processes=processes: processes)
        own = list(on_all_cores(lambda part: os.getpid(), parts, least=2))
        assert set(own) == {os.getpid()}


def test_processes_are_as_many_as_threads_and_as_memory_bears(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1000)
    bytes_free = 4 * cores.PROCESS_BYTES
    monkeypatch.setattr(cores.psutil, "virtual_memory", lambda: type("", (), {"available": bytes_free}))
    assert most_processes() == 4
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    assert most_processes() == 3


def test_a_process_has_one_thread_and_no_modules_of_the_folder_it_stands_in(two, tmp_path, monkeypatch):
    Path(tmp_path, "random.py").write_text("raise SystemExit('a shadow')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    found = list(on_all_cores(threads_and_path, [0, 1]))
    assert {threads for threads, _ in found} == {1}
    assert "PYTHONSAFEPATH" not in os.environ


def test_what_a_part_raised_is_raised_here(two):
    with pytest.raises(ValueError, match="part 1 is bad"):
        list(on_all_cores(refusing, [1, 1]))
