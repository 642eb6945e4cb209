"""Trackers are told each record once, and what is missing is named."""

import json

import pytest

from studykit.runs.store import RunStore
from studykit.runs.trackers import TOLD, TRACKERS, settings_of, track
from studykit.training.loop import Outcome
from studykit.training.records import METRICS, RecordWriter

CONFIG = {"method": {"name": "mae", "options": {"widths": [8, 16]}}, "seeds": {"training": 7}}


def write(run, *steps):
    writer = RecordWriter(run.folder / METRICS, (run.folder / METRICS).stat().st_size if steps[0] else 0)
    for step in steps:
        writer.write({"step": step, "val/error": 1.0 / (1 + step), "lr": float("nan")})
    writer.close()
    return Outcome("done", steps[-1], 0.0, "")


@pytest.fixture
def run(tmp_path):
    return RunStore(tmp_path / "runs").execute(CONFIG, "an arm, seed 0", lambda run: write(run, 0, 5))


def test_each_record_is_told_once(run, tmp_path, monkeypatch):
    told = []
    monkeypatch.setitem(TRACKERS, "notes", lambda run, points, folder: told.extend(points))
    folder = tmp_path / "tracker"
    assert track("notes", run.folder.parent, folder) == 2
    assert told == [(0, "val/error", 1.0), (5, "val/error", 1 / 6)]
    assert track("notes", run.folder.parent, folder) == 0
    write(run, 10)
    assert track("notes", run.folder.parent, folder) == 1
    assert told[2:] == [(10, "val/error", 1 / 11)]
    assert json.loads((folder / TOLD).read_text()) == {run.key: 3}


def test_tensorboard_reads_what_was_told(run, tmp_path):
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    track("tensorboard", run.folder.parent, tmp_path / "tb")
    events = reader.EventAccumulator(str(tmp_path / "tb" / run.key)).Reload()
    assert [(e.step, round(e.value, 4)) for e in events.Scalars("val/error")] == [(0, 1.0), (5, 0.1667)]


def test_mlflow_reads_what_was_told(run, tmp_path):
    tracking = pytest.importorskip("mlflow.tracking")
    folder = tmp_path / "mlruns"
    assert track("mlflow", run.folder.parent, folder) == 2
    write(run, 10)
    assert track("mlflow", run.folder.parent, folder) == 1
    client = tracking.MlflowClient(tracking_uri=folder.as_uri())
    experiment = client.get_experiment_by_name("mae")
    (found,) = client.search_runs([experiment.experiment_id])
    history = client.get_metric_history(found.info.run_id, "val/error")
    assert sorted((m.step, round(m.value, 4)) for m in history) == [(0, 1.0), (5, 0.1667), (10, 0.0909)]
    assert found.data.params["method.options.widths"] == "[8, 16]" and found.info.status == "FINISHED"


def test_unknown_trackers_list_the_known(tmp_path):
    with pytest.raises(ValueError, match=r"Unknown tracker 'wandb'\. Known: mlflow, tensorboard"):
        track("wandb", tmp_path, tmp_path)


def test_settings_are_flat():
    assert settings_of(CONFIG) == {
        "method.name": "mae", "method.options.widths": "[8, 16]", "seeds.training": "7",
    }  # fmt: skip
