"""A study with traits: both classes in every part, classification by trait."""

from collections import Counter
from dataclasses import replace

import pytest
from tiny_labelled import CLASSES, tiny_transfer_profile
from tiny_traits import VIT, VOLTA, traits_study, write_people

from studykit.arms import profiles
from studykit.study import open_study


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    return write_people(tmp_path_factory.mktemp("people") / "people")


@pytest.fixture
def study(results, people, monkeypatch):
    return traits_study(people, monkeypatch)


def test_every_part_and_every_subset_has_all_combinations_of_traits(study):
    parts = (study.split.train, study.split.val, study.split.test, study.label_subsets[0.5])
    assert [len(part) for part in parts] == [8, 4, 4, 4]
    for part in parts:
        counts = Counter(tuple(study.traits.of[subject].values()) for subject in part)
        assert len(counts) == 4 and len(set(counts.values())) == 1
    assert set(study.label_subsets[0.5]) < set(study.split.train)


def test_a_part_with_one_class_only_is_refused_by_name(results, people, monkeypatch, tmp_path):
    rows = [f"head{i},{'M' if i else 'F'}" for i in range(16)]
    kept = (people / "traits.csv").read_text(encoding="utf-8")
    (people / "traits.csv").write_text("\n".join(["subject,sex", *rows]), encoding="utf-8")
    tiny = replace(tiny_transfer_profile(), train=8, val=4, test=4)
    monkeypatch.setitem(profiles.TRAITS, "smoke", tiny)
    try:
        with pytest.raises(ValueError, match="whose sex is known are of one class"):
            open_study("volta-transfer", data=f"folder:{people}").split  # noqa: B018
    finally:
        (people / "traits.csv").write_text(kept, encoding="utf-8")


def test_a_classification_trains_on_its_trait_and_is_tested_once(study, monkeypatch):
    study.arm("sex", "classification", trait="sex", **VIT)
    run = study.run("sex")
    data = run.config["data"]
    assert (data["trait"], data["classes"]) == ("sex", ["male", "female"])
    assert data["train"] == list(study.split.train) and data["held_out"] == list(study.split.val)
    assert {"val/error", "val/auroc"} <= set(run.metrics)
    scores = study.test_scores(run)
    assert list(scores["subject"]) == list(study.split.test)
    truth = [study.traits.numbers("sex", study.split.test)[i] for i in range(4)]
    assert list(scores["label"]) == truth and scores["score"].between(0, 1).all()
    monkeypatch.setattr("studykit.tasks.classification.scores_of", None)
    assert study.test_scores(run).equals(scores), "kept with the run"


def test_another_trait_is_another_run_and_an_unknown_one_is_refused(study):
    sex, disease = (study.arm(name, "classification", trait=name, **VIT) for name in ("sex", "disease"))
    one, two = study.trials.config(sex, 0), study.trials.config(disease, 0)
    assert one["data"]["fingerprint"] != two["data"]["fingerprint"]
    with pytest.raises(ValueError, match=r"unknown trait 'age'.*sex, disease"):
        study.trials.config(study.arm("age", "classification", trait="age", **VIT), 0)


def test_segmentation_trains_on_views_and_pre_training_on_whole_fields(study):
    taught = study.arm(
        "outline", "supervised", model="unetr", num_classes=3, feature_size=2, img_size=12, **VIT
    )
    begun = study.arm("volta", "volta", **VOLTA)
    assert study.labelled.classes == CLASSES
    assert study.trials.config(taught, 0)["data"]["crop_size"] == study.profile.view_size == 12
    assert study.trials.config(begun, 0)["data"]["crop_size"] == 16
