"""A study with traits: both classes in every part, classification by trait, probes kept with their run."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_labelled import CLASSES, tiny_transfer_profile, write_labelled_heads

from studykit.arms import profiles
from studykit.study import frozen, open_study
from studykit.study.scores import HELD_OUT

VIT = {"patch_size": 4, "embed_dim": 12, "depth": 1, "num_heads": 1}
VOLTA = {"img_size": 12, "crop_size": 16, "prototypes": 8, "head_dim": 4, "local_views": 1, **VIT}


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    folder = write_labelled_heads(tmp_path_factory.mktemp("people") / "people", count=16)
    rows = [f"head{i},{'MF'[i % 2]},{('CN', 'AD')[i % 4 // 2]}" for i in range(16)]
    (folder / "traits.csv").write_text("\n".join(["subject,sex,diagnosis", *rows]), encoding="utf-8")
    return folder


@pytest.fixture
def study(results, people, monkeypatch):
    tiny = replace(tiny_transfer_profile(), train=8, val=4, test=4, label_fractions=(0.5, 1.0), repetitions=1)
    monkeypatch.setitem(profiles.TRAITS, "smoke", tiny)
    return open_study("volta-transfer", data=f"folder:{people}")


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


def test_frozen_probes_are_of_every_test_trait_share_and_feature_and_are_kept(study, monkeypatch):
    study.arm("volta", "volta", **VOLTA)
    run = study.run("volta")
    rows = frozen.frozen_scores(run, study.ground)
    assert set(rows["test"]) == {frozen.VALIDATION, HELD_OUT} and set(rows["labels"]) == {0.5, 1.0}
    own = rows[(rows["test"] == HELD_OUT) & (rows["trait"] == "disease")]
    assert len(own) == 4 * 2 * 2
    truth = dict(zip(study.split.test, study.traits.numbers("disease", study.split.test), strict=True))
    assert (own["label"] == own["subject"].map(truth)).all()
    monkeypatch.setattr(frozen, "probe_rows", None)
    pd.testing.assert_frame_equal(frozen.frozen_scores(run, study.ground), rows)


def test_attentive_probes_are_of_held_out_subjects_and_are_kept(study, monkeypatch):
    study.arm("volta", "volta", **VOLTA)
    run = study.run("volta")
    rows = frozen.attentive_scores(run, study.ground)
    assert list(rows["subject"]) == 2 * list(study.split.test)
    for trait, own in rows.groupby("trait"):
        truth = dict(zip(study.split.test, study.traits.numbers(trait, study.split.test), strict=True))
        assert (own["label"] == own["subject"].map(truth)).all() and own["score"].between(0, 1).all()
    monkeypatch.setattr(frozen, "attentive_rows", None)
    pd.testing.assert_frame_equal(frozen.attentive_scores(run, study.ground), rows)


def test_an_attentive_probe_finds_a_class_that_one_token_holds(study, monkeypatch):
    """The mean of tokens hides it in the others' noise."""
    truth = {v.subject: study.traits.of[v.subject]["sex"] == "female" for v in study.data.volumes}
    seen = iter([study.data.select(study.split.train), study.data.select(study.split.test)])

    def marked(method, images):
        volumes = next(seen)
        tokens = torch.randn(len(volumes), 20, 4, generator=torch.Generator().manual_seed(len(volumes)))
        tokens[:, 7] = torch.tensor([[9.0, 9.0 if truth[v.subject] else -9.0, 0, 0] for v in volumes])
        return tokens

    monkeypatch.setattr(frozen, "volume_tokens", marked)
    monkeypatch.setattr(frozen, "_images", lambda *_: None)
    rows = pd.DataFrame(frozen.attentive_rows(None, study.ground))
    own = rows[rows["trait"] == "sex"]
    assert len(own) == 4 and ((own["score"] > 0.5) == own["label"].astype(bool)).all()


def test_a_probe_is_trained_on_each_subjects_own_features(study, monkeypatch):
    """Volumes come in the order of their source, not of the split: a feature that is the class is found."""
    volumes = study.data.volumes
    shuffled = replace(study.data, volumes=tuple(sorted(volumes, key=lambda v: v.subject[::-1])))
    study.ground.__dict__["data"] = shuffled
    truth = {
        float(np.asarray(v.array, np.float64).sum()): "MF".index(study.traits.of[v.subject]["sex"][0].upper())
        for v in volumes
    }

    def told(method, images):
        sums = [min(truth, key=lambda known: abs(known - float(x.double().sum()))) for x in images]
        return {"class token": np.array([[truth[known]] for known in sums], np.float32)}

    monkeypatch.setattr(frozen, "volume_features", told)
    monkeypatch.setattr(
        frozen, "_images", lambda ground, volumes: [torch.tensor(np.asarray(v.array)) for v in volumes]
    )
    rows = pd.DataFrame(frozen.probe_rows(None, study.ground))
    own = rows[rows["trait"] == "sex"]
    assert ((own["score"] > 0.5) == (own["label"] == 1)).all()


def test_a_probe_finds_what_a_feature_holds_and_only_the_training_side_is_fitted():
    from studykit.probes.classification import probe_scores

    rng = np.random.default_rng(0)
    known = np.arange(40) % 2
    x = rng.standard_normal((40, 3))
    x[:, 1] += 4 * known
    test = np.array([[0.0, -2, 0], [0.0, 6, 0]])
    low, high = probe_scores(x, known, test)
    assert low < 0.1 and high > 0.9
    assert np.allclose(probe_scores(100 * x + 7, known, 100 * test + 7), [low, high], atol=1e-6)
    with pytest.raises(ValueError, match="needs both"):
        probe_scores(x, 0 * known, test)
