"""Probes of frozen encoders: of every test, trait, share of labels and feature, and kept with their run."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_traits import VOLTA, traits_study, write_people

from studykit.studies.volta_transfer import frozen
from studykit.study.scores import HELD_OUT


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    return write_people(tmp_path_factory.mktemp("people") / "people")


@pytest.fixture
def study(results, people, monkeypatch):
    return traits_study(people, monkeypatch)


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


@pytest.mark.parametrize("which", ["frozen", "attentive"])
def test_probed_encoders_run_on_a_card_where_there_is_one(tmp_path, monkeypatch, which):
    columns = frozen.COLUMNS if which == "frozen" else frozen.ATTENTIVE_COLUMNS
    rows = "probe_rows" if which == "frozen" else "attentive_rows"
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr(frozen, "_key", lambda ground: [])
    monkeypatch.setattr(frozen, "trained_method", lambda run, device: device.type)
    monkeypatch.setattr(frozen, rows, lambda method, ground: [dict.fromkeys(columns, method)])
    found = getattr(frozen, f"{which}_scores")(SimpleNamespace(folder=tmp_path), None)
    assert set(found.iloc[0]) == {"cuda"}
