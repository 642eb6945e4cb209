"""Which wheels a machine lacks, and that pip is asked for exactly those."""

import os
import subprocess
import sys

import pytest

from studykit.bundle import wheels
from studykit.bundle.wheels import HAS, LEFT_OUT, fetch_wheels, least_version, missing_wheels, platforms


def test_what_the_machine_has_is_not_carried_nor_what_that_needs():
    missing = missing_wheels(HAS, "3.12")
    assert not {"torch", "numpy", "jinja2", "sympy", "pluggy", "pillow"} & set(missing)
    assert not set(LEFT_OUT) & set(missing)


def test_what_only_the_kit_needs_is_carried_at_the_version_that_is_here():
    from importlib.metadata import version

    missing = missing_wheels(HAS, "3.12")
    for name in ("monai", "nibabel", "papermill", "ipykernel", "platformdirs", "pyzmq"):
        assert missing[name] == version(name)


def test_a_machine_with_less_is_brought_more():
    assert "psutil" in missing_wheels([name for name in HAS if name != "psutil"], "3.12")


def test_the_least_torch_is_that_of_the_project():
    assert least_version("torch") == "2.8"


def test_a_platform_names_the_older_ones_too():
    assert platforms("manylinux_2_6_x86_64") == [
        "manylinux_2_6_x86_64", "manylinux_2_5_x86_64", "manylinux1_x86_64", "linux_x86_64",
    ]  # fmt: skip
    assert platforms("macosx_14_0_arm64") == ["macosx_14_0_arm64"]


def test_what_pip_cannot_bring_is_said(tmp_path, monkeypatch):
    said = "WARNING: slow\nERROR: No matching distribution found for thing==1\n"
    code = f"import sys; sys.stderr.write({said!r}); sys.exit(1)"
    run = subprocess.run
    monkeypatch.setattr(
        wheels.subprocess, "run", lambda command, **more: run([sys.executable, "-c", code], **more)
    )
    with pytest.raises(RuntimeError, match=r"Python 3\.12 on linux_x86_64:\nERROR: No matching .* thing==1$"):
        fetch_wheels({"thing": "1"}, tmp_path, "3.12", "linux_x86_64")


@pytest.mark.network
def test_pip_brings_a_wheel_for_another_python(tmp_path):
    [path] = fetch_wheels({"pywavelets": "1.9.0"}, tmp_path, "3.12", "manylinux_2_28_x86_64")
    assert "cp312" in path.name and path.stat().st_size > 1e6
    assert os.listdir(tmp_path) == [path.name]
