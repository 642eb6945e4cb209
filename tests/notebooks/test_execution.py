"""One notebook executed: in place, past its limit, beside foreign kernels, with light pictures."""

import base64
import io
import json
import os
import shutil
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
from PIL import Image
from tiny_notebook import printed

from studykit.notebooks import execution as executed
from studykit.notebooks import run_notebook


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
