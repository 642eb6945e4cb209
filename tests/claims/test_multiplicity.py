"""Holm's correction: worked by hand, never stricter than Bonferroni, and at its level under the null."""

import numpy as np
import pytest

from studykit.claims.multiplicity import holm


def test_it_steps_down_and_stops_at_the_first_that_fails():
    found = holm({"a": 0.04, "b": 0.012, "c": 0.001, "d": 0.03})
    assert found == {"a": False, "b": True, "c": True, "d": False}


def test_one_alone_is_not_corrected():
    assert holm({"a": 0.05}) == {"a": True} and holm({"a": 0.051}) == {"a": False}


def test_a_claim_without_evidence_takes_its_share():
    assert holm({"a": 0.03}) == {"a": True}
    assert holm({"a": 0.03, "not run": 1.0}) == {"a": False, "not run": False}


def test_it_lies_between_bonferroni_and_no_correction():
    rng = np.random.default_rng(0)
    for _ in range(300):
        p = {str(i): float(v) for i, v in enumerate(rng.beta(0.3, 1, 6))}
        found = holm(p)
        assert all(found[name] >= (p[name] <= 0.05 / 6) for name in p)
        assert all(p[name] <= 0.05 for name in p if found[name])


def test_under_the_null_any_rejection_is_as_rare_as_it_says():
    rng = np.random.default_rng(1)
    draws = rng.uniform(size=(4000, 5))
    rate = np.mean([any(holm(dict(enumerate(row))).values()) for row in draws])
    assert rate <= 0.05 + 3 * (0.05 * 0.95 / 4000) ** 0.5


def test_what_is_no_probability_is_refused():
    with pytest.raises(ValueError, match=r"between 0 and 1, got 1\.2 for a"):
        holm({"a": 1.2})
