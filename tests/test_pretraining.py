"""Pre-training as a tool: any part exchanged, weights that load, a card that tells."""

import json

import pytest
import torch
from tiny_labelled import write_labelled_heads

from studykit.cli import main
from studykit.data.sources import describe_source
from studykit.methods import build_method
from studykit.pretraining import PretrainingPlan, load_encoder, pretrain, read_card, release
from studykit.runs.store import RunStore
from studykit.training.checkpoint import load_weights

SIZES = {"widths": [8, 16, 16], "depth": 1, "head_dim": 8}
SMALL = {"spacing_mm": 4.0, "crop_size": 32, "steps": 2, "batch_size": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_labelled_heads(tmp_path_factory.mktemp("own") / "heads", count=4)


@pytest.mark.parametrize(
    "parts",
    [
        {"backbone_options": SIZES},
        {"backbone_options": SIZES, "masking": "vessel", "objective": "reconstruction"},
        {
            "backbone": "residual-unet",
            "backbone_options": {"widths": [8, 8, 16]},
            "masking": "random",
            "objective": "normalised-reconstruction",
        },
    ],
)
def test_every_part_can_be_exchanged_and_the_encoder_goes_over(results, folder, tmp_path, parts):
    plan = PretrainingPlan(data=f"folder:{folder}", **SMALL, **parts)
    done = pretrain(plan, tmp_path / "out")
    method = build_method("supervised", num_classes=3, **done.model)
    report = load_encoder(method, done.weights)
    saved, told = load_weights(done.weights)
    encoder = {n: v for n, v in method.state_dict().items() if n.startswith("model.encoder.")}
    assert encoder and set(report.loaded) == set(encoder)
    assert all(torch.equal(value, saved[name]) for name, value in encoder.items())
    assert told["method"] == done.card["method"] and told["method"]["options"]["masking"] == plan.masking


def test_a_finished_pre_training_is_found_again_and_told(results, folder, tmp_path, monkeypatch):
    plan = PretrainingPlan(data=f"folder:{folder}", backbone_options=SIZES, **SMALL)
    first = pretrain(plan, tmp_path / "one")
    monkeypatch.setattr("studykit.pretraining.work", None)
    again = pretrain(plan, tmp_path / "two")
    card = again.card
    assert card == first.card == json.loads((tmp_path / "two" / "card.json").read_text())
    assert card["data"]["training_subjects"] + card["data"]["held_out_subjects"] == 4
    assert card["data"]["licence"] in card["licence"]
    assert {"val/error", "train/reconstruction", "train/coarse", "train/alignment"} <= set(card["losses"])
    assert card["cost"]["flops"] > 0 and card["cost"]["cpu_hours"] + card["cost"]["gpu_hours"] > 0
    for name in ("card.json", "card.md"):
        assert str(folder) not in (tmp_path / "two" / name).read_text()
    other = build_method("supervised", model="residual-unet", widths=[8, 8, 16], img_size=32, num_classes=3)
    with pytest.raises(ValueError, match="another architecture"):
        load_encoder(other, again.weights)
    one, two = (load_weights(done.weights)[0] for done in (first, again))
    assert one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def test_the_encoder_of_any_run_that_is_done_is_released(results, folder, tmp_path, capsys):
    plan = PretrainingPlan(data=f"folder:{folder}", backbone_options=SIZES, **SMALL)
    first = pretrain(plan, tmp_path / "one")
    key = first.card["run"]
    assert main(["release", key[:6], "--out", str(tmp_path / "two")]) == 0
    assert read_card(tmp_path / "two") == first.card
    method = build_method("supervised", num_classes=3, **first.model)
    assert load_encoder(method, tmp_path / "two").loaded
    assert main(["release", "zz", "--out", str(tmp_path / "three")]) == 2
    assert "0 runs begin with 'zz'" in capsys.readouterr().err
    config = {"method": {"name": "mae", "options": {}}, "seeds": {"training": 1}}
    with pytest.raises(ValueError, match="an arm is not run yet: a run is released when it is done"):
        release(RunStore(tmp_path).open(config, "an arm"), tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"backbone": "resnet"}, r"Unknown backbone 'resnet'\. Known: .*wave-unet"),
        ({"masking": "blocks"}, r"Unknown masking 'blocks'\. Known: nested, random, three-level, vessel"),
        ({"objective": "jigsaw"}, r"Unknown objective 'jigsaw'\. Known: .*reconstruction\+alignment"),
        ({"held_out": 1.5}, r"between 0 and 1, got 1\.5"),
        ({"steps": "10"}, r"steps must be a whole number, got '10'"),
        ({"lr": "fast"}, r"lr must be a number, got 'fast'"),
        ({"data": 5}, r"a data source is a text such as"),
        ({"data": "sample-hands"}, r"unknown data source 'sample-hands'"),
    ],
)
def test_unknown_parts_list_the_known_ones(change, message):
    with pytest.raises(ValueError, match=message):
        PretrainingPlan(**{"data": "sample-heads"} | change)


def test_the_command_line_pre_trains(results, folder, tmp_path, capsys):
    words = ["pretrain", "--data", f"folder:{folder}", "--out", str(tmp_path / "out"), "--spacing", "4"]
    words += [
        "--crop",
        "32",
        "--steps",
        "2",
        "--batch",
        "2",
        "-o",
        "widths",
        "[8, 16, 16]",
        "-o",
        "depth",
        "1",
    ]
    assert main([*words, "-o", "head_dim", "8"]) == 0
    said = capsys.readouterr().out
    assert "# Pre-trained encoder" in said and "weights.safetensors" in said
    assert main([*words, "--masking", "blocks"]) == 2
    assert "Unknown masking" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("cohort:heads/t1:8", "cohort:heads/SCANNER:N"),
        ("angio:mra:8", "angio:SCANNER:N"),
        ("folder:/anywhere", "folder:PATH"),
        ("sample-heads", "sample-heads"),
        ("msd:Task04_Hippocampus", "msd:Task04_Hippocampus"),
    ],
)
def test_a_source_is_described_by_its_line_of_the_registry(name, line):
    assert describe_source(name).name == line
