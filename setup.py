"""What pyproject.toml cannot say: a wheel carries papers, notebooks and the commit that they are of."""

import json
import shutil
import subprocess
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

ROOT = Path(__file__).parent
CARRIED = ("papers", "notebooks")
NOTE = "commit.json"


def write_state(path: Path) -> None:
    """The commit, and whether what is carried differs from it; both unknown without git."""
    if (ROOT / NOTE).is_file():
        state = json.loads((ROOT / NOTE).read_text(encoding="utf-8"))
    else:
        top = git("rev-parse", "--show-toplevel")
        commit = git("rev-parse", "HEAD") if top and Path(top).resolve() == ROOT.resolve() else None
        changes = git("status", "--porcelain", "--", "studykit", *CARRIED)
        state = {"commit": commit, "dirty": bool(changes) if commit else None}
    path.write_text(json.dumps(state) + "\n", encoding="utf-8")


def git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, encoding="utf-8")
    except FileNotFoundError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


class Wheel(build_py):
    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            carried = Path(self.build_lib) / "studykit" / "carried"
            shutil.rmtree(carried, ignore_errors=True)
            for name in CARRIED:
                strays = shutil.ignore_patterns(".*", "__pycache__")
                shutil.copytree(ROOT / name, carried / name, ignore=strays)
            write_state(carried / NOTE)


class Source(sdist):
    def make_release_tree(self, base_dir: str, files: list[str]) -> None:
        super().make_release_tree(base_dir, files)
        write_state(Path(base_dir) / NOTE)


setup(cmdclass={"build_py": Wheel, "sdist": Source})
