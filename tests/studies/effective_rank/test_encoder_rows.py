"""A row of an encoder holds what its features say."""

import numpy as np
import pytest
from tiny_study import two_arms

from studykit.metrics.effective_rank import DEFINITIONS, effective_rank
from studykit.probes.features import pooled_features, token_features
from studykit.studies.effective_rank.activation_spread import activation_spread
from studykit.studies.effective_rank.encoder_rows import encoder_row, spread_row


@pytest.fixture
def case(tiny):
    study = tiny()
    method = study.untrained(two_arms(study)[0]).eval()
    crops, _, subjects = study.held_out(method)
    return method, crops, np.array(subjects)


def test_ranks_are_of_all_crops_and_of_each_subject(case, monkeypatch):
    from studykit.studies.effective_rank import encoder_rows

    method, crops, subjects = case
    score = type("Score", (), {})
    one, two = score(), score()
    one.balanced_accuracy, two.balanced_accuracy = 0.4, 0.6
    monkeypatch.setattr(encoder_rows, "probe_both_ways", lambda heads, encode: {"ann": one, "bob": two})
    row = encoder_row(method, crops, subjects, ())
    pooled = pooled_features(method, crops)
    assert {name: row[name] for name in DEFINITIONS} == {n: effective_rank(pooled, n) for n in DEFINITIONS}
    assert (row["probe on ann"], row["probe"]) == (0.4, pytest.approx(0.5))
    for name in set(subjects):
        assert row[f"rank of {name}"] == effective_rank(pooled[subjects == name])
    assert row["deviation"] == spread_row(method, crops[::8])["deviation"]


def test_spread_is_that_of_all_tokens(case):
    method, crops, _ = case
    spread = activation_spread(token_features(method, crops).flatten(0, 1))
    row = spread_row(method, crops)
    assert row == {"deviation": spread.deviation, "kurtosis": spread.kurtosis, "dead": spread.dead_share}
