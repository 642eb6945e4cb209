"""Where a result comes from: code, versions, hardware and time, without naming a host, a user or a path."""

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from studykit import home, workspace
from studykit.version import __version__

PACKAGES = ("torch", "numpy", "scipy", "monai")

NOT_DETERMINISTIC_ON_CUDA = (
    "the gradient of trilinear upsampling (no deterministic kernel)",
    "scattered and indexed additions, where threads add in any order",
    "the gradient of scaled_dot_product_attention in its fused kernels",
    "matrix products, unless CUBLAS_WORKSPACE_CONFIG is set",
    "which kernels torch.compile and cuDNN choose by timing them",
)


ROOT = home.PACKAGE.parent


def provenance(started: datetime | None = None) -> dict[str, Any]:
    """Facts that a reader needs to repeat a result, as plain JSON values.

    Args:
        started: when the work began, timezone-aware; now where it is not given.

    Returns:
        ``studykit``, ``commit`` and ``dirty`` (see :func:`code_state`), ``python``, ``packages``,
        ``os``, ``hardware``, ``threads`` of torch, ``started`` in UTC, ``deterministic_algorithms`` and
        ``not_deterministic_on_cuda`` (empty where no GPU is at hand).

    Raises:
        ValueError: ``started`` has no time zone.
    """
    import torch

    started = datetime.now(UTC) if started is None else started
    if started.tzinfo is None:
        raise ValueError(f"started needs a time zone, got {started}; use datetime.now(UTC)")
    return {
        "studykit": __version__,
        **code_state(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "os": " ".join(filter(None, (platform.system(), platform.machine(), *platform.libc_ver()))),
        "hardware": hardware(),
        "threads": torch.get_num_threads(),
        "started": started.astimezone(UTC).isoformat(timespec="seconds"),
        "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
        "not_deterministic_on_cuda": list(NOT_DETERMINISTIC_ON_CUDA) if torch.cuda.is_available() else [],
    }


def in_words(facts: dict[str, Any]) -> str:
    """The hardware and code of a :func:`provenance` in one line."""
    machine, commit = facts["hardware"], facts["commit"]
    gpus = [f"{gpu['name']} ({gpu['memory_gib']} GiB)" for gpu in machine["gpus"]]
    code = "no commit known" if commit is None else f"commit {commit[:12]}"
    # Verdicts from before the capability was written down have none.
    capability = f" ({machine['capability']})" if "capability" in machine else ""
    parts = [
        f"{machine['cpu']}{capability}, {machine['cores']} cores",
        *gpus,
        f"torch {facts['packages']['torch']}",
        code,
    ]
    return ", ".join(parts) + (" with local changes" if facts["dirty"] else "")


def hardware() -> dict[str, Any]:
    """Processor, usable cores, memory in GiB, and each GPU with its memory and the CUDA version.

    The processor comes with ``capability``, the vector instructions that torch uses of it, and ``linear``,
    the path of linear layers; both decide about rounding.
    """
    import torch

    from studykit.layers.linear import PATH

    gpus = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else psutil.cpu_count()
    return {
        "cpu": _cpu_model(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "linear": PATH,
        "cores": cores,
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "gpus": [{"name": gpu.name, "memory_gib": round(gpu.total_memory / 2**30, 1)} for gpu in gpus],
        "cuda": torch.version.cuda if gpus else None,
    }


def code_state() -> dict[str, Any]:
    """``commit`` and ``dirty`` of what is run: of the clone, see :func:`git_state`, or of the wheel's origin.

    Work in a workspace whose papers or notebooks are not the package's is dirty, too.
    """
    state = git_state(ROOT) if workspace.carried() == ROOT else workspace.carried_state()
    return state | {"dirty": True} if workspace.differs() else state


def git_state(root: Path) -> dict[str, Any]:
    """``commit`` (40 hex digits) and ``dirty`` of the checkout at ``root``; both None where it is none.

    A copy without git that a bundle carried has those of the checkout it was made from.

    Dirty means that what is run differs from the commit: a tracked file changed, or a file git does not
    ignore was added to ``studykit/``, ``papers/`` or ``notebooks/``. What running writes does not count:
    ``results/``, the README's claim table, and the outputs of a notebook whose cells are unchanged.
    """
    top = git(root, "rev-parse", "--show-toplevel")
    commit = git(root, "rev-parse", "HEAD")
    if top is None or commit is None or Path(top.strip()).resolve() != root.resolve():
        return _carried_state(root)
    changed = (git(root, "diff", "--name-only", "-z", "HEAD") or "").split("\0")
    added = git(root, "ls-files", "--others", "--exclude-standard", "-z", "--", *_SOURCES) or ""
    return {
        "commit": commit.strip(),
        "dirty": bool(added) or any(_source_changed(root, path) for path in filter(None, changed)),
    }


def _carried_state(root: Path) -> dict[str, Any]:
    """The state of the checkout that a copy without git was made from, as a bundle notes it in the copy."""
    note = root / "commit.json"
    state = json.loads(note.read_text(encoding="utf-8")) if note.is_file() else {}
    return {key: state.get(key) for key in ("commit", "dirty")}


_SOURCES = ("studykit", "papers", "notebooks")


def git(root: Path, *arguments: str) -> str | None:
    """What git prints, or None where git is absent or refuses."""
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, encoding="utf-8", errors="replace"
        )
    except FileNotFoundError:
        return None
    return done.stdout if done.returncode == 0 else None


def _source_changed(root: Path, path: str) -> bool:
    if path.startswith("results/") or path == "README.md":
        return False
    if not path.endswith(".ipynb") or not (root / path).is_file():
        return True
    before = git(root, "show", f"HEAD:{path}")
    now = (root / path).read_text(encoding="utf-8")
    return before is None or workspace.cells_of(before) != workspace.cells_of(now)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
