"""Frozen probes and people, of tables that say what must come out."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from studykit.studies.volta_transfer.frozen import VALIDATION
from studykit.studies.volta_transfer.probes import people_row, probe_loss, probes_of, traced


def scores():
    rows = [
        (VALIDATION, "sex", "class", 1.0, "a", 0.8, 1),
        (VALIDATION, "sex", "class", 1.0, "b", 0.8, 0),
        (VALIDATION, "sex", "class", 0.2, "b", 0.0, 1),
        ("held out", "sex", "class", 1.0, "c", 0.5, 1),
        ("held out", "sex", "mean", 1.0, "c", 0.1, 1),
    ]
    return pd.DataFrame(rows, columns=["test", "trait", "features", "labels", "subject", "score", "label"])


def test_the_loss_is_that_of_the_true_class_on_validation_subjects():
    assert probe_loss(scores(), 1.0) == pytest.approx(-(np.log(0.8) + np.log(0.2)) / 2)
    assert probe_loss(scores(), 0.2) == pytest.approx(-np.log(1e-6)), "a sure mistake counts finitely"


def test_one_probe_of_all():
    found = probes_of(scores(), "held out", "sex", "class", 1.0)
    assert found.to_dict("records") == [{"subject": "c", "score": 0.5, "label": 1}]


def test_people_are_counted_by_each_class_of_each_trait():
    of = {
        "a": {"sex": "f", "disease": "no"},
        "b": {"sex": "m", "disease": "no"},
        "c": {"sex": "m", "disease": "no"},
    }
    values = {"sex": ("f", "m"), "disease": ("no", "yes")}
    traits = SimpleNamespace(of=of, names=("sex", "disease"), values=values)
    assert people_row(traits, ["b", "c"]) == {"subjects": 2, "f": 0, "m": 2, "no": 2, "yes": 0}


def test_a_run_that_did_not_record_it_is_passed_over():
    one = SimpleNamespace(metrics=pd.DataFrame({"step": [0, 5], "x": [None, 2.0]}))
    [(steps, values)] = traced([one, SimpleNamespace(metrics=pd.DataFrame({"step": [0]}))], "x")
    assert steps.tolist() == [5] and values.tolist() == [2.0]
