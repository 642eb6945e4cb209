"""Studies with labels: who has labels, what starts from what, what is tested once with the best weights."""

import json
import math

import pytest
import torch
from tiny_labelled import CLASSES, STUDY, UNET, tiny_transfer_profile, write_labelled_heads

from studykit.arms import profiles
from studykit.runs.weights import best_method, last_weights, new_method
from studykit.study import open_study, scores
from studykit.training.checkpoint import BEST, load_weights


@pytest.fixture(scope="module")
def labelled_heads(tmp_path_factory):
    return write_labelled_heads(tmp_path_factory.mktemp("labelled") / "Task99_Tiny")


@pytest.fixture
def study(results, labelled_heads, monkeypatch):
    monkeypatch.setitem(profiles.SEGMENTATION, "smoke", tiny_transfer_profile())
    return open_study(STUDY, data=f"folder:{labelled_heads}")


def two_arms(study):
    scratch = study.arm("scratch", "supervised", num_classes=3, **UNET)
    mae = study.arm("mae", "masked-volume", mask_block=4, **UNET)
    tuned = study.arm(
        "pre-trained", "supervised", starts_as="scratch", starts_from="mae", num_classes=3, **UNET
    )
    return scratch, mae, tuned


def test_the_parts_of_the_split_have_the_profiles_sizes_and_share_nobody(study):
    split = study.split
    assert [len(part) for part in (split.train, split.val, split.test)] == [4, 2, 2]
    assert study.labelled.classes == CLASSES
    assert json.loads((study.folder / "split.json").read_text())["test"] == list(split.test)


def test_label_subsets_are_nested_and_saved(study):
    subsets = study.label_subsets
    assert [len(subsets[share]) for share in (0.25, 1.0)] == [1, 4]
    assert set(subsets[0.25]) < set(subsets[1.0]) == set(study.split.train)
    saved = json.loads((study.folder / "label_subsets.json").read_text())
    assert saved == {"0.25": list(subsets[0.25]), "1": list(subsets[1.0])}


def test_an_arm_with_few_labels_differs_in_its_subjects_alone(study):
    scratch, *_ = two_arms(study)
    few = study.with_labels("scratch", 0.25)
    whole, part = study.trials.config(scratch, 0), study.trials.config(few, 0)
    assert part["data"].pop("train") == study.label_subsets[0.25]
    assert whole["data"].pop("train") == study.split.train
    assert whole == part, "same initial weights, same order, same training"
    with pytest.raises(ValueError, match=r"No label subset of 0\.5\. Known: 0\.25, 1"):
        study.with_labels("scratch", 0.5)


def test_the_training_that_an_arm_starts_from_comes_first_and_is_told(study):
    _, mae, tuned = two_arms(study)
    run = study.run(tuned, 0)
    first = study.run(mae, 0)
    assert run.config["start"] == {"run": first.key, "parts": ["encoder"]}
    told = study.transferred(run)
    assert told["loaded"] and all(name.startswith("model.encoder.") for name in told["loaded"])
    assert not any(name.startswith("model.encoder.") for name in told["missing"])
    assert study.trials.config(tuned, 1)["start"]["run"] == study.run(mae, 1).key != first.key


def test_the_encoder_is_taken_over_and_the_rest_is_that_of_scratch(study):
    from studykit.training.transfer import transfer_weights

    scratch, mae, tuned = two_arms(study)
    first = last_weights(study.run(mae, 0))
    method, fresh = (new_method(study.trials.config(arm, 0)) for arm in (tuned, scratch))
    transfer_weights(method, first, ("encoder",))
    for name, value in method.state_dict().items():
        source = first if name.startswith("model.encoder.") else fresh.state_dict()
        assert torch.equal(value, source[name]), name


def test_the_weights_that_validated_best_are_kept_and_tested(study):
    scratch, *_ = two_arms(study)
    run = study.run(scratch, 0)
    errors = run.metrics["val/error"]
    weights, told = load_weights(run.folder / BEST)
    assert told["error"] == errors.min() and told["step"] == run.metrics["step"][errors.idxmin()]
    scores = study.test_scores(run)
    assert set(scores["subject"]) == set(study.split.test) and set(scores["class"]) == set(CLASSES)
    dice = scores["dice"].dropna()
    assert ((dice >= 0) & (dice <= 1)).all()
    assert not best_method(run).training
    assert all(torch.equal(best_method(run).state_dict()[name], value) for name, value in weights.items())


