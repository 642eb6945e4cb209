"""Power, p-values and repetitions, held against scipy's own tests and against simulation."""

import math

import numpy as np
import pytest
from scipy import stats as oracle

from studykit.claims.estimate import Estimate
from studykit.claims.power import (
    POWER,
    least_visible,
    p_value,
    power_of,
    repetitions_for,
    standard_error,
)
from studykit.claims.rule import Rule
from studykit.claims.stats import mean_interval, paired_log_ratio

DIFFERENCE = Rule(
    "effect", "it", "higher", "difference", null=0.0, least_effect=0.5, repetitions=3, units="seeds"
)
RATIO = Rule("effect", "it", "higher", "ratio", null=1.0, least_effect=1.25, repetitions=3, units="seeds")
MARGIN = Rule(
    "non-inferiority", "it", "higher", "difference", null=0.0, margin=0.5, repetitions=3, units="seeds"
)


def drawn(n=6, mean=0.4, seed=0):
    return np.random.default_rng(seed).normal(mean, 1.0, n)


def test_the_standard_error_comes_back_from_the_interval():
    values = drawn()
    for confidence in (0.9, 0.95):
        found = standard_error(DIFFERENCE, mean_interval(values, confidence))
        assert found == pytest.approx(oracle.sem(values))
    times = np.exp(values)
    assert standard_error(RATIO, paired_log_ratio(times, np.ones(6))) == pytest.approx(oracle.sem(values))


def test_the_p_value_is_the_t_tests():
    values = drawn()
    expected = oracle.ttest_1samp(values, 0.0).pvalue
    assert p_value(DIFFERENCE, mean_interval(values)) == pytest.approx(expected)
    assert p_value(RATIO, paired_log_ratio(np.exp(values), np.ones(6))) == pytest.approx(expected)
    one_sided = oracle.ttest_1samp(values, -0.5, alternative="greater").pvalue
    assert p_value(MARGIN, mean_interval(values)) == pytest.approx(2 * one_sided)


def test_p_and_interval_agree_on_what_is_significant():
    for seed in range(50):
        estimate = mean_interval(drawn(seed=seed))
        outside = not estimate.low <= 0 <= estimate.high
        assert (p_value(DIFFERENCE, estimate) < 0.05) == outside


def test_an_open_end_shows_nothing():
    opened = Estimate(1.1, 0.0, 1.4, 5, "reduced-scale", censored=2)
    assert standard_error(RATIO, opened) == math.inf and p_value(RATIO, opened) == 1.0
    assert least_visible(RATIO, opened) is None and repetitions_for(RATIO, opened) is None
    assert p_value(DIFFERENCE, Estimate.exact(0.3)) == 0.0 and p_value(DIFFERENCE, Estimate.exact(0.0)) == 1.0


def test_power_is_that_of_simulated_t_tests():
    rng = np.random.default_rng(1)
    samples = rng.normal(0.8, 1.0, (20000, 8))
    rejected = (oracle.ttest_1samp(samples, 0.0, axis=1).pvalue < 0.05) & (samples.mean(axis=1) > 0)
    assert power_of(0.8, 1.0, 8) == pytest.approx(rejected.mean(), abs=0.01)


def test_the_least_visible_effect_has_the_power_that_it_promises():
    estimate = mean_interval(drawn(n=7))
    effect = least_visible(DIFFERENCE, estimate)
    assert power_of(effect, standard_error(DIFFERENCE, estimate) * 7**0.5, 7) == pytest.approx(
        POWER, abs=1e-3
    )
    lower = Rule("effect", "it", "lower", "ratio", null=2.0, least_effect=1.0, repetitions=3, units="seeds")
    visible = least_visible(lower, Estimate(2.0, 1.0, 4.0, 5, "reduced-scale"))
    assert 0 < visible < 2.0


def test_the_repetitions_are_the_fewest_that_suffice():
    estimate = mean_interval(drawn(n=6))
    spread = standard_error(DIFFERENCE, estimate) * 6**0.5
    needed = repetitions_for(DIFFERENCE, estimate)
    assert power_of(0.5, spread, needed) >= POWER > power_of(0.5, spread, needed - 1)
    assert repetitions_for(DIFFERENCE, Estimate(0.0, -1e6, 1e6, 5, "reduced-scale")) is None
    assert repetitions_for(DIFFERENCE, Estimate(0.4, 0.4, 0.4, 5, "reduced-scale")) == 2
