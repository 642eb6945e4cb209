"""The encoder that comes with the kit: it loads, it is the evidence's, and it may be passed on."""

import pytest
import torch

from studykit import home
from studykit.methods import build_method
from studykit.pretraining import load_encoder, read_card, weights_file
from studykit.runs.run_table import read_run_table
from studykit.training.checkpoint import load_weights

FOLDER = home.home() / "results" / "encoders" / "spine-swin-unetr"


@pytest.fixture(scope="module")
def card():
    return read_card(FOLDER)


def test_it_goes_into_a_network_of_its_card(card):
    method = build_method("supervised", num_classes=3, **card["model"])
    report = load_encoder(method, FOLDER)
    saved, told = load_weights(weights_file(FOLDER))
    encoder = {name: own for name, own in method.state_dict().items() if name.startswith("model.encoder.")}
    assert encoder and set(report.loaded) == set(encoder) == set(saved)
    assert all(torch.equal(value, saved[name]) for name, value in encoder.items())
    assert told["run"] == card["run"] and len(told["subjects"]) == card["data"]["training_subjects"]


def test_it_is_a_run_of_the_committed_evidence(card):
    table = read_run_table(home.home() / "results" / "spine-ablation" / "laptop")
    arms = {(row["arm"], row["repetition"]) for row in table if row["run"] == card["run"]}
    assert arms == {("SwinUNETR", "100")}


def test_its_licence_lets_it_travel_and_it_is_light(card):
    assert card["data"]["source"].startswith("cohort:spines/") and "redistribute" not in card["licence"]
    assert "Apache-2.0" in card["licence"]
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 1_000_000
