"""Runs that were made before the package's rooms were moved are found again, by the identity they had.

``earlier_runs.jsonl`` holds configurations of smoke runs as commit d1af215 made them, one of each kind, with
the key that each had and the label that people saw. Nothing here writes that file anew.
"""

import json
import re
from pathlib import Path

import pytest

from studykit.atomic import write_json
from studykit.methods import method_versions, task_of
from studykit.runs.store import CONFIG, RunStore, derive_seed
from studykit.runs.training_run import run_config
from studykit.runs.weights import new_method
from studykit.tasks import task_module
from studykit.training.config import TrainingConfig

EARLIER = [
    json.loads(line)
    for line in Path(__file__).with_name("earlier_runs.jsonl").read_text(encoding="utf-8").splitlines()
]
each = pytest.mark.parametrize("run", EARLIER, ids=[run["label"] for run in EARLIER])


@each
def test_what_a_study_plans_today_has_the_key_of_then(run):
    was = run["config"]
    method, start = was["method"], was.get("start", {"run": "", "parts": []})
    now = run_config(
        method["name"],
        method["options"],
        task_module(task_of(method["name"])).Recipe(**was["data"]),
        TrainingConfig.from_dict(was["training"]),
        init_seed=was["seeds"]["init"],
        training_seed=was["seeds"]["training"],
        starts_from=start["run"],
        parts=start["parts"],
    )
    assert RunStore("runs").open(now, "again").key == run["key"]


@each
def test_seeds_derive_from_the_names_as_they_did(run):
    study, of = run["label"].split(": ", 1)
    seed = re.search(r", seed (\d+)$", of)
    repetition = int(seed[1]) if seed else "tuning"
    assert run["config"]["seeds"]["training"] == derive_seed(study, "data order and masks", repetition)


def test_a_store_of_then_is_read_today(tmp_path):
    for run in EARLIER:
        write_json(tmp_path / run["key"] / CONFIG, run["config"])
    assert {run.key for run in RunStore(tmp_path).list()} == {run["key"] for run in EARLIER}


@each
def test_the_network_is_built_from_the_configuration_of_then(run):
    versions = method_versions(run["config"]["method"]["name"], run["config"]["method"]["options"])
    assert versions.items() <= run["config"]["versions"].items()
    assert sum(p.numel() for p in new_method(run["config"]).parameters()) > 0
