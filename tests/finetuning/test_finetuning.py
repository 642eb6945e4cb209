"""Fine-tuning as a tool: an encoder to each task in one call, split by subject, tested once, with a card."""

import csv
import json
import shutil

import pandas as pd
import pytest
import torch
from tiny_labelled import write_labelled_heads
from tiny_volumes import blob, save_series

from studykit.cli import main
from studykit.data.angiography.rsna import CASE_COLUMNS, LOCALIZER_COLUMNS
from studykit.data.angiography.sites import LABELS, SITES, label_vector
from studykit.finetuning import FinetuningPlan, finetune
from studykit.finetuning.network import network_of
from studykit.methods import build_method
from studykit.pretraining import PretrainingPlan, load_encoder, pretrain, read_card
from studykit.runs.training_run import START, _start_from
from studykit.training.checkpoint import export_weights, load_weights

SIZES = {"widths": [8, 16, 16], "depth": 1, "head_dim": 8}
SMALL = {"spacing_mm": 4.0, "steps": 2, "batch_size": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_labelled_heads(tmp_path_factory.mktemp("own") / "heads", count=8)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    """Weights as a pre-training leaves them, of the whole field of an ``angio`` volume and of small crops."""
    torch.manual_seed(3)
    options = {"model": "wave-unet", "img_size": 32, **SIZES, "masking": "nested", "alignment": 0.1}
    path = tmp_path_factory.mktemp("encoder") / "weights.safetensors"
    export_weights(build_method("mim", **options), path, {"method": {"name": "mim", "options": options}})
    return path


def test_an_encoder_becomes_a_segmenter_and_the_test_is_told(results, folder, encoder, tmp_path, monkeypatch):
    plan = FinetuningPlan(data=f"folder:{folder}", encoder=encoder, **SMALL)
    assert plan.kind == "segmentation"
    done = finetune(plan, tmp_path / "one")
    split = json.loads((tmp_path / "one" / "split.json").read_text(encoding="utf-8"))
    assert {name: len(ids) for name, ids in split.items()} == {"train": 5, "val": 1, "test": 2}
    assert sorted(done.scores["subject"].unique()) == split["test"]
    assert set(done.scores["class"]) == {"core", "shell"}
    assert done.card["test"]["mean Dice"] == pytest.approx(
        done.scores.groupby("subject")["dice"].mean().mean()
    )
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "one" / "scores.csv"), done.scores)
    assert done.card["start"]["share"] > 0.3 and done.card["data"]["source"] == "data of one's own"
    assert "test subjects may be among them" in (tmp_path / "one" / "card.md").read_text(encoding="utf-8")

    monkeypatch.setattr("studykit.finetuning.run.work", None)
    again = finetune(plan, tmp_path / "two")
    assert again.card == done.card
    pd.testing.assert_frame_equal(again.scores, done.scores)
    for name in ("card.json", "card.md", "scores.csv"):
        text = (tmp_path / "two" / name).read_text(encoding="utf-8")
        assert str(folder) not in text and str(encoder) not in text


def test_it_starts_from_the_encoder_and_from_no_other_file(results, folder, encoder, tmp_path):
    plan = FinetuningPlan(data=f"folder:{folder}", encoder=encoder, **SMALL | {"steps": 1, "lr": 1e-12})
    tuned, _ = load_weights(finetune(plan, tmp_path / "tuned").weights)
    given, _ = load_weights(encoder)
    names = [name for name in tuned if name.startswith("model.encoder.")]
    assert names
    for name in names:
        torch.testing.assert_close(tuned[name], given[name], atol=1e-6, rtol=0)
    bare = FinetuningPlan(
        data=f"folder:{folder}", model="wave-unet", model_options=SIZES, crop_size=32, **SMALL | {"steps": 1}
    )
    random = finetune(bare, tmp_path / "bare")
    assert random.card["start"] == {"encoder": "random weights"}
    assert random.card["method"] == read_card(tmp_path / "tuned")["method"]


