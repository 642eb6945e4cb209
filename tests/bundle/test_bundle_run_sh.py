"""run.sh on machines that will not do: each fault is told, and nothing is unpacked, installed or begun.

Torch is a stand-in of a few lines, first on the path; the disk that is full is one.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from studykit.bundle import node
from studykit.bundle.manifest import FILE

NEEDS = {"python": "{}.{}".format(*sys.version_info), "torch": "2.8", "cuda": True, "memory_gib": 0.01}
NEEDS |= {"gpu_gib": 16, "disk_gib": 0.001}
CARD = "80 * 2**30, 80 * 2**30"
TORCH = """
__version__ = {version!r}
class cuda:
    is_available = staticmethod(lambda: {cards} > 0)
    device_count = staticmethod(lambda: {cards})
    mem_get_info = staticmethod(lambda index: ({memory}))
    get_device_name = staticmethod(lambda index: "Toy card")
"""


@pytest.fixture
def machine(tmp_path):
    """A bundle's folder, and a machine on which torch is what a call says."""
    root = tmp_path / "studykit-bundle"
    inside = root / "source" / "studykit" / "bundle"
    inside.mkdir(parents=True)
    shutil.copy(node.__file__, inside)
    shutil.copy(Path(node.__file__).with_name("run.sh"), root)
    (root / "wheels").mkdir()

    def run(needs=(), torch=None, before=(), **other):
        (root / FILE).write_text(json.dumps({"needs": NEEDS | dict(needs)}))
        (package := tmp_path / "path" / "torch").mkdir(parents=True, exist_ok=True)
        values = {"version": "2.11.0+cu130", "cards": 1, "memory": CARD} | other
        (package / "__init__.py").write_text(torch or TORCH.format(**values))
        environment = {**os.environ, "PYTHON": sys.executable, "PYTHONPATH": str(package.parent)}
        command = [*before, "bash", str(root / "run.sh"), str(tmp_path)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)

    run.root = root
    return run


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"needs": {"python": "3.99"}}, "the wheels are for 3.99: set PYTHON to one"),
        ({"cards": 0}, "torch finds no CUDA device here"),
        ({"version": "1.13.1"}, "torch is 1.13.1, at least 2.8 is needed"),
        ({"torch": "raise OSError('libcudart.so.13')"}, "cannot be imported (OSError: libcudart.so.13)"),
        ({"memory": "3 * 2**30, 80 * 2**30"}, "GiB free on the card: Toy card 3.0; 16 are needed"),
        ({"needs": {"memory_gib": 1e6}}, "GiB of memory are free, 1e+06 are needed"),
    ],
)
def test_a_fault_is_told_before_any_work(machine, given, words):
    done = machine(**given)
    assert done.returncode == 2 and done.stdout == ""
    [line] = done.stderr.splitlines()
    assert line.startswith("this machine will not do: ") and words in line
    assert sorted(path.name for path in machine.root.iterdir()) == [FILE, "run.sh", "source", "wheels"]


def test_a_machine_that_will_do_goes_on(machine):
    """As far as the kit itself, which this bundle does not have."""
    done = machine()
    assert "Toy card" in done.stdout and "will not do" not in done.stderr
    assert (machine.root / "site" / ".ready").exists() and "studykit.bundle.drive" in done.stderr


def test_a_full_disk_is_told_before_any_work(machine, tmp_path):
    """A file system of its own of one megabyte, in which no room is left."""
    apart = ["unshare", "--user", "--map-root-user", "--mount"]
    (small := tmp_path / "small").mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(small)]
    if not shutil.which("unshare") or subprocess.run([*apart, *mount], capture_output=True).returncode:
        pytest.skip("this system mounts nothing for a user")
    script = f"{' '.join(mount)} && cp -r {machine.root} {small} && exec bash {small}/studykit-bundle/run.sh"
    done = machine({"disk_gib": 0.01}, before=[*apart, "bash", "-c", script])
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr == "this machine will not do: 0.0 GiB of disk are free, 0.01 are needed\n"
