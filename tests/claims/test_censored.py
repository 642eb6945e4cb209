"""Censored samples: Student's t where nothing is, likelihood and order statistics where something is."""

import math

import numpy as np
import pytest
from scipy import stats as oracle

from studykit.claims.censored import censored_centre, sign_test, tobit

NONE = np.zeros(6, bool)


def test_without_censoring_tobit_is_students_t():
    values = np.array([0.3, 1.2, -0.4, 0.9, 2.2, 0.1])
    found = tobit(values, NONE, NONE, 0.9)
    low, high = oracle.t.interval(0.9, 5, values.mean(), oracle.sem(values))
    assert found.value == pytest.approx(values.mean(), abs=1e-4)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-3)


def test_tobit_finds_what_scipy_fits():
    rng = np.random.default_rng(3)
    values = rng.normal(0.5, 1.0, 40)
    below = values < 0.2
    values = np.where(below, 0.2, values)
    data = oracle.CensoredData(uncensored=values[~below], left=values[below])
    mean, _ = oracle.norm.fit(data)
    assert tobit(values, below, np.zeros(40, bool), 0.95).value == pytest.approx(mean, abs=1e-3)


def test_tobit_mirrors():
    values = np.array([0.3, 1.2, -0.4, 0.9, 2.2, 0.1])
    flags = np.array([0, 1, 0, 0, 1, 0], bool)
    one, other = tobit(values, flags, NONE, 0.95), tobit(-values, NONE, flags, 0.95)
    assert (one.value, one.low, one.high) == pytest.approx((-other.value, -other.high, -other.low), abs=1e-3)


def test_a_value_of_which_nothing_is_known_counts_for_nothing():
    values = np.array([0.3, 1.2, -0.4, 0.9, 2.2, 99.0])
    unknown = np.array([0, 0, 0, 0, 0, 1], bool)
    with_it = tobit(values, unknown, unknown, 0.95)
    without = tobit(values[:5], NONE[:5], NONE[:5], 0.95)
    assert with_it == without


@pytest.mark.parametrize(("n", "rank"), [(5, 0), (6, 0), (9, 1), (12, 2), (20, 5)])
def test_the_sign_interval_lies_between_order_statistics(n, rank):
    values = np.random.default_rng(n).normal(size=n)
    found = sign_test(values, np.zeros(n, bool), np.zeros(n, bool), 0.95)
    ordered = np.sort(values)
    assert (found.low, found.high) == (ordered[rank], ordered[n - 1 - rank])
    assert found.confidence == pytest.approx(1 - 2 * oracle.binom.cdf(rank, n, 0.5))
    assert n == 5 or found.confidence >= 0.95


def test_a_censored_value_stands_at_infinity_on_its_open_side():
    values, flags = np.arange(6.0), np.array([1, 0, 0, 0, 0, 0], bool)
    assert sign_test(values, flags, NONE, 0.9).low == -math.inf
    assert sign_test(values, NONE, flags, 0.9).high == math.inf
    assert sign_test(values, flags, NONE, 0.9).high == 5.0


def test_few_whole_values_are_left_to_the_sign_test():
    values = np.arange(6.0)
    two_whole, three_whole = np.arange(6) >= 2, np.arange(6) >= 3
    assert "sign" in censored_centre(values, two_whole, NONE, 0.95).method
    assert "Tobit" in censored_centre(values, three_whole, NONE, 0.95).method


def test_one_repetition_bounds_nothing():
    found = sign_test(np.array([2.0]), NONE[:1], NONE[:1], 0.95)
    assert (found.low, found.high) == (-math.inf, math.inf)
