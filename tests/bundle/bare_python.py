"""A Python of its own with some installed packages, those that they need and no other, and without network."""

import subprocess
import venv
from collections.abc import Iterable
from importlib.metadata import distribution
from pathlib import Path

GUARD = """
import os, socket
_usual = socket.socket.connect
def _connect(self, address):
    if self.family != socket.AF_UNIX:
        with open(os.environ["STUDYKIT_REHEARSAL_LOG"], "a") as log:
            log.write(f"{address}\\n")
        raise OSError(f"no network here, asked for {address}")
    return _usual(self, address)
socket.socket.connect = socket.socket.connect_ex = _connect
"""
"""Any connection but one through a file fails, and is written down."""


def bare_python(folder: Path, packages: Iterable[str]) -> Path:
    """Make a virtual environment that has only ``packages``, as links to those installed here; its Python."""
    venv.create(folder, with_pip=True, symlinks=True)
    python = folder / "bin" / "python"
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = Path(subprocess.check_output([python, "-c", code], text=True).strip())
    for name in packages:
        files = distribution(name).files or ()
        for top in {file.parts[0] for file in files if file.parts[0] not in ("..", "__pycache__")}:
            target = site / top
            if not target.exists():
                target.symlink_to(Path(distribution(name).locate_file(top)).resolve())
    (site / "sitecustomize.py").write_text(GUARD)
    return python
