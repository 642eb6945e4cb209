"""Folders of this machine: each can be named by the environment, and a user may have no home."""

import os
import pwd
import subprocess
import sys

import pytest

from studykit import home


def test_named_folders_need_neither_a_home_nor_a_checkout(tmp_path, monkeypatch):
    monkeypatch.setenv("STUDYKIT_HOME", str(tmp_path))
    monkeypatch.setenv("STUDYKIT_RESULTS", str(tmp_path / "r"))
    monkeypatch.setenv("STUDYKIT_DATA", str(tmp_path / "d"))
    monkeypatch.setattr(home.platformdirs, "user_cache_dir", lambda *_, **__: pytest.fail("asked for a home"))
    assert home.results_dir() == tmp_path / "r" and home.data_dir() == tmp_path / "d"
    with pytest.raises(FileNotFoundError, match=r"is not a studykit checkout.*studykit init DIR"):
        home.home()


def test_without_a_home_the_folder_for_volumes_has_to_be_named(monkeypatch):
    def unknown(who):
        raise KeyError(who)

    for name in ("STUDYKIT_DATA", "HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    with pytest.raises(FileNotFoundError, match="no home folder: set STUDYKIT_DATA"):
        home.data_dir()
    monkeypatch.setattr(home.platformdirs, "user_cache_dir", lambda *_, **__: "~/.cache/studykit")
    with pytest.raises(FileNotFoundError, match="no home folder: set STUDYKIT_DATA"):
        home.data_dir()


def test_the_package_is_found_from_the_folder_that_holds_a_clone_of_its_name(tmp_path):
    (tmp_path / "studykit" / "studykit").mkdir(parents=True)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-c", "from studykit.study import open_study"]
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
