"""Whether what decides a notebook's outputs is as it was when it was executed last.

Decide: its cells and parameters, this package, the papers, Python and its packages, and what lies in the
study's folder of evidence, which the notebook reads and writes; where it is of no single study all evidence.
Volumes of one's own may change unseen: what is run on them is always executed.
"""

import hashlib
import json
import platform
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from studykit import atomic, home
from studykit.arms.ownership import own_parameters
from studykit.data.files.digests import text_sha256
from studykit.notebooks.catalogue import notebooks, study_of
from studykit.runs.now import NOW

EXECUTED = "executed"
"""Folder beside the notes of trainings: a note for each notebook and its parameters."""
PACKAGES = ("torch", "monai", "ptwt", "numpy", "scipy", "pandas", "scikit-learn", "matplotlib", "seaborn")
ALL = ("99_", "00_")
"""Notebooks that read the evidence of all studies."""


def executed_before(stem: str, parameters: Mapping[str, Any], output: Path) -> str:
    """When the execution was whose outputs still stand, as a date and a time; empty where there is none.

    Args:
        stem: of the notebook.
        parameters: by name.
        output: where the executed notebook lies.
    """
    try:
        known = json.loads(_note(stem, parameters).read_bytes())
        when = datetime.fromtimestamp(output.stat().st_mtime).strftime("%Y-%m-%d %H:%M")
        return when if known == _state(stem, parameters) else ""
    except (OSError, ValueError):
        return ""


def remember(stem: str, parameters: Mapping[str, Any]) -> None:
    """A notebook was executed to its end just now; one on volumes of one's own is not remembered."""
    study, profile = study_of(stem), parameters.get("profile", "smoke")
    if "data" in own_parameters(study, profile, parameters):
        return
    with suppress(OSError):  # what cannot be remembered is executed again
        note = _note(stem, parameters)
        note.parent.mkdir(parents=True, exist_ok=True)
        atomic.write_json(note, _state(stem, parameters))


def forget() -> None:
    """Notebooks are executed again, for a reason that no note could know, such as runs that were removed."""
    for note in (home.runs_dir() / NOW / EXECUTED).glob("*.json"):
        with suppress(OSError):
            note.unlink()


def _note(stem: str, parameters: Mapping[str, Any]) -> Path:
    name = json.dumps([stem, dict(parameters)], sort_keys=True, default=str)
    return home.runs_dir() / NOW / EXECUTED / f"{stem}-{text_sha256(name)[:16]}.json"


def _state(stem: str, parameters: Mapping[str, Any]) -> dict[str, str]:
    """A digest of each thing that decides."""
    cells = json.loads(notebooks()[stem].read_bytes())["cells"]
    source = [[cell["cell_type"], "".join(cell["source"])] for cell in cells]
    return {
        "cells": text_sha256(json.dumps(source)),
        "parameters": json.dumps(dict(parameters), sort_keys=True, default=str),
        "package": _contents(home.PACKAGE),
        "papers": _contents(home.papers_dir()),
        "environment": " ".join([platform.python_version(), platform.machine(), *_versions()]),
        "evidence": _times(home.results_dir() if stem.startswith(ALL) else _evidence(stem)),
    }


def _evidence(stem: str) -> Path:
    return home.results_dir() / study_of(stem)


def _versions() -> Iterable[str]:
    for package in PACKAGES:
        with suppress(PackageNotFoundError):
            yield f"{package} {version(package)}"


def _files(folder: Path) -> list[Path]:
    """Files below a folder in order, but for what Python makes, runs, and notebooks that failed."""
    left_out = {home.runs_dir(), home.results_dir() / "batch"}
    found = (path for path in folder.rglob("*") if path.is_file() and path.parent.name != "__pycache__")
    return sorted(path for path in found if left_out.isdisjoint(path.parents))


def _contents(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in _files(folder):
        digest.update(f"{path.relative_to(folder)}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _times(folder: Path) -> str:
    """Names, sizes and times of files: what was written since is seen without reading all."""
    digest = hashlib.sha256()
    for path in _files(folder):
        status = path.stat()
        digest.update(f"{path.relative_to(folder)}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()
