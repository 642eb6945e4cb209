import getpass
import json
import platform
import re
import subprocess
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
import torch
from toy_paper import FACTS

from studykit import home, workspace
from studykit.layers.linear import PATHS
from studykit.runs import provenance as module
from studykit.runs.provenance import git_state, in_words, provenance


def git(folder, *arguments):
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", folder, *identity, *arguments], check=True, capture_output=True)


def notebook(source, output="1"):
    cell = {"cell_type": "code", "source": [source], "outputs": [{"text": output}], "execution_count": 1}
    return json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


@pytest.fixture
def checkout(tmp_path):
    root = tmp_path / "kit"
    files = {
        "studykit/a.py": "x = 1\n",
        "notebooks/01.ipynb": notebook("print(1)"),
        "results/s/laptop/verdict.json": "{}",
        "README.md": "table\n",
        ".gitignore": "results/*/smoke/\n__pycache__/\n",
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    git(tmp_path, "init", "-q", str(root))
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", "all")
    return root


def test_facts_are_plain_json_and_complete():
    facts = provenance()
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts
    assert {"studykit", "commit", "dirty", "python", "packages", "os", "hardware", "threads"} <= set(facts)
    assert facts["python"] == platform.python_version()
    assert facts["packages"]["torch"] and facts["packages"]["numpy"]
    assert facts["hardware"]["capability"] == torch.backends.cpu.get_cpu_capability()
    assert facts["hardware"]["linear"] in PATHS
    assert facts["hardware"]["cores"] >= 1 and facts["hardware"]["memory_gib"] > 0


def test_nothing_names_a_host_a_user_or_a_path():
    text = json.dumps(provenance())
    assert not re.search(rf'"{re.escape(platform.node())}\b', text)
    assert not re.search(rf'"{re.escape(getpass.getuser())}\b', text)
    assert not re.search(r'"[/~]|[A-Z]:\\\\|/home/|/Users/', text)


def test_start_is_told_in_utc():
    begun = datetime(2025, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=2)))
    assert provenance(begun)["started"] == "2025-01-02T01:04:05+00:00"
    before = datetime.now(UTC) - timedelta(seconds=1)
    assert datetime.fromisoformat(provenance()["started"]) >= before
    with pytest.raises(ValueError, match="time zone"):
        provenance(datetime(2025, 1, 2))


def test_a_fresh_commit_is_clean(checkout):
    state = git_state(checkout)
    assert re.fullmatch("[0-9a-f]{40}", state["commit"]) and state["dirty"] is False


@pytest.mark.parametrize(
    ("path", "text", "dirty"),
    [
        ("studykit/a.py", "x = 2\n", True),
        ("studykit/new.py", "y = 1\n", True),
        ("notebooks/01.ipynb", notebook("print(2)"), True),
        ("notebooks/01.ipynb", notebook("print(1)", output="2"), False),
        ("results/s/laptop/verdict.json", "{ }", False),
        ("results/s/smoke/verdict.json", "{}", False),
        ("studykit/__pycache__/a.pyc", "", False),
        ("README.md", "another table\n", False),
        ("my_notes.txt", "mine", False),
    ],
)
def test_dirty_means_that_the_source_differs(checkout, path, text, dirty):
    (checkout / path).parent.mkdir(parents=True, exist_ok=True)
    (checkout / path).write_text(text)
    assert git_state(checkout)["dirty"] is dirty


def test_a_removed_or_staged_source_is_dirty(checkout):
    git(checkout, "rm", "-q", "studykit/a.py")
    assert git_state(checkout)["dirty"] is True


def test_without_its_own_checkout_nothing_is_claimed(checkout, tmp_path, monkeypatch):
    nothing = {"commit": None, "dirty": None}
    assert git_state(checkout / "studykit") == nothing
    assert git_state(tmp_path) == nothing
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_state(checkout) == nothing


def test_facts_in_a_line():
    line = in_words(FACTS)
    assert line == "Toy CPU, 2 cores, torch 2.13.0, commit 0123456789ab with local changes"
    known = {**FACTS["hardware"], "capability": "AVX2"}
    assert in_words({**FACTS, "hardware": known}).startswith("Toy CPU (AVX2), 2 cores, ")
    gpu = {**FACTS["hardware"], "gpus": [{"name": "Toy GPU", "memory_gib": 80.0}]}
    assert "Toy GPU (80.0 GiB)" in in_words({**FACTS, "hardware": gpu, "commit": None, "dirty": None})


def test_the_code_is_the_clone_that_this_package_runs_from(monkeypatch):
    assert (module.ROOT / "studykit" / "runs" / "provenance.py").samefile(Path(module.__file__))
    monkeypatch.setenv("STUDYKIT_HOME", str(home.PACKAGE.parent))
    assert module.code_state() == git_state(home.PACKAGE.parent)


def test_a_workspace_is_dirty_once_its_papers_or_notebooks_are_not_the_packages(tmp_path, monkeypatch):
    folder = workspace.init(tmp_path / "mine")
    monkeypatch.setenv("STUDYKIT_HOME", str(folder))
    assert module.code_state() == git_state(home.PACKAGE.parent)
    (folder / "papers" / "mine.txt").write_text("a thought")
    assert module.code_state()["dirty"] is True


def test_a_wheel_says_which_commit_it_is_of(tmp_path, monkeypatch):
    carried = tmp_path / "carried"
    for name in workspace.CARRIED:
        (carried / name).mkdir(parents=True)
    monkeypatch.setattr(home, "PACKAGE", tmp_path)
    monkeypatch.setenv("STUDYKIT_HOME", str(carried))
    assert module.code_state() == {"commit": None, "dirty": None}
    (carried / workspace.NOTE).write_text('{"commit": "0a", "dirty": false}')
    assert module.code_state() == {"commit": "0a", "dirty": False}
