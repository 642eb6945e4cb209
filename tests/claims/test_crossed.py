"""Seeds crossed with subjects: the textbook's variance, and coverage where one-way intervals fail."""

import numpy as np
import pytest
from scipy import stats as oracle

from studykit.claims.crossed import crossed_interval, crossed_spread


def drawn(rng, seeds, subjects, a, b, e):
    noise = e * rng.normal(size=(seeds, subjects))
    return a * rng.normal(size=(seeds, 1)) + b * rng.normal(size=(1, subjects)) + noise


def test_without_spread_of_subjects_it_is_the_t_interval_over_seeds():
    seeds = np.array([0.1, 0.4, 0.2, 0.7])
    table = np.repeat(seeds[:, None], 6, axis=1)
    found = crossed_interval(table)
    assert (found.low, found.high) == pytest.approx(
        oracle.t.interval(0.95, 3, seeds.mean(), oracle.sem(seeds))
    )
    assert (found.n, found.degrees) == (4, 3)


def test_seeds_and_subjects_change_places():
    table = drawn(np.random.default_rng(1), 5, 8, 1.0, 0.5, 0.3)
    one, other = crossed_interval(table), crossed_interval(table.T)
    assert (one.low, one.high) == pytest.approx((other.low, other.high))
    spread, turned = crossed_spread(table), crossed_spread(table.T)
    assert (spread.seeds, spread.subjects) == pytest.approx((turned.subjects, turned.seeds))


def test_it_covers_where_seeds_alone_do_not():
    rng = np.random.default_rng(0)
    crossed = alone = 0
    for _ in range(600):
        table = drawn(rng, 5, 8, 0.3, 1.0, 0.5)
        found = crossed_interval(table)
        crossed += found.low <= 0 <= found.high
        low, high = oracle.t.interval(0.95, 4, table.mean(), oracle.sem(table.mean(axis=1)))
        alone += low <= 0 <= high
    assert crossed / 600 > 0.93 and alone / 600 < 0.85


def test_an_estimate_says_both_spreads():
    table = drawn(np.random.default_rng(2), 200, 200, 2.0, 1.0, 0.5)
    spread = crossed_spread(table)
    said = crossed_interval(table).method
    assert f"{spread.seeds:.2g} between seeds, {spread.subjects:.2g} between subjects" in said


def test_spreads_are_found_again():
    spread = crossed_spread(drawn(np.random.default_rng(2), 200, 200, 2.0, 1.0, 0.5))
    assert (spread.seeds, spread.subjects, spread.rest) == pytest.approx((2.0, 1.0, 0.5), rel=0.15)


@pytest.mark.parametrize("table", [[[1.0, 2.0]], [1.0, 2.0], [[1.0], [2.0]]])
def test_one_seed_or_one_subject_is_refused(table):
    with pytest.raises(ValueError, match="two of each"):
        crossed_interval(table)
