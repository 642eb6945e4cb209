"""The script that compiles MinkowskiEngine: what it asks for, what it takes out, what it keeps."""

import importlib.util
import io
import shutil
import sysconfig
import tarfile
from pathlib import Path

import pytest
import torch

from studykit.home import home


@pytest.fixture
def script(tmp_path, monkeypatch):
    monkeypatch.setenv("STUDYKIT_DATA", str(tmp_path / "cache"))
    spec = importlib.util.spec_from_file_location("wheel", home() / "scripts" / "minkowski_wheel.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def archive_of(folder, script, setup):
    path = folder / script.SOURCE.filename
    with tarfile.open(path, "w:gz") as tar:
        member = tarfile.TarInfo(f"{path.name.removesuffix('.tar.gz')}/setup.py")
        member.size = len(setup)
        tar.addfile(member, io.BytesIO(setup.encode()))
    return path


def test_a_wheel_is_kept_by_torch_python_and_machine(script, tmp_path, monkeypatch):
    folder = script.kept_in()
    assert folder.parent == tmp_path / "cache" / "wheels"
    assert torch.__version__ in folder.name and sysconfig.get_platform() in folder.name
    monkeypatch.setattr(torch, "__version__", "9.9.0")
    assert script.kept_in() != folder


def test_a_kept_wheel_is_installed_and_not_compiled_again(script, monkeypatch):
    folder = script.kept_in()
    folder.mkdir(parents=True)
    (folder / "MinkowskiEngine-0.5.4-any.whl").touch()
    calls = []
    monkeypatch.setattr(script, "pip", lambda *arguments, **_: calls.append(arguments))
    monkeypatch.setattr(script, "build", lambda folder: pytest.fail("compiled again"))
    script.main()
    ((command, *_, wheel),) = calls
    assert command == "install" and Path(wheel).parent == folder


def test_a_missing_compiler_is_named_with_what_to_install(script, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler -O2")
    with pytest.raises(
        SystemExit, match=r"no compiler 'no-such-compiler'(.|\n)*apt-get install g\+\+ libopenblas"
    ):
        script.check_toolchain()


@pytest.mark.skipif(shutil.which("c++") is None, reason="no C++ compiler")
def test_missing_headers_are_told_in_the_words_of_the_compiler(script, monkeypatch):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(script, "PROBE", "#include <no_such_header.h>\n")
    with pytest.raises(SystemExit, match=r"no_such_header\.h(.|\n)*conda-forge cxx-compiler openblas"):
        script.check_toolchain()


def test_the_line_that_removes_an_installed_engine_is_taken_out(script, tmp_path):
    archive = archive_of(tmp_path, script, f"before()\n{script.UNINSTALLS}after()\n")
    source = script.unpack(archive, tmp_path / "source")
    assert (source / "setup.py").read_text() == "before()\nafter()\n"


def test_a_source_without_that_line_is_refused(script, tmp_path):
    with pytest.raises(ValueError, match="does not have the line"):
        script.unpack(archive_of(tmp_path, script, "before()\n"), tmp_path / "source")
