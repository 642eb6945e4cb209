"""An executed notebook as it is kept: no folders of whoever ran it, links that lead on."""

import json
from pathlib import Path

from studykit import home
from studykit.notebooks.portable import portable, relinked


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