def test_a_trait_is_told_apart_by_the_encoder_of_maps(results, folder, encoder, tmp_path):
    lines = [f"head{n}\t{'F' if n % 2 else 'M'}" for n in range(8)]
    (folder / "participants.tsv").write_text("\n".join(["participant_id\tsex", *lines]) + "\n")
    plan = FinetuningPlan(data=f"folder:{folder}", encoder=encoder, trait="sex", val=0.25, **SMALL)
    done = finetune(plan, tmp_path / "out")
    assert set(done.scores["label"]) == {0, 1} and list(done.card["test"]) == ["AUROC"]
    assert done.card["trait"] == "sex" and len(done.scores) == 2
    method = build_method("classification", num_classes=2, **plan.network())
    assert load_encoder(method, encoder).share > 0.9
    with pytest.raises(ValueError, match=r"unknown trait 'age'; .* has .*sex"):
        finetune(FinetuningPlan(data=f"folder:{folder}", encoder=encoder, trait="age", **SMALL), tmp_path)


def write_rsna(root):
    """Ten series of the challenge's layout, every second with a point."""
    cases, points = [], []
    for number in range(10):
        uid = f"1.2.3.{number + 10}"
        save_series(root / "series" / uid, blob(seed=number), (2.0, 2.0, 2.0), series=uid, modality="CT")
        sites = [SITES[number % 3]] if number % 2 else []
        values = dict(zip(LABELS, label_vector(*sites), strict=True))
        cases.append({CASE_COLUMNS[0]: uid, "PatientAge": 60, "PatientSex": "F", "Modality": "CTA", **values})
        points += [
            dict(zip(LOCALIZER_COLUMNS, (uid, f"{uid}.3", "{'x': 5, 'y': 5}", site), strict=True))
            for site in sites
        ]
    for name, columns, rows in (
        ("train.csv", CASE_COLUMNS, cases), ("train_localizers.csv", LOCALIZER_COLUMNS, points),
    ):  # fmt: skip
        with open(root / name, "w", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)
    return root


def two_calls(source, spacing, place, *more):
    """Volumes to test scores as the command line takes them, pretrain and then finetune; gives the card."""
    sizes = [word for name, value in SIZES.items() for word in ("-o", name, json.dumps(value))]
    shared = ["--data", source, "--spacing", spacing, "--crop", "32", "--steps", "2", "--batch", "2"]
    assert main(["pretrain", *shared, *sizes, "--out", str(place / "pre")]) == 0
    tuning = ["--encoder", str(place / "pre"), "--out", str(place / "fine"), *more]
    assert main(["finetune", *shared, *tuning]) == 0
    card = read_card(place / "fine")
    assert card["start"]["encoder"] == "pre-trained" and card["start"]["share"] > 0.2
    assert card["method"]["options"]["widths"] == SIZES["widths"]
    return card


def test_two_calls_lead_from_volumes_to_dice(results, folder, tmp_path, capsys):
    card = two_calls(f"folder:{folder}", "4", tmp_path)
    said = capsys.readouterr().out
    assert "mean Dice" in said and "pre-trained on images of" in said
    assert card["start"]["test_subjects_seen"] in (1, 2)


def test_two_calls_lead_from_the_challenges_series_to_their_weighted_auc(results, tmp_path, capsys):
    card = two_calls(f"rsna:{write_rsna(tmp_path / 'rsna')}", "2", tmp_path, "--val", "0.25")
    assert card["task"] == "detection" and set(card["test"]) == {"weighted AUC", "AUC, Aneurysm Present"}
    scores = pd.read_csv(tmp_path / "fine" / "scores.csv")
    table = pd.read_csv(tmp_path / "rsna" / "train.csv").set_index(CASE_COLUMNS[0]).loc[scores["subject"]]
    assert len(scores) == 3
    assert (scores[[f"label {name}" for name in LABELS]].to_numpy() == table[list(LABELS)].to_numpy()).all()
    present, ill = scores["score Aneurysm Present"], scores["label Aneurysm Present"] == 1
    pairs = [(one > other) + 0.5 * (one == other) for one in present[ill] for other in present[~ill]]
    assert card["test"]["AUC, Aneurysm Present"] == pytest.approx(sum(pairs) / len(pairs))
    assert "weighted AUC" in capsys.readouterr().out


