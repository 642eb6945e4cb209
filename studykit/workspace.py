"""A folder to work in without a clone: ``studykit init`` lays out papers and notebooks that a wheel carries.

DIR/   papers/  notebooks/  README.md  .gitignore  .studykit (which version made it)
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from studykit import home
from studykit.version import __version__

CARRIED = ("papers", "notebooks")
NOTE = "commit.json"
"""In a wheel: the commit that it was built from, see :func:`carried_state`."""
IGNORED = ".ipynb_checkpoints", "__pycache__"

README = """\
# A workspace of studykit {version}

`papers/` holds the claims and their rules, `notebooks/` one study each, `results/` what your runs find.

```
studykit list                                        # studies, and how their claims stand here
studykit run bertswin-convergence                    # at smoke: every path, judges nothing
studykit run bertswin-convergence --profile laptop   # evidence
studykit new my-paper/my-claim                       # a claim of your own
studykit report                                      # results/index.html, and what came out, below
```

Keep it in git (`git init`): a rule counts as written before the runs by its commit.

<!-- claims:begin -->

<!-- claims:end -->
"""
GITIGNORE = """\
.ipynb_checkpoints/
__pycache__/
results/runs/
results/batch/
results/*/smoke/
results/*/*-own/
results/*/*/*.png
"""


def carried() -> Path:
    """Where the package has its papers and notebooks: inside a wheel, or beside the package in a clone."""
    inside = home.PACKAGE / "carried"
    return inside if inside.is_dir() else home.PACKAGE.parent


def init(folder: str | Path) -> Path:
    """Lay out a workspace in ``folder``, which is made where it is new; gives its absolute path.

    Raises:
        ValueError: something that it would write is there already; nothing is written then.
    """
    folder = Path(folder).absolute()
    files = {"README.md": README.format(version=__version__), ".gitignore": GITIGNORE}
    files[home.MARKER] = f"{__version__}\n"
    taken = [name for name in (*CARRIED, *files) if (folder / name).exists()]
    if taken:
        raise ValueError(f"{folder} has {', '.join(taken)} already: name a folder without, or a new one")
    for name in CARRIED:
        shutil.copytree(carried() / name, folder / name, ignore=shutil.ignore_patterns(*IGNORED))
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def carried_state() -> dict[str, Any]:
    """``commit`` and ``dirty`` of the checkout that a wheel was built from; both None where nothing says."""
    note = carried() / NOTE
    state = json.loads(note.read_text(encoding="utf-8")) if note.is_file() else {}
    return {key: state.get(key) for key in ("commit", "dirty")}


def differs() -> bool:
    """Whether what is worked in has other papers or notebooks than the package; outputs do not count."""
    folder = home.home()
    return not folder.samefile(carried()) and any(_changed(folder))


def _changed(folder: Path) -> Iterator[str]:
    """What was changed, added or taken away below ``folder``."""
    for name in CARRIED:
        here, there = (_sources(root / name) for root in (folder, carried()))
        yield from (path for path in here.keys() | there.keys() if here.get(path) != there.get(path))


def _sources(folder: Path) -> dict[str, bytes | list[tuple[str, str]]]:
    """What counts of each file: its bytes, or a notebook's cells."""
    files = [path for path in folder.rglob("*") if path.is_file() and not set(IGNORED) & {*path.parts}]
    return {
        str(path.relative_to(folder)): cells_of(path.read_text(encoding="utf-8"))
        if path.suffix == ".ipynb"
        else path.read_bytes()
        for path in files
    }


def cells_of(notebook: str) -> list[tuple[str, str]]:
    """Kind and source of each cell, without what running them wrote."""
    return [(cell["cell_type"], "".join(cell["source"])) for cell in json.loads(notebook)["cells"]]
