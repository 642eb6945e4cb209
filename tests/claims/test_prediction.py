"""Reruns are expected where chance puts them: coverage by simulation, mirrored scales, open ends."""

import math

import numpy as np
import pytest

from studykit.claims.estimate import Estimate
from studykit.claims.prediction import agree, predicted
from studykit.claims.rule import Rule
from studykit.claims.stats import mean_interval, paired_log_ratio

INTERVAL = {"repetitions": 5, "units": "seeds"}
DIFFERENCE = Rule("effect", "it", "higher", "difference", null=0.0, least_effect=0.5, **INTERVAL)
LOWER = Rule("effect", "it", "lower", "difference", null=0.0, least_effect=-0.5, **INTERVAL)
RATIO = Rule("effect", "it", "higher", "ratio", null=1.0, least_effect=1.25, **INTERVAL)


@pytest.mark.parametrize("again", [5, 10])
def test_95_of_100_reruns_lie_where_they_are_expected(again):
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(1500):
        low, high = predicted(DIFFERENCE, mean_interval(rng.normal(size=5)), again)
        inside += low <= rng.normal(size=again).mean() <= high
    assert inside / 1500 == pytest.approx(0.95, abs=0.02)


def test_direction_and_scale_change_only_the_axis():
    logs = np.random.default_rng(1).normal(size=5)
    plain = predicted(DIFFERENCE, mean_interval(logs), 5)
    assert predicted(LOWER, mean_interval(logs), 5) == pytest.approx(plain)
    ratio = predicted(RATIO, paired_log_ratio(np.exp(logs), np.ones(5)), 5)
    assert ratio == pytest.approx(tuple(map(math.exp, plain)))


def test_they_agree_where_each_expects_the_other():
    narrow, wide = (Estimate(v, v - w, v + w, 5, "reduced-scale") for v, w in ((0.0, 0.1), (0.5, 2.0)))
    assert agree(DIFFERENCE, wide, wide) and not agree(DIFFERENCE, wide, narrow)
    assert agree(DIFFERENCE, narrow, wide) == agree(DIFFERENCE, wide, narrow)


def test_an_open_end_expects_anything_and_an_exact_number_itself():
    opened = Estimate(1.0, 0.0, 1.3, 5, "reduced-scale", censored=3)
    assert predicted(RATIO, opened, 5) == (0.0, math.inf)
    assert predicted(DIFFERENCE, Estimate.exact(0.3), 5) == (0.3, 0.3)
