"""Notebooks in a batch: run apart, stopped in time, and away from the evidence where they fail."""

import base64
import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import numpy as np
import psutil
import pytest
from PIL import Image
from tiny_notebook import write_notebook

from studykit import home
from studykit.notebooks import (
    batch,
    check_parameters,
    notebook_of,
    notebooks,
    parameters_of,
    run_batch,
    run_notebook,
)
from studykit.notebooks import (
    execution as executed,
)
from studykit.notebooks.portable import portable, relinked

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


def printed(path: Path) -> str:
    content = json.loads(path.read_text(encoding="utf-8"))
    texts = [
        output["text"] for cell in content["cells"] for output in cell.get("outputs", []) if "text" in output
    ]
    return "".join("".join(text) for text in texts)


# ---- names and parameters


def test_notebooks_are_found_by_stem_and_by_study(checkout):
    assert list(notebooks()) == list(CELLS)
    assert notebook_of("02_bad") == notebook_of("bad") == "02_bad"
    with pytest.raises(ValueError, match=r"No notebook for 'scratch'\. Known: good, bad, slow"):
        notebook_of("scratch")


def test_parameters_are_read_as_python(checkout):
    assert parameters_of("01_good") == {
        "profile": "'smoke'", "seeds": "[0, 1]", "label": "'a = b # c'", "data": "None",
    }  # fmt: skip
    plain = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("profile = 'smoke'")])
    nbformat.write(plain, checkout / "notebooks" / "05_plain.ipynb")
    assert parameters_of("05_plain") == {}


def test_unknown_parameters_and_profiles_list_the_known_ones_and_run_nothing(checkout, monkeypatch):
    monkeypatch.setattr(executed.subprocess, "Popen", lambda *_, **__: pytest.fail("a notebook was started"))
    with pytest.raises(
        ValueError, match=r"01_good has no parameter lables, sedes\. Known: profile, seeds, label"
    ):
        check_parameters("01_good", {"sedes": 1, "lables": 2, "profile": "smoke"})
    with pytest.raises(ValueError, match="01_good has no parameter sedes"):
        run_notebook("01_good", {"sedes": 1})
    with pytest.raises(ValueError, match=r"No notebook has the parameter sedes\. Known: data, label"):
        run_batch(["01_good", "02_bad"], {"sedes": 1})
    for profile in ("tiny", "../../elsewhere"):
        with pytest.raises(ValueError, match=r"Unknown profile .*Known: smoke, laptop, gpu, paper"):
            run_batch(["01_good"], {"profile": profile})
    with pytest.raises(ValueError, match="No notebook for '07_gone'"):
        run_batch(["01_good", "07_gone"], {})
    with pytest.raises(ValueError, match="jobs must be at least 1, got 0"):
        run_batch(["01_good"], {}, jobs=0)
    assert not (checkout / "results").exists()


# ---- execution


def test_a_batch_of_two_jobs_with_a_failure_and_the_summary_last(checkout):
    evidence = checkout / "results" / "bad" / "laptop" / "02_bad.ipynb"
    evidence.parent.mkdir(parents=True)
    evidence.write_text("earlier evidence")
    own = checkout / "own volumes"
    told = []
    executions = run_batch(
        ["99_summary", "02_bad", "good", "01_good"],
        {"profile": "laptop", "data": f"folder:{own}"},
        jobs=2,
        announce=told.append,
    )
    assert executions == told and executions[-1].notebook == "99_summary"
    by_name = {execution.notebook: execution for execution in executions}
    assert sorted(by_name) == ["01_good", "02_bad", "99_summary"] and len(executions) == 3

    bad = by_name["02_bad"]
    assert "ValueError: this cell fails" in bad.error and bad.seconds > 0
    assert evidence.read_text(encoding="utf-8") == "earlier evidence"
    assert bad.output.parent == checkout / "results" / "batch" and "before" in printed(bad.output)

    good = by_name["01_good"]
    assert good.error == "" and good.output == checkout / "results" / "good" / "laptop-own" / "01_good.ipynb"
    text = good.output.read_text(encoding="utf-8")
    assert "laptop a = b # c folder:own volumes" in printed(good.output)
    assert printed(good.output).splitlines()[1] == "studykit/notebooks python results ~"
    for place in (checkout, own, sys.prefix, Path.home()):
        assert str(place) not in text
    assert "papermill" not in json.loads(text)["metadata"]
    assert all(cell["metadata"].keys() <= {"tags"} for cell in json.loads(text)["cells"])

    assert "'01_good'" in printed(by_name["99_summary"].output), "it reads what the others wrote"
    left = {path.name for path in bad.output.parent.iterdir()}
    assert left == {bad.output.name, bad.log.name}, "drafts and logs of the rest are gone"
    assert "ValueError: this cell fails" in bad.log.read_text(encoding="utf-8")


