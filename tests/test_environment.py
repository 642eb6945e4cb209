"""environment.yml and constraints.txt say what pyproject.toml says."""

import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from studykit.home import home

CONDA_NAMES = {"pytorch": "torch"}
COMPILED = "minkowskiengine"
LEFT_TO_PIP = ("peers", "docs", "trackers", "tables")
"""Of benchmarks and some tests, the site, `studykit track` and Parquet; environment.yml leaves them."""
COMPILED_WITH = ("cxx-compiler", "openblas")
"""What scripts/minkowski_wheel.py compiles the engine with; no pip line could, away from torch."""


@pytest.fixture(scope="module")
def project():
    return tomllib.loads((home() / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def required(project):
    lines = [
        *project["dependencies"],
        *(r for extra in project["optional-dependencies"].values() for r in extra),
    ]
    return {canonicalize_name(r.name): r.specifier for r in map(Requirement, lines)}


@pytest.fixture(scope="module")
def environment():
    """Conda lines and pip lines, told apart by indentation; the file uses no other YAML."""
    text = (home() / "environment.yml").read_text(encoding="utf-8").split("dependencies:")[1]
    conda = re.findall(r"^  - (\S+)$", text, flags=re.M)
    pip = re.findall(r"^      - (\S.*)$", text, flags=re.M)
    return [line for line in conda if line not in ("pip", "pip:")], [line for line in pip if line != "-e ."]


def test_every_conda_line_is_a_match_spec_and_every_pip_line_a_requirement(environment):
    rattler = pytest.importorskip("rattler")
    conda, pip = environment
    for line in conda:
        rattler.MatchSpec(line)
    for line in pip:
        Requirement(line)


def test_environment_holds_the_same_names_and_bounds_as_pyproject(project, required, environment):
    conda, pip = environment
    bounds = {}
    for line in conda + pip:
        name, bound = re.fullmatch(r"([A-Za-z0-9_-]+)(.*)", line).groups()
        bounds[canonicalize_name(CONDA_NAMES.get(name, name))] = SpecifierSet(bound)
    assert bounds.pop("python") == SpecifierSet(project["requires-python"])
    for name in COMPILED_WITH:
        assert bounds.pop(name) == SpecifierSet()
    extras = project["optional-dependencies"]
    left = {canonicalize_name(Requirement(line).name) for extra in LEFT_TO_PIP for line in extras[extra]}
    assert bounds == {name: bound for name, bound in required.items() if name not in left | {COMPILED}}


def test_every_requirement_is_pinned_within_its_bounds(required):
    pins = {}
    for line in (home() / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            requirement = Requirement(line)
            (pin,) = requirement.specifier
            assert pin.operator == "==", line
            pins[canonicalize_name(requirement.name)] = pin.version
    for name, specifier in required.items():
        assert name in pins, f"{name} has no pin in constraints.txt"
        assert specifier.contains(pins[name]), f"{name} {pins[name]} is outside {specifier}"


def test_the_package_says_that_it_is_typed():
    tools = tomllib.loads((home() / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    assert "py.typed" in tools["setuptools"]["package-data"]["studykit"]
    assert (home() / "studykit" / "py.typed").read_text(encoding="utf-8") == ""
