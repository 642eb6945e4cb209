"""Wheels that a machine lacks: which ones, by what this environment is made of, and brought by pip.

Versions are those that are installed here, so the machine computes with what was tested.
"""

import subprocess
import sys
import tomllib
from collections.abc import Collection, Iterable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from studykit import home

HAS = (
    "torch", "numpy", "scipy", "pandas", "joblib", "scikit-learn", "scikit-image", "matplotlib", "seaborn",
    "safetensors", "filelock", "tqdm", "psutil", "einops", "pytest", "pytest-xdist",
)  # fmt: skip
"""What a machine is taken to have, with all that these need, unless told otherwise."""
LEFT_OUT = {
    "simpleitk": "volumes travel prepared",
    "pydicom": "volumes travel prepared",
    "jupyterlab": "nobody looks",
    "debugpy": "nobody debugs",
    "jedi": "nobody types",
    "pip": "brings no wheels there",
}
"""What is not carried, and why; nor is what only these need."""
FOR_TIMINGS = ("ptwt",)
"""What timings on the machine are held against, besides what the kit needs itself."""
OLDEST_GLIBC = 5
LATE_PATCH = 99
"""The machine's Python is taken to be a late one of its minor version: some wheels refuse 3.11.0."""


def dependencies() -> list[str]:
    """Requirements of the kit and its notebooks, as ``pyproject.toml`` states them."""
    with open(home.home() / "pyproject.toml", "rb") as file:
        project = tomllib.load(file)["project"]
    return [*project["dependencies"], *project["optional-dependencies"]["notebooks"]]


def least_version(package: str) -> str:
    """The ``2.8`` of ``torch>=2.8`` among the :func:`dependencies`."""
    from packaging.requirements import Requirement

    found = next(r for r in map(Requirement, dependencies()) if r.name == package)
    return next(one.version for one in found.specifier if one.operator == ">=")


def missing_wheels(has: Iterable[str], python: str) -> dict[str, str]:
    """Package → version of what the kit needs beyond ``has`` and all that those need.

    Args:
        python: of the machine, such as ``3.12``; what only other Pythons need is left out, and so is what
            that one needs and this environment has not.
    """
    there = closure(has, python)
    return dict(sorted(closure([*dependencies(), *FOR_TIMINGS], python, {*there, *LEFT_OUT}).items()))


def closure(roots: Iterable[str], python: str, without: Collection[str] = ()) -> dict[str, str]:
    """Package → version of some requirements and all that they need, as far as it is installed here."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    own = {"python_version": python, "python_full_version": f"{python}.0", "sys_platform": "linux"}
    found: dict[str, str] = {}
    done, todo = set(), [Requirement(root) for root in roots]
    while todo:
        wanted = todo.pop()
        name = canonicalize_name(wanted.name)
        if name in without or (name, *sorted(wanted.extras)) in done:
            continue
        done.add((name, *sorted(wanted.extras)))
        try:
            held = distribution(name)
        except PackageNotFoundError:
            continue
        found[name] = held.version
        for line in held.requires or ():
            needed = Requirement(line)
            marks = [{**own, "extra": extra} for extra in ("", *wanted.extras)]
            if needed.marker is None or any(needed.marker.evaluate(mark) for mark in marks):
                todo.append(needed)
    return found


def platforms(platform: str) -> list[str]:
    """A platform and the older ones whose wheels run on it: ``manylinux_2_28_x86_64`` down to 2.5.

    >>> platforms("manylinux_2_6_x86_64")
    ['manylinux_2_6_x86_64', 'manylinux_2_5_x86_64', 'manylinux1_x86_64', 'linux_x86_64']
    """
    kind, _, rest = platform.partition("_2_")
    minor, _, machine = rest.partition("_")
    if kind != "manylinux" or not minor.isdigit() or not machine:
        return [platform]
    glibc = range(int(minor), OLDEST_GLIBC - 1, -1)
    older = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
    named = [f"{older[i]}_{machine}" for i in glibc if i in older]
    return [*(f"manylinux_2_{i}_{machine}" for i in glibc), *named, f"linux_{machine}"]


def fetch_wheels(wanted: dict[str, str], folder: Path, python: str, platform: str) -> list[Path]:
    """Bring wheels of exact versions by pip, for a Python and a platform.

    Raises:
        RuntimeError: pip cannot bring one; the message ends with what it said.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not wanted:
        return []
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--python-version", f"{python}.{LATE_PATCH}", "--implementation", "cp", "--dest", str(folder)]
    command += [part for name in platforms(platform) for part in ("--platform", name)]
    command += [f"{name}=={version}" for name, version in wanted.items()]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace")
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        last = "\n".join(said or done.stderr.splitlines()[-5:])
        raise RuntimeError(f"pip cannot bring the wheels for Python {python} on {platform}:\n{last}")
    return sorted(folder.glob("*.whl"))
