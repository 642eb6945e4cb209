"""Five small notebooks, of which one is not part of a batch."""

import pytest
from tiny_notebook import write_notebook

CELLS = {
    "01_good": "print(profile, label, data)\nprint(Path.cwd(), sys.prefix, home.results_dir(), Path.home())",
    "02_bad": "print('before')\nraise ValueError('this cell fails')",
    "03_slow": """from studykit.training.signals import stop_on_signal
import time
with stop_on_signal(insist=False) as stop:
    Path(data.removeprefix("folder:"), "started").touch()
    while not stop.received:
        time.sleep(0.05)
    Path(data.removeprefix("folder:"), "saved").touch()
raise KeyboardInterrupt""",
    "99_summary": "print(sorted(path.stem for path in home.results_dir().glob('*/*/*.ipynb')))",
}


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout with five small notebooks and no results."""
    root = tmp_path / "checkout"
    for name in ("papers", "notebooks"):
        (root / name).mkdir(parents=True)
    for stem, cell in CELLS.items():
        write_notebook(root / "notebooks" / f"{stem}.ipynb", cell)
    write_notebook(root / "notebooks" / "scratch.ipynb", "")
    monkeypatch.setenv("STUDYKIT_HOME", str(root))
    monkeypatch.delenv("STUDYKIT_RESULTS", raising=False)
    return root
