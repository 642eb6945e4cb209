"""A Python of its own that has some of the packages installed here, no other, and no network."""

import subprocess
import venv
from collections.abc import Iterable
from importlib.metadata import distribution
from pathlib import Path

from studykit.bundle.wheels import closure

GUARD = """
import os, socket
_usual = socket.socket.connect
def _connect(self, address):
    if self.family != socket.AF_UNIX:
        with open(os.environ["STUDYKIT_CONNECTIONS"], "a") as log:
            log.write(f"{address}\\n")
        raise OSError(f"no network here, asked for {address}")
    return _usual(self, address)
socket.socket.connect = socket.socket.connect_ex = _connect
"""
"""Any connection but one through a file fails, and is written down."""


def bare_python(folder: Path, packages: Iterable[str], version: str) -> Path:
    """Make a virtual environment of ``packages`` and what they need, linked from here; gives its Python."""
    venv.create(folder, with_pip=True, symlinks=True)
    python = folder / "bin" / "python"
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = Path(subprocess.check_output([python, "-c", code], text=True).strip())
    for name in closure(packages, version):
        held = distribution(name)
        for top in {file.parts[0] for file in held.files or () if file.parts[0] not in ("..", "__pycache__")}:
            if not (site / top).exists():
                (site / top).symlink_to(Path(str(held.locate_file(top))).resolve())
    (site / "sitecustomize.py").write_text(GUARD)
    return python


def connections(log: Path) -> list[str]:
    """Addresses that were asked for."""
    return log.read_text().splitlines() if log.exists() else []