def test_in_place_fills_the_notebook_itself_with_its_default_parameters(checkout, capfd):
    source = checkout / "notebooks" / "01_good.ipynb"
    before = [cell["source"] for cell in json.loads(source.read_text(encoding="utf-8"))["cells"]]
    execution = run_notebook("01_good", {}, in_place=True, show_output=True)
    assert execution.output == source and execution.error == ""
    after = json.loads(source.read_text(encoding="utf-8"))["cells"]
    assert [cell["source"] for cell in after] == before, "no cell was added"
    assert [cell["execution_count"] for cell in after] == [1, 2, 3]
    assert "smoke a = b # c None" in printed(source) and "smoke a = b # c None" in capfd.readouterr().out
    assert not list(checkout.glob("results/*/*/*.ipynb"))


def test_a_notebook_past_its_limit_may_save_and_is_stopped_with_its_kernel(checkout, tmp_path, monkeypatch):
    started, clock = tmp_path / "started", time.monotonic
    monkeypatch.setattr(executed.time, "monotonic", lambda: clock() + 90 * started.exists())
    monkeypatch.setattr(executed, "SAVE_SECONDS", 240)
    execution = run_notebook("03_slow", {"data": str(tmp_path)}, limit_seconds=90)
    assert execution.error == "stopped after its limit of 90 s; run it again to go on from its checkpoints"
    assert (tmp_path / "saved").exists() and not (checkout / "results" / "slow").exists()
    assert not [p for p in psutil.Process().children(recursive=True) if "ipykernel" in " ".join(p.cmdline())]


@pytest.fixture
def ends(checkout, monkeypatch):
    """Notebooks take 100 s each and nothing is run; when each was told to be over, and its limit."""
    told, now = [], [1000.0]

    def pretend(source, draft, parameters, *, variables, limit, **_):
        told.append((variables.get(home.UNTIL), limit))
        shutil.copy(source, draft)
        now[0] += 100
        return ""

    monkeypatch.setattr(executed, "execute", pretend)
    for module in (executed, batch):
        monkeypatch.setattr(module.time, "time", lambda: now[0])
    return told


def test_notebooks_share_the_minutes_that_are_left(ends):
    run_batch(["01_good", "02_bad", "99_summary"], {}, minutes=10)
    assert ends == [("1200.0", 200.0), ("1350.0", 250.0), ("1600.0", 400.0)]


def test_without_minutes_there_is_no_end_and_a_limit_stays_one(ends):
    run_batch(["01_good"], {}, limit_seconds=7)
    run_batch(["01_good"], {}, limit_seconds=7, minutes=10)
    assert ends == [(None, 7), ("1700.0", 7)]


@pytest.mark.parametrize(("minutes", "jobs"), [(0, 1), (-1, 1), (float("nan"), 1), (5, 2)])
def test_minutes_that_cannot_be_spent_are_refused(ends, minutes, jobs):
    with pytest.raises(ValueError, match="minutes must be above 0 and are spent on one job at a time"):
        run_batch(["01_good"], {}, minutes=minutes, jobs=jobs)
    assert ends == []


def test_a_kernel_knows_when_it_has_to_be_over(checkout):
    write_notebook(checkout / "notebooks" / "01_good.ipynb", "print(home.until())")
    [done] = run_batch(["01_good"], {}, minutes=5)
    assert 200 < float(printed(done.output).split()[-1]) - time.time() < 300


