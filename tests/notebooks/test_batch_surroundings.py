"""What a notebook finds around it: its own figures, patient threads, its share of cores, room for sockets."""

import json

import pytest
from tiny_notebook import write_notebook

from studykit.notebooks import batch

CORES = 6
LONG = 100
"""Characters of a folder for temporary files, too long for the system with a socket's name in it."""
CELL = """import json, os, tempfile
names = ("MPLBACKEND", "JPY_SESSION_NAME", "OMP_WAIT_POLICY", "OMP_NUM_THREADS")
print(json.dumps({name: os.environ.get(name) for name in names} | {"folder": len(tempfile.gettempdir())}))"""


@pytest.fixture
def checkout(tmp_path, monkeypatch, results):
    """One notebook that prints what it finds, on a machine of :data:`CORES` cores."""
    root = tmp_path / "checkout"
    for name in ("papers", "notebooks"):
        (root / name).mkdir(parents=True)
    write_notebook(root / "notebooks" / "01_look.ipynb", CELL)
    monkeypatch.setenv("STUDYKIT_HOME", str(root))
    monkeypatch.setattr(batch, "_cores", lambda: CORES)
    return root


@pytest.mark.parametrize("given", ["", "5"])
def test_a_notebook_is_not_led_astray_by_variables_of_others(checkout, tmp_path, monkeypatch, given):
    folder = tmp_path / "t".ljust(LONG - len(str(tmp_path)) - 1, "t")
    folder.mkdir()
    for name in ("OMP_WAIT_POLICY", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    if given:
        monkeypatch.setenv("OMP_NUM_THREADS", given)
    # What a Jupyter kernel in which somebody calls a batch has set, and a folder as clusters give them.
    for name, value in (
        ("MPLBACKEND", "Agg"), ("JPY_SESSION_NAME", "theirs.ipynb"), ("TMPDIR", str(folder)),
    ):  # fmt: skip
        monkeypatch.setenv(name, value)
    (done,) = batch.run_batch(["01_look"], {}, jobs=2)
    assert done.error == ""
    (said,) = json.loads(done.output.read_text(encoding="utf-8"))["cells"][-1]["outputs"]
    found = json.loads("".join(said["text"]))
    assert "inline" in found["MPLBACKEND"], "the kernel's own, which shows figures in the notebook"
    assert found["JPY_SESSION_NAME"] is None
    assert found["OMP_WAIT_POLICY"] == "passive"
    assert found["OMP_NUM_THREADS"] == (given or str(CORES // 2))
    assert found["folder"] == len(str(folder)) >= LONG
