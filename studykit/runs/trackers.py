"""Runs told to trackers of experiments: TensorBoard, MLflow. Both are an extra, and both write local files.

Runs are copied, not streamed: a call brings a folder up to date with the runs at hand, while they train or
after. What was told before is not told again.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from studykit import atomic
from studykit.imports import how_to_get
from studykit.registry import check_known
from studykit.runs.store import Run, RunStore
from studykit.training.records import METRICS, read_records

TOLD = "studykit-told.json"
"""In the tracker's folder: run → number of records that it has."""

Point = tuple[int, str, float]


def track(tracker: str, runs: str | Path, folder: str | Path) -> int:
    """Tell the runs below ``runs`` to a tracker's ``folder``; gives the number of records that were new.

    Args:
        tracker: one of :data:`TRACKERS`.

    Raises:
        ValueError: an unknown tracker; the message lists the known ones.
        RuntimeError: its package is not installed; the message says how to.
    """
    check_known("tracker", tracker, TRACKERS)
    folder = Path(folder).expanduser().absolute()
    folder.mkdir(parents=True, exist_ok=True)
    notes = folder / TOLD
    told = json.loads(notes.read_text(encoding="utf-8")) if notes.exists() else {}
    new = 0
    for run in RunStore(runs).list():
        records = read_records(run.folder / METRICS)
        before = told.get(run.key, 0)
        if len(records) > before:
            TRACKERS[tracker](run, list(_points(records[before:])), folder)
            told[run.key] = len(records)
            new += len(records) - before
            atomic.write_json(notes, told)
    return new


def settings_of(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """A run's configuration as flat names and texts.

    >>> settings_of({"method": {"name": "mae", "options": {"img_size": 32}}})
    {'method.name': 'mae', 'method.options.img_size': '32'}
    """
    flat: dict[str, str] = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            flat |= settings_of(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value if isinstance(value, str) else json.dumps(value)
    return flat


def _points(records: list[dict[str, Any]]) -> Iterator[Point]:
    for record in records:
        for name, value in record.items():
            if name != "step" and isinstance(value, int | float):
                yield record["step"], name, float(value)


def _to_tensorboard(run: Run, points: list[Point], folder: Path) -> None:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise _missing("tensorboard") from error
    with SummaryWriter(str(folder / run.key)) as writer:
        writer.add_text("run", run.label)
        writer.add_text("config", f"```json\n{json.dumps(run.config, indent=1, sort_keys=True)}\n```")
        for step, name, value in points:
            writer.add_scalar(name, value, step)


def _to_mlflow(run: Run, points: list[Point], folder: Path) -> None:
    os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # which from version 3 on asks for it
    try:
        from mlflow.entities import Metric, Param, RunTag
        from mlflow.tracking import MlflowClient
    except ImportError as error:
        raise _missing("mlflow") from error
    client = MlflowClient(tracking_uri=folder.as_uri())
    name = run.config["method"]["name"]
    known = client.get_experiment_by_name(name)
    experiment = known.experiment_id if known else client.create_experiment(name)
    found = client.search_runs([experiment], filter_string=f"tags.studykit_run = '{run.key}'")
    if found:
        own = found[0].info.run_id
    else:
        own = client.create_run(experiment, tags={"studykit_run": run.key}, run_name=run.label).info.run_id
        params = [Param(key, text[:MOST_LETTERS]) for key, text in settings_of(run.config).items()]
        client.log_batch(own, params=params[:MOST_AT_ONCE])
    metrics = [Metric(key, value, 0, step) for step, key, value in points]
    for start in range(0, len(metrics), MOST_AT_ONCE):
        client.log_batch(own, metrics=metrics[start : start + MOST_AT_ONCE])
    client.log_batch(own, tags=[RunTag("state", str(run.state))])
    if run.state == "done":
        client.set_terminated(own)


MOST_AT_ONCE, MOST_LETTERS = 100, 500
"""Of what MLflow takes in a batch, and of the text of a parameter."""


def _missing(package: str) -> RuntimeError:
    return RuntimeError(f"{package} is not installed; it comes with: {how_to_get('trackers')}")


TRACKERS: Mapping[str, Callable[[Run, list[Point], Path], None]] = {
    "tensorboard": _to_tensorboard,
    "mlflow": _to_mlflow,
}
