"""The kit leaves the clone: a wheel brings papers and notebooks, and works in a fresh environment."""

import ast
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from email.parser import Parser
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from studykit import home
from studykit.notebooks import notebooks
from studykit.runs.provenance import git, git_state
from studykit.workspace import CARRIED

pytestmark = pytest.mark.notebook
BUILD = "from setuptools import build_meta; print(build_meta.build_{kind}({folder!r}))"


def build(kind: str, source: Path, folder: Path) -> Path:
    """A distribution of the tree at ``source``, by the backend that pyproject.toml names."""
    script = BUILD.format(kind=kind, folder=str(folder))
    done = subprocess.run([sys.executable, "-c", script], cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / done.stdout.split()[-1]


def copy_of_the_tree(folder: Path) -> Path:
    """The clone with the changes at hand, without its history."""
    root = home.PACKAGE.parent
    listed = git(root, "ls-files", "--cached", "--others", "--exclude-standard", "-z")
    if not listed:
        pytest.skip("no git history here: what is committed is not known")
    for name in filter(None, listed.split("\0")):
        if (root / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A tree to build in, as builds write into it."""
    root, folder = home.PACKAGE.parent, copy_of_the_tree(tmp_path_factory.mktemp("build") / "tree")
    (folder / "commit.json").write_text(json.dumps(git_state(root)))
    (folder / "notebooks" / ".ipynb_checkpoints").mkdir()
    (folder / "notebooks" / ".ipynb_checkpoints" / "stray.ipynb").write_text("{}")
    return folder


@pytest.fixture(scope="module")
def wheel(tree):
    return build("wheel", tree, tree.parent)


def names_in(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as file:
        return set(file.namelist())


def test_the_wheel_brings_the_package_its_papers_and_notebooks_and_no_stray(tree, wheel):
    names = names_in(wheel)
    for name in (*CARRIED, "studykit"):
        files = {path.relative_to(tree) for path in (tree / name).rglob("*.*") if path.is_file()}
        there = {str(path if name == "studykit" else Path("studykit/carried") / path) for path in files}
        assert {n for n in there if "/." not in n and "__pycache__" not in n} <= names
    assert not [name for name in names if ".ipynb_checkpoints" in name or name.startswith("tests/")]
    assert len([name for name in names if name.endswith(".ipynb")]) == len(notebooks())


NAMED_OTHERWISE = {"mlflow": "mlflow-skinny", "MinkowskiEngineBackend": "MinkowskiEngine"}
"""Packages of modules that may not be installed here, where their names differ."""


def imported(source: bytes) -> set[str]:
    """Top-level packages that a module imports, wherever in it the import stands."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found - {"studykit", *sys.stdlib_module_names}


def test_all_that_the_wheel_imports_is_among_its_requirements(wheel):
    """Of the core or of an extra, and by itself: not because another requirement happens to bring it."""
    installed = metadata.packages_distributions()
    with zipfile.ZipFile(wheel) as file:
        (name,) = (name for name in file.namelist() if name.endswith(".dist-info/METADATA"))
        lines = Parser().parsestr(file.read(name).decode()).get_all("Requires-Dist")
        modules = [name for name in file.namelist() if name.endswith(".py")]
        asked = set().union(*(imported(file.read(name)) for name in modules))
    required = {canonicalize_name(Requirement(line).name) for line in lines}
    assert {"torch", "requests", "mlflow"} <= asked
    missing = {
        name
        for name in asked
        if required.isdisjoint(
            map(canonicalize_name, [NAMED_OTHERWISE.get(name, name), *installed.get(name, ())])
        )
    }
    assert missing == set()


def test_the_source_distribution_is_clean_and_gives_the_same_wheel(tree, wheel, tmp_path):
    archive = build("sdist", tree, tmp_path)
    with tarfile.open(archive) as tar:
        tops = {name.split("/")[1] for name in tar.getnames() if "/" in name}
        tar.extractall(tmp_path, filter="data")
    assert tops == {
        "CHANGELOG.md", "CITATION.cff", "LICENSE", "MANIFEST.in", "PKG-INFO", "README.md", "commit.json",
        "constraints.txt", "docs", "environment.yml", "notebooks", "papers", "pyproject.toml", "setup.cfg",
        "setup.py", "studykit", "studykit.egg-info",
    }  # fmt: skip
    (unpacked,) = (path for path in tmp_path.iterdir() if path.is_dir())
    assert not [path for path in unpacked.rglob("*") if path.name in ("__pycache__", ".ipynb_checkpoints")]
    assert names_in(build("wheel", unpacked, tmp_path)) == names_in(wheel)


def test_from_the_wheel_a_stranger_comes_to_a_workspace_a_notebook_and_a_claim(wheel, tmp_path):
    """What installing the wheel and `studykit init DIR` give, with the packages of here and no clone."""
    venv.create(tmp_path / "venv", with_pip=False, symlinks=True)
    bin = tmp_path / "venv" / "bin"
    own = sysconfig.get_path("purelib", vars={"base": str(tmp_path / "venv")})
    usual = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    Path(own, "others.pth").write_text("\n".join(dict.fromkeys(usual)), encoding="utf-8")
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("PYTHONPATH", "STUDYKIT_HOME", "STUDYKIT_RESULTS", "STUDYKIT_DRY_RUN")
    }

    def call(*command: str, cwd: Path = tmp_path) -> str:
        done = subprocess.run(
            [str(bin / command[0]), *command[1:]], cwd=cwd, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    install = ("install", "--quiet", "--no-deps", "--no-index", "--ignore-installed")
    call("python", "-m", "pip", *install, str(wheel))
    call("studykit", "init", "mine")
    mine = tmp_path / "mine"
    place = call("python", "-c", "import studykit; print(studykit.__file__)", cwd=mine)
    assert Path(place.strip()).is_relative_to(own)
    assert "bertswin-convergence" in call("studykit", "list", cwd=mine)
    call("studykit", "run", "waveformer-efficiency", cwd=mine)
    verdict = json.loads((mine / "results/waveformer-efficiency/smoke/verdict.json").read_text())
    commit = git_state(home.PACKAGE.parent)["commit"]
    assert {entry["provenance"]["commit"] for entry in verdict["verdicts"]} == {commit}
    call("studykit", "new", "my-paper/faster", cwd=mine)
    assert "my-paper/faster" in call("studykit", "show", "faster", cwd=mine)
    assert "results/SUMMARY.md" in call("studykit", "report", cwd=mine)