def kernels(data):
    """Kernels of this machine that work for the notebook which got this folder."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or ())
        if "ipykernel_launcher" in line or "studykit.notebooks.kernel" in line:
            with contextlib.suppress(psutil.Error):
                if str(data) in " ".join([line, *process.environ().values()]):
                    found.append(process)
    return found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_whoever_stops_a_batch_stops_its_kernels_which_save(checkout, tmp_path, number):
    command = [sys.executable, "-m", "studykit", "run", "slow", "-p", "data", f"folder:{tmp_path}"]
    environment = os.environ | {"STUDYKIT_RESULTS": str(tmp_path / "results")}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as batch_process:
        deadline = time.monotonic() + 120
        while not (tmp_path / "started").exists():
            assert batch_process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        assert kernels(tmp_path)
        batch_process.send_signal(number)
        said = batch_process.communicate(timeout=120)[1]
    if number != signal.SIGKILL:
        assert batch_process.returncode == 130 and "the same call goes on from the last checkpoints" in said
    while kernels(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert (tmp_path / "saved").exists() and not kernels(tmp_path)


def test_a_foreign_kernel_and_a_folder_that_shadows_modules_lead_nobody_astray(checkout, tmp_path):
    foreign, odd = tmp_path / "jupyter" / "kernels" / "python3", tmp_path / "odd"
    foreign.mkdir(parents=True)
    (foreign / "kernel.json").write_text('{"argv": ["false"], "display_name": "x", "language": "python"}')
    (odd / "studykit").mkdir(parents=True)
    (odd / "json.py").write_text("raise SystemExit('shadowed')")
    own = {"JUPYTER_PATH": str(tmp_path / "jupyter"), "STUDYKIT_RESULTS": str(tmp_path / "results")}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "studykit", "run", "good"],
        cwd=odd, env=os.environ | own, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0 and "01_good" in done.stdout, done.stderr


def test_a_process_that_dies_without_a_word_counts_as_failed(checkout, monkeypatch):
    monkeypatch.setattr(executed.sys, "executable", shutil.which("false"))
    execution = run_notebook("01_good", {})
    assert execution.error == "its process ended with exit code 1 and no word"
    assert not (checkout / "results" / "good").exists()


def test_an_end_with_force_cancels_what_is_still_queued(checkout, monkeypatch):
    started = []

    def stop(stem, *_, **__):
        started.append(stem)
        time.sleep(0.3)
        raise KeyboardInterrupt

    monkeypatch.setattr(batch, "run_notebook", stop)
    with pytest.raises(KeyboardInterrupt):
        run_batch(["01_good", "02_bad", "03_slow", "99_summary"], {})
    assert "03_slow" not in started and "99_summary" not in started


# ---- outputs


def test_pictures_are_left_alone_and_a_root_folder_stands_for_nothing(checkout, monkeypatch):
    monkeypatch.setattr(Path, "home", lambda: Path("/"))
    picture = f"iVBOR{home.home()}/AAAA"
    data = {"image/png": picture, "text/plain": [f"{home.home()}/x.nii", "1 / 2", f"{home.home()}-not"]}
    cell = {"metadata": {}, "outputs": [{"data": data}]}
    text = portable(json.dumps({"metadata": {"papermill": {}}, "cells": [cell]}), {})
    written = json.loads(text)["cells"][0]["outputs"][0]["data"]
    assert written["image/png"] == picture
    assert written["text/plain"] == ["studykit/x.nii", "1 / 2", f"{home.home()}-not"] or "temporary" in text


def test_without_a_home_the_other_folders_still_have_words_of_their_own(checkout, tmp_path, monkeypatch):
    def nobody() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", nobody)
    monkeypatch.setenv("STUDYKIT_DATA", str(tmp_path / "volumes"))
    cell = {"metadata": {}, "outputs": [{"data": {"text/plain": f"{tmp_path / 'volumes'}/x.npy"}}]}
    text = portable(json.dumps({"metadata": {}, "cells": [cell]}), {})
    assert json.loads(text)["cells"][0]["outputs"][0]["data"]["text/plain"] == "data/x.npy"


def test_links_lead_on_from_where_an_executed_notebook_lies(tmp_path):
    words = (
        "See [it](../results/a/laptop/01_a.ipynb#x), [another](02_b.ipynb), [far](https://a.org/b), [up](#c)."
    )
    cells = [{"cell_type": "markdown", "source": [words]}, {"cell_type": "code", "source": "f[0](x)"}]
    text = relinked(
        json.dumps({"cells": cells}), tmp_path / "notebooks", tmp_path / "results" / "a" / "laptop"
    )
    moved, code = json.loads(text)["cells"]
    assert "".join(moved["source"]) == (
        "See [it](01_a.ipynb#x), [another](../../../notebooks/02_b.ipynb), [far](https://a.org/b), [up](#c)."
    )
    assert code["source"] == "f[0](x)"


@pytest.mark.parametrize("in_place", [False, True])
def test_pictures_of_an_executed_notebook_are_light_and_no_wider_than_a_screen(
    checkout, monkeypatch, in_place
):
    pixels = np.random.default_rng(0).integers(0, 2, (200, 2400, 1), np.uint8) * np.full(3, 255, np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    heavy = base64.b64encode(file.getvalue()).decode()
    outputs = [{"data": {"image/png": [heavy[:99], heavy[99:]], "text/plain": "<Figure>"}}, {"text": "x"}]

    def pretend(source, draft, parameters, **settings):
        cells = [{"metadata": {}, "source": "draw()", "outputs": outputs}]
        draft.write_text(json.dumps({"metadata": {}, "cells": cells}))
        return ""

    monkeypatch.setattr(executed, "execute", pretend)
    execution = run_notebook("01_good", {}, in_place=in_place)
    (cell,) = json.loads(execution.output.read_text(encoding="utf-8"))["cells"]
    shown, said = cell["outputs"]
    picture = shown["data"].pop("image/png")
    assert cell["source"] == "draw()" and shown["data"] == {"text/plain": "<Figure>"} and said == outputs[1]
    assert Image.open(io.BytesIO(base64.b64decode(picture))).size == (1200, 100)
    assert len(picture) < len(heavy)