def test_scores_are_worked_out_once(study, monkeypatch):
    scratch, *_ = two_arms(study)
    run = study.run(scratch, 0)
    kept = study.test_scores(run)
    monkeypatch.setattr(scores, "best_method", None)
    assert study.test_scores(run).equals(kept) and set(scores.LATER) < set(kept)
    path = run.folder / "scores-held-out.json"
    held = json.loads(path.read_text())
    held["rows"] = [{k: v for k, v in row.items() if k not in scores.LATER} for row in held["rows"]]
    path.write_text(json.dumps(held))
    assert list(study.test_scores(run)) == list(scores.COLUMNS), "earlier runs' scores stay as they are"
    means = kept.groupby("subject")["dice"].mean()
    assert study.mean_dice([run]) == [pytest.approx(means.mean(), nan_ok=True)]


def test_a_measure_of_ones_own_sees_what_the_best_weights_find(study, monkeypatch):
    run = study.run(two_arms(study)[0], 0)
    data = study.test_volumes().prepared

    def share(volume, found):
        assert found.shape == volume.labels.shape[::-1]
        return [{"class": "any", "share": float((found > 0).mean())}]

    first = scores.own_scores(run, "shares", data, share)
    assert list(first["subject"]) == [volume.subject for volume in data.volumes]
    blank = scores.own_scores(run, "shares, blank", data, share, lambda image, _: torch.zeros_like(image))
    assert not blank["share"].equals(first["share"])
    monkeypatch.setattr(scores, "best_method", None)
    assert scores.own_scores(run, "shares", data, share).equals(first), "worked out once"


def test_own_data_is_tested_on_its_own_test_subjects_alone(study):
    assert list(study.test_sources()) == ["held out"]
    with pytest.raises(ValueError, match=r"Unknown test 'another scanner'\. Known: held out"):
        study.test_volumes("another scanner")


def test_an_arm_may_not_start_from_one_that_saw_test_subjects(study):
    seen = (*study.split.train, study.split.test[0])
    study.arm("leaky", "masked-volume", mask_block=4, subjects=seen, **UNET)
    with pytest.raises(ValueError, match=study.split.test[0]):
        study.arm("cheat", "supervised", starts_from="leaky", num_classes=3, **UNET)


def test_weights_of_another_architecture_are_refused(study):
    study.arm("mae", "masked-volume", model="unet", channels=[8, 8, 8], mask_block=4)
    other = study.arm("other", "supervised", starts_from="mae", num_classes=3, **UNET)
    with pytest.raises(ValueError, match=r"model\.encoder\."):
        study.run(other, 0)


def test_scratch_at_equal_computation_takes_the_pre_trainings_operations(study):
    scratch, mae, _ = two_arms(study)
    steps = study.equal_compute_steps(scratch, mae)
    spent = (steps - study.profile.steps) * study.operations_a_step(scratch)
    owed = study.profile.pretraining_steps * study.operations_a_step(mae)
    assert abs(spent - owed) <= study.operations_a_step(scratch) / 2
    assert steps > study.profile.steps


def test_a_labelled_arm_is_tuned_by_its_validation_dice(study):
    scratch, *_ = two_arms(study)
    arm, table = study.tune(scratch)
    assert list(table["learning rate"]) == [1e-3, 3e-3]
    assert arm.training["lr"] in (1e-3, 3e-3)
    assert table["error"].between(0, 1).all()


def test_the_validation_error_is_one_less_the_mean_dice(study):
    from studykit.tasks.segmentation import dice_of_classes

    truth = torch.tensor([[[0, 1, 1, 2], [-1, 2, 2, 0]]])
    found = torch.tensor([[[0, 1, 2, 2], [1, 2, 2, 1]]])
    dice = dice_of_classes(found, truth, 3).tolist()
    assert dice[:2] == [2 * 1 / (2 + 2), 2 * 3 / (4 + 3)] and math.isnan(dice[2])
    run = study.run(two_arms(study)[0], 0)
    last = run.metrics.iloc[-1]
    assert {f"val/dice/{name}" for name in CLASSES} <= set(run.metrics.columns)
    assert 0 <= last["val/error"] <= 1


def test_of_many_validation_subjects_a_repetition_segments_some_from_all_over():
    from studykit.study.labelled_ground import MOST_SEGMENTED, _evenly

    few, many = [f"s{n}" for n in range(4)], [f"s{n:03d}" for n in range(5 * MOST_SEGMENTED)]
    assert _evenly(few, MOST_SEGMENTED) == tuple(few)
    chosen = _evenly(many, MOST_SEGMENTED)
    assert len(chosen) == MOST_SEGMENTED and chosen[-1] > many[len(many) * 9 // 10]
