"""Results as tidy tables: a row for each number, of every stored verdict and of every run."""

import pandas as pd
import pytest

from studykit.claims.paper import load_papers
from studykit.cli import main
from studykit.home import results_dir
from studykit.report.record import read_verdicts
from studykit.report.tidy import CURVES, ESTIMATES, curves_frame, estimates_frame
from studykit.runs.store import RunStore
from studykit.training.loop import Outcome
from studykit.training.records import METRICS, RecordWriter


@pytest.fixture(scope="module")
def frame():
    return estimates_frame(results_dir(), load_papers())


def test_every_number_of_the_committed_verdicts_has_its_row(frame):
    assert list(frame.columns) == list(ESTIMATES)
    records = {
        (path.parent.parent.name, path.parent.name): read_verdicts(path.parent)
        for path in results_dir().glob("*/*/verdict.json")
    }
    assert len(frame) == sum(
        1 + len(record.verdict.gates) + len(record.verdict.sensitivity)
        for found in records.values()
        for record in found
    )
    for (study, folder), found in records.items():
        for record in found:
            own = frame[(frame["study"] == study) & (frame["folder"] == folder)]
            own = own[own["paper"] + "/" + own["claim"] == record.verdict.claim]
            (main_row,) = own[own["role"] == "estimate"].to_dict("records")
            assert main_row["status"] == record.verdict.status
            if record.verdict.estimate is not None:
                assert main_row["value"] == record.verdict.estimate.value
            assert set(own["role"]) <= {"estimate", "gate", "sensitivity"}


def test_a_row_says_what_it_was_held_against(frame):
    own = frame[(frame["claim"] == "waveformer-parameters") & (frame["role"] == "estimate")]
    rows = own[own["profile"] == "laptop"]
    assert rows["reported"].tolist() == [16.97] and rows["unit"].tolist() == ["M"]


def test_curves_are_a_row_a_step_and_metric(tmp_path):
    def work(run):
        writer = RecordWriter(run.folder / METRICS)
        writer.write({"step": 0, "val/error": 1.0, "lr": 0.1})
        writer.write({"step": 4, "val/error": 0.5, "lr": 0.0})
        writer.close()
        return Outcome("done", 4, 0.0, "")

    config = {"method": {"name": "mae", "options": {}}, "seeds": {"training": 7}}
    run = RunStore(tmp_path).execute(config, "an arm, seed 0", work)
    frame = curves_frame(tmp_path)
    assert list(frame.columns) == list(CURVES)
    errors = frame[frame["metric"] == "val/error"]
    assert errors[["step", "value"]].values.tolist() == [[0, 1.0], [4, 0.5]]
    assert set(frame["run"]) == {run.key} and set(frame["state"]) == {"done"}


def test_the_command_line_writes_a_csv(tmp_path, capsys, frame):
    assert main(["results", "--out", str(tmp_path / "all.csv")]) == 0
    assert capsys.readouterr().out.startswith(f"{len(frame)} rows in")
    read = pd.read_csv(tmp_path / "all.csv")
    assert list(read.columns) == list(ESTIMATES) and len(read) == len(frame)
    assert main(["results", "--out", str(tmp_path / "all.xlsx")]) == 2
    assert "has to end in .csv or .parquet" in capsys.readouterr().err


def test_the_command_line_writes_parquet(tmp_path, frame):
    pytest.importorskip("pyarrow", reason="not installed here: pip install -e '.[tables]'")
    assert main(["results", "--out", str(tmp_path / "all.parquet")]) == 0
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "all.parquet"), frame)


def test_parquet_without_pyarrow_is_refused_with_the_extra(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("studykit.cli.results.find_spec", lambda name: None)
    assert main(["results", "--out", str(tmp_path / "all.parquet")]) == 1
    said = capsys.readouterr().err
    assert "Parquet needs pyarrow: pip install -e '.[tables]'" in said and "Traceback" not in said
    assert list(tmp_path.iterdir()) == []
