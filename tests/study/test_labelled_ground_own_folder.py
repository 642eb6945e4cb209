"""The data-efficiency notebook on a labelled set of one's own, in the layout of the Decathlon."""

import json

import pandas as pd
import pytest
from tiny_labelled import CLASSES, STUDY, write_labelled_heads

from studykit.home import evidence_dir
from studykit.notebooks import run_notebook

NOTEBOOK = "09_nnformer_data_efficiency"


@pytest.mark.notebook
def test_it_runs_on_own_data_and_tests_on_its_held_out_subjects_alone(results, tmp_path):
    folder = write_labelled_heads(tmp_path / "Task99_Tiny", count=12)
    execution = run_notebook(NOTEBOOK, {"data": f"folder:{folder}", "seeds": [0]})
    assert not execution.error
    assert execution.output.parent == evidence_dir(STUDY, "smoke", own=True)
    kept = execution.output.parent
    split = json.loads((kept / "split.json").read_text(encoding="utf-8"))
    assert {name: len(ids) for name, ids in split.items()} == {"train": 7, "val": 2, "test": 3}
    scores = pd.read_csv(kept / "scores.csv")
    assert set(scores["test"]) == {"held out"} and set(scores["labels"]) == {"25%", "100%"}
    assert set(pd.read_csv(kept / "dice_by_class.csv").columns) == {"labels", "arm", *CLASSES}
    assert not (kept / "real_heads.csv").exists()
    records = json.loads((kept / "verdict.json").read_text(encoding="utf-8"))["verdicts"]
    assert len(records) == 7 and {record["verdict"]["status"] for record in records} == {"not evaluated"}
    assert str(tmp_path) not in execution.output.read_text(encoding="utf-8")