def test_two_calls_lead_from_a_task_of_the_decathlon_to_dice(results, folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("STUDYKIT_DATA", str(tmp_path / "data"))
    shutil.copytree(folder, tmp_path / "data" / "msd" / "Task04_Hippocampus")
    card = two_calls("msd:Task04_Hippocampus", "4", tmp_path)
    assert card["task"] == "segmentation" and card["classes"] == ["core", "shell"]
    assert card["data"]["source"] == "msd:Task04_Hippocampus" and card["data"]["licence"] == "CC-BY-SA-4.0"
    assert "mean Dice" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": "regression"}, "Unknown task 'regression'. Known: classification, detection, segmentation"),
        ({"task": "classification"}, "classification needs the name of one"),
        ({"trait": "sex", "task": "segmentation"}, "trait is 'sex' for segmentation"),
        ({"val": 0.7, "test": 0.5}, "shares that leave some to train"),
        ({"steps": 1.5}, "steps must be a whole number, got 1.5"),
        ({"model": None}, "name an encoder to start from, or a model"),
        ({"data": "heads"}, "unknown data source 'heads'"),
    ],
)
def test_what_a_plan_cannot_be_is_said(change, message):
    with pytest.raises(ValueError, match=message):
        FinetuningPlan(**{"data": "sample-heads", "model": "unet"} | change)


def test_an_encoder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.safetensors: no such file; give weights that"):
        FinetuningPlan(data="sample-heads", encoder=tmp_path / "nothing.safetensors").network()


def test_transformers_go_to_the_network_that_shares_their_encoder(tmp_path):
    options = {"model": "vit", "patch_size": 4, "embed_dim": 24, "depth": 1, "num_heads": 2, "img_size": 12}
    more = {"crop_size": 16, "projection": 8}
    path = tmp_path / "weights.safetensors"
    method = build_method("simclr", **options, **more)
    export_weights(method, path, {"method": {"name": "simclr", "options": options | more}})
    for task, model, name in (
        ("segmentation", "unetr", "supervised"), ("classification", "vit-classifier", "classification"),
    ):  # fmt: skip
        found = network_of(path, task, {})
        assert found == options | {"model": model}
        tuned = build_method(name, num_classes=2, **found)
        assert load_encoder(tuned, path).loaded
    with pytest.raises(ValueError, match="a detector reads maps of several resolutions, which vit does not"):
        network_of(path, "detection", {})


def test_another_file_in_the_folder_of_a_run_is_refused(tmp_path):
    export_weights(torch.nn.Linear(2, 2), tmp_path / START, {})
    with pytest.raises(ValueError, match="is another file than the run was configured for"):
        _start_from(torch.nn.Linear(2, 2), tmp_path, ("encoder",), weights="0" * 64)


def test_weights_that_do_not_say_what_they_are_need_a_model(tmp_path):
    path = tmp_path / "weights.safetensors"
    export_weights(torch.nn.Linear(2, 2), path, {})
    with pytest.raises(ValueError, match="does not say which method its weights are of: name the model"):
        network_of(path, "segmentation", {})
    named = {"model": "unet", "img_size": 16}
    assert network_of(path, "segmentation", named) == named


def test_the_sizes_of_an_encoder_come_along_and_its_classes_do_not(tmp_path):
    options = {"model": "swin-unetr", "img_size": 32, "feature_size": 6, "depths": [2, 1], "num_classes": 5}
    path = tmp_path / "weights.safetensors"
    export_weights(torch.nn.Linear(2, 2), path, {"method": {"name": "supervised", "options": options}})
    found = network_of(path, "segmentation", {"img_size": 48})
    assert found == {"model": "swin-unetr", "img_size": 48, "feature_size": 6, "depths": [2, 1]}


def test_pretraining_and_finetuning_tell_whom_they_share(results, folder, tmp_path):
    plan = PretrainingPlan(
        data=f"folder:{folder}", backbone_options=SIZES, crop_size=32, held_out=0.3, **SMALL
    )
    weights = pretrain(plan, tmp_path / "pre").weights
    marks = load_weights(weights)[1]["subjects"]
    assert len(marks) == 8 - 2 and not any("head" in mark for mark in marks)
