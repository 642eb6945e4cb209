"""A machine that will not do is told all that is wrong with it, before any work and by any Python."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from studykit.bundle import node

NEEDS = {"python": "3.12", "torch": "2.8", "cuda": True, "memory_gib": 16, "gpu_gib": 16, "disk_gib": 6}
HAVE = {
    "python": "3.12", "pip": True, "memory_gib": 100.0, "disk_gib": 60.0, "torch": "2.11.0+cu130",
    "cards": [("NVIDIA H100", 78.0)],
}  # fmt: skip


def test_a_good_machine_has_no_problem():
    assert node.problems(NEEDS, HAVE) == []
    assert node.problems(NEEDS | {"cuda": False}, HAVE | {"cards": []}) == []


@pytest.mark.parametrize(
    ("have", "words"),
    [
        ({"python": "3.13"}, "this is Python 3.13, the wheels are for 3.12: set PYTHON to one"),
        ({"pip": False}, "this Python has no pip"),
        ({"torch": None, "torch_error": "OSError: libcudart"}, "cannot be imported (OSError: libcudart)"),
        ({"torch": "2.7.1"}, "torch is 2.7.1, at least 2.8 is needed"),
        ({"cards": []}, "torch finds no CUDA device here"),
        ({"cards": [("NVIDIA T4", 14.5)]}, "GiB free on the card: NVIDIA T4 14.5; 16 are needed"),
        ({"memory_gib": 3.25}, "3.2 GiB of memory are free, 16 are needed"),
        ({"disk_gib": 0.5}, "0.5 GiB of disk are free, 6 are needed"),
    ],
)
def test_each_problem_is_named(have, words):
    [problem] = node.problems(NEEDS, HAVE | have)
    assert words in problem


def test_all_problems_are_named_at_once():
    have = HAVE | {"python": "3.9", "torch": "1.13", "cards": [], "memory_gib": 1, "disk_gib": 0}
    assert len(node.problems(NEEDS, have)) == 5


@pytest.mark.parametrize(
    ("lower", "higher"), [("2.9.1", "2.11.0"), ("2.7", "2.8.0a0+git12"), ("2.8.0+cpu", "2.8.1")]
)
def test_versions_are_numbers(lower, higher):
    assert node.version(lower) < node.version(higher)


def test_what_this_machine_has_is_found_out():
    found = node.facts()
    assert found["python"] == f"{sys.version_info.major}.{sys.version_info.minor}"
    assert found["torch"] and 0 < found["memory_gib"] < 10_000 and found["disk_gib"] > 0


@pytest.mark.parametrize(
    ("line", "folder", "limit", "use", "stat"),
    [
        ("0::/", ".", "memory.max", "memory.current", "inactive_file"),
        ("0::/job_7/step_0", "job_7", "memory.max", "memory.current", "inactive_file"),
        ("0::/job_7/step_0", "elsewhere/..", "memory.max", "memory.current", "inactive_file"),
        (
            "9:cpu,memory:/slurm/job_7", "memory/slurm", "memory.limit_in_bytes", "memory.usage_in_bytes",
            "total_inactive_file",
        ),
    ],
    ids=["a container", "a job around it", "a container's root", "version 1"],
)  # fmt: skip
def test_a_container_or_a_job_with_less_memory_counts(tmp_path, monkeypatch, line, folder, limit, use, stat):
    """What is taken there already is not free, but for files that would be given back."""
    (groups := tmp_path / "groups").write_text(f"4:devices:/x\n{line}\n")
    (tmp_path / "elsewhere").mkdir()
    (inside := tmp_path / folder).mkdir(parents=True, exist_ok=True)
    monkeypatch.setattr(node, "CGROUP", str(tmp_path))
    monkeypatch.setattr(node, "GROUPS", str(groups))
    whole = node.free_memory()
    (inside / limit).write_text(f"{2**21}\n")
    (inside / use).write_text(f"{2**20 + 4096}\n")
    assert node.free_memory() == 2**20 - 4096
    (inside / "memory.stat").write_text(f"anon 5\n{stat} 4096\n")
    assert node.free_memory() == 2**20
    (inside / limit).write_text("max\n")
    assert node.free_memory() == pytest.approx(whole, rel=0.5)


def test_what_a_good_machine_has_is_left_for_what_runs_on_it(tmp_path, monkeypatch):
    (tmp_path / "bundle.json").write_text(json.dumps({"needs": NEEDS}))
    monkeypatch.setattr(node, "facts", lambda: HAVE)
    monkeypatch.setattr(sys, "argv", ["-", str(tmp_path / "bundle.json"), str(tmp_path / "node.json")])
    assert node.main() == 0
    assert json.loads((tmp_path / "node.json").read_text())["cards"] == [["NVIDIA H100", 78.0]]


def test_an_old_python_can_read_the_file():
    ast.parse(Path(node.__file__).read_text(), feature_version=(3, 6))


def test_it_runs_without_the_kit(tmp_path):
    needs = NEEDS | {"python": "3.99"}
    (path := tmp_path / "bundle.json").write_text(json.dumps({"needs": needs}))
    with open(node.__file__) as program:
        done = subprocess.run(
            [sys.executable, "-I", "-", str(path)],
            stdin=program,
            capture_output=True,
            text=True,
            cwd=tmp_path,
        )
    assert done.returncode == 2 and done.stdout == ""
    assert "this machine will not do: this is Python" in done.stderr
