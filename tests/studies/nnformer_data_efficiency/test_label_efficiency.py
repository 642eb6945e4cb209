"""Gains, where they end, how soon and how steadily: cases whose answers are known by construction."""

import math

import numpy as np
import pytest

from studykit.claims.crossed import crossed_interval
from studykit.claims.estimate import Estimate
from studykit.metrics.convergence import CensoredTime, Curve
from studykit.studies.nnformer_data_efficiency.label_efficiency import (
    crossed_gain,
    error_at_share,
    gain_ends,
    largest_fall,
    paired_gain,
    sooner,
    sooner_cells,
    times_to_share,
)


def curve(*dice, every=10):
    return Curve([every * i for i in range(len(dice))], [1 - value for value in dice])


def gain(value, half):
    return Estimate(value, value - half, value + half, 3, "mechanism")


def test_a_gain_is_paired_by_seed():
    found = paired_gain([0.1, 0.5, 0.9], [0.2, 0.6, 1.0], kind="mechanism")
    assert (found.value, found.n, found.kind) == (pytest.approx(0.1), 3, "mechanism")
    assert found.high - found.low == pytest.approx(0, abs=1e-12), "each pair gains alike"
    with pytest.raises(ValueError, match="paired by seed"):
        paired_gain([0.1], [0.1, 0.2])


def test_the_gain_ends_where_its_interval_first_reaches_down_to_zero():
    falling = {0.05: gain(0.3, 0.1), 0.1: gain(0.2, 0.1), 0.2: gain(0.05, 0.05), 1.0: gain(0.01, 0.1)}
    assert gain_ends(falling) == 0.2
    assert gain_ends(dict(reversed(falling.items()))) == 0.2
    assert gain_ends({0.1: gain(-0.2, 0.1), 1.0: gain(0.2, 0.1)}) == 0.1, "a loss is no gain"
    assert gain_ends({0.1: gain(0.2, 0.1)}) is None


def test_the_interval_of_equal_gains_has_no_width_and_pairs_seeds_and_subjects():
    base = np.random.default_rng(0).uniform(size=(3, 5))
    found = crossed_gain(base, base + 0.25, kind="mechanism")
    assert (found.value, found.low, found.high) == tuple(pytest.approx(0.25) for _ in range(3))
    assert (found.n, found.kind) == (3, "mechanism")


def test_the_gain_over_both_is_the_crossed_interval_and_one_seed_or_subject_bounds_nothing():
    first, second = np.random.default_rng(1).uniform(size=(2, 3, 4))
    found, crossed = crossed_gain(first, second), crossed_interval(second - first)
    assert (found.value, found.low, found.high) == (crossed.value, crossed.low, crossed.high)
    by_seed = paired_gain(first.mean(axis=1), second.mean(axis=1))
    assert found.value == pytest.approx(by_seed.value)
    for single in (crossed_gain(first[:1], second[:1]), crossed_gain(first[:, :1], second[:, :1])):
        assert (single.low, single.high) == (-math.inf, math.inf)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (np.ones(3), np.ones(3), r"\(seeds, subjects\)"),
        (np.ones((2, 3)), np.ones((3, 2)), r"\(seeds, subjects\)"),
        (np.ones((0, 3)), np.ones((0, 3)), r"\(seeds, subjects\)"),
        (np.ones((2, 2)), np.array([[1, 1], [np.nan, 1]]), "seed 1, subject 0"),
    ],
)
def test_tables_that_do_not_fit_are_refused(first, second, message):
    with pytest.raises(ValueError, match=message):
        crossed_gain(first, second)


def test_the_largest_fall_is_measured_from_the_best_so_far():
    assert largest_fall(curve(0.1, 0.5, 0.4, 0.6, 0.3, 0.35)) == pytest.approx(0.3)
    assert largest_fall(curve(0.0, 0.1, 0.1, 0.9)) == 0


def test_the_target_is_a_share_of_the_best_dice_and_not_of_the_improvement():
    rising = curve(0.2, 0.8, 0.6)
    assert error_at_share(rising, 0.5) == pytest.approx(0.6)
    assert error_at_share(rising, 1.0) == pytest.approx(0.2)
    with pytest.raises(ValueError, match=r"\(0, 1\]"):
        error_at_share(rising, 95)


def test_times_are_to_the_baselines_own_target_seed_by_seed():
    baselines = [curve(0.0, 0.4, 0.8), curve(0.0, 0.2, 0.4)]
    faster = [curve(0.0, 0.8, 0.9), curve(0.0, 0.1, 0.1)]
    assert times_to_share(baselines, baselines, 0.5) == [CensoredTime(pytest.approx(10), False)] * 2
    times = times_to_share(baselines, faster, 0.5, head_start=100)
    assert times == [CensoredTime(pytest.approx(105), False), CensoredTime(120, True)]
    with pytest.raises(ValueError, match="2 baselines and 1 curves"):
        times_to_share(baselines, faster[:1], 0.5)


def test_twice_as_fast_is_a_ratio_of_two_and_a_pre_training_counts_where_it_is_told():
    baselines = [curve(0.0, 0.4, 0.8), curve(0.0, 0.3, 0.6)]
    faster = [curve(0.0, 0.8), curve(0.0, 0.6)]
    found = sooner(baselines, faster, 0.95, kind="mechanism")
    assert (found.value, found.n, found.censored, found.kind) == (pytest.approx(2), 2, 0, "mechanism")
    assert sooner(baselines, faster, 0.95, head_start=9.5).value == pytest.approx(1)


def test_a_run_that_never_gets_there_opens_the_low_end():
    baselines = [curve(0.0, 0.4, 0.8), curve(0.0, 0.4, 0.8)]
    found = sooner(baselines, [curve(0.0, 0.8, 0.8), curve(0.0, 0.1, 0.1)], 0.95)
    assert (found.censored, found.low) == (1, 0.0) and found.high < math.inf


def test_no_ratio_where_a_curve_is_there_before_the_first_step():
    flat = [curve(0.3, 0.3)]
    assert sooner(flat, [curve(0.0, 0.4)], 0.95) is None
    assert sooner([curve(0.0, 0.3)], [curve(0.3, 0.3)], 0.95) is None


def test_cells_say_who_never_arrived_and_what_pre_training_takes_away():
    slow, fast = curve(0.0, 0.25, 0.5, 0.75, 1.0), curve(0.0, 0.5, 1.0)
    cells = sooner_cells([slow, slow], [fast, fast], 1.0, 20.0, "mechanism")
    assert cells["steps"] == "20, 20" and cells["censored"] == 0
    assert cells["ratio"] == pytest.approx(2) and cells["with pre-training"] == pytest.approx(1)
    never = sooner_cells([slow, slow], [fast, curve(0.0, 0.5)], 1.0, 0.0, "mechanism")
    assert never["steps"] == "20, >10" and never["censored"] == 1
    at_once = sooner_cells([curve(1.0, 1.0)], [curve(1.0, 1.0)], 1.0, 0.0, "mechanism")
    assert math.isnan(at_once["ratio"]) and at_once.keys() == cells.keys()
