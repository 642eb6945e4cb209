"""Times to a target: interpolation, censoring, and speed-ups that are known by construction."""

import math

import numpy as np
import pytest

from studykit.metrics.convergence import (
    CensoredTime,
    Curve,
    best_so_far,
    largest_rise,
    speedup_over_range,
    speedup_profile,
    steps_to_target,
    target_of,
)


def decay(rate, end=1000, points=101, floor=0.1):
    x = np.linspace(0, end, points)
    return Curve(x, floor + np.exp(-rate * x))


@pytest.mark.parametrize(
    ("target", "time"),
    [(1.0, 0.0), (2.0, 0.0), (0.75, 50.0), (0.5, 100.0), (0.4, 200.0), (0.3, 300.0)],
)
def test_the_first_crossing_is_interpolated(target, time):
    curve = Curve([0, 100, 300], [1.0, 0.5, 0.3])
    assert steps_to_target(curve, target) == CensoredTime(pytest.approx(time), censored=False)


def test_a_target_never_reached_is_censored_at_the_end():
    assert steps_to_target(Curve([0, 100, 300], [1.0, 0.5, 0.3]), 0.29) == CensoredTime(300.0, censored=True)


def test_a_curve_that_rises_again_counts_its_first_crossing():
    curve = Curve([0, 10, 20, 30], [1.0, 0.4, 0.9, 0.2])
    assert steps_to_target(curve, 0.5).time == pytest.approx(10 * 0.5 / 0.6)
    assert steps_to_target(curve, 0.3).time == pytest.approx(20 + 10 * 0.6 / 0.7)


def test_a_higher_target_is_never_reached_later():
    rng = np.random.default_rng(0)
    for _ in range(50):
        curve = Curve(np.cumsum(rng.uniform(0.1, 5, 30)), rng.normal(size=30).cumsum())
        times = [steps_to_target(curve, target).time for target in np.linspace(-10, 10, 81)]
        assert times == sorted(times, reverse=True)


def test_the_x_axis_is_only_a_unit():
    curve = decay(0.01)
    in_flops = Curve(curve.x * 3e9, curve.error)
    assert steps_to_target(in_flops, 0.3).time == pytest.approx(3e9 * steps_to_target(curve, 0.3).time)


def test_best_so_far_never_rises():
    curve = best_so_far(Curve([1, 2, 3, 4], [0.9, 0.5, 0.7, 0.4]))
    assert curve.error.tolist() == [0.9, 0.5, 0.5, 0.4] and curve.x.tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("x", "error", "said"),
    [
        ([0, 1], [1.0, math.nan], r"error\[1\] is nan; a diverged run cannot be timed"),
        ([0, math.inf], [1.0, 0.5], r"x\[1\] is inf"),
        ([0, 1, 1], [3, 2, 1], "x must increase, got 1.0 then 1.0"),
        ([0, 2, 1], [3, 2, 1], "x must increase, got 2.0 then 1.0"),
        ([0, 1], [1.0], "2 x, 1 errors"),
        ([], [], "not empty"),
        ([[0, 1]], [[1, 2]], r"shape \(1, 2\)"),
    ],
)
def test_a_bad_curve_is_refused(x, error, said):
    with pytest.raises(ValueError, match=said):
        Curve(x, error)


def test_a_target_must_be_a_number():
    with pytest.raises(ValueError, match="finite"):
        steps_to_target(decay(0.01), math.nan)


def test_a_curve_does_not_change_with_the_arrays_it_came_from():
    error = np.array([2.0, 1.0])
    curve = Curve([0, 1], error)
    error[0] = 9.0
    assert curve.error[0] == 2.0
    with pytest.raises(ValueError, match="read-only"):
        curve.error[0] = 9.0


def test_a_treatment_three_times_as_fast_shows_three_at_every_target():
    rates = [0.004, 0.005, 0.006]
    baseline = [decay(rate, points=2001) for rate in rates]
    treatment = [decay(3 * rate, points=2001) for rate in rates]
    profile = speedup_profile(baseline, treatment, (0.5, 0.9, 1.0))
    assert [point.fraction for point in profile] == [0.5, 0.9, 1.0]
    for point in profile:
        assert point.estimate.value == pytest.approx(3.0, rel=1e-3)
        assert point.estimate.n == 3 and point.estimate.censored == 0
    for curve, target in zip(baseline, profile[-1].targets, strict=True):
        assert target == curve.error.min()


def test_the_ratio_follows_the_axis():
    """A treatment at a third of the steps that costs twice as much a step is 1.5 times as fast in cost."""
    baseline, treatment = [decay(0.005)] * 2, [decay(0.015)] * 2
    costly = [Curve(2 * curve.x, curve.error) for curve in treatment]
    (steps,) = speedup_profile(baseline, treatment, (1.0,))
    (cost,) = speedup_profile(baseline, costly, (1.0,))
    assert cost.estimate.value == pytest.approx(steps.estimate.value / 2)


def test_a_treatment_that_never_arrives_opens_the_low_end():
    baseline = [decay(0.005), decay(0.006)]
    treatment = [decay(0.01), decay(0.01, floor=0.3)]
    early, late = speedup_profile(baseline, treatment, (0.5, 1.0))
    assert early.estimate.censored == 0 and early.estimate.low > 0
    assert (late.estimate.censored, late.estimate.low) == (1, 0.0)


def test_the_baseline_always_arrives_at_its_own_best():
    rng = np.random.default_rng(2)
    for _ in range(50):
        curves = [Curve(np.arange(1, 21), rng.normal(5, 1, 20)) for _ in range(2)]
        for point in speedup_profile(curves, curves, (0.1, 0.7, 1.0)):
            assert point.estimate is None or (point.estimate.censored, point.estimate.value) == (0, 1.0)


def test_no_ratio_where_a_target_is_met_at_zero_or_a_baseline_never_improves():
    baseline = [decay(0.005)] * 2
    ahead = Curve([0, 1000], [0.2, 0.1])
    (easy,) = speedup_profile(baseline, [decay(0.01), ahead], (0.5,))
    assert easy.estimate is None and len(easy.targets) == 2
    flat = Curve([10, 20], [1.0, 1.5])
    (failed,) = speedup_profile([flat], [decay(0.01)], (1.0,))
    assert failed.estimate is None


def test_unpaired_curves_and_fractions_out_of_range_are_refused():
    curves = [decay(0.005)] * 2
    with pytest.raises(ValueError, match="2 baseline and 1 treatment"):
        speedup_profile(curves, curves[:1])
    with pytest.raises(ValueError, match="paired by seed"):
        speedup_profile([], [])
    for fraction in (0.0, 1.5):
        with pytest.raises(ValueError, match=r"\(0, 1\]"):
            speedup_profile(curves, curves, (fraction,))


def test_largest_rise_is_a_share_of_the_whole_improvement():
    assert largest_rise(Curve([0, 1, 2], [3.0, 2.0, 1.0])) == 0
    assert largest_rise(Curve([0, 1, 2, 3, 4], [5.0, 3.0, 4.0, 1.0, 1.5])) == pytest.approx(1 / 4)
    assert largest_rise(Curve([0, 1], [1.0, 2.0])) == float("inf")


@pytest.mark.parametrize(("fraction", "target"), [(1.0, 0.2), (0.5, 0.6), (0.9, 0.28)])
def test_a_target_is_a_share_of_the_way_to_the_best_error(fraction, target):
    assert target_of(Curve([0, 1, 2, 3], [1.0, 0.4, 0.2, 0.3]), fraction) == pytest.approx(target)


@pytest.mark.parametrize("fraction", [0.0, 1.1, -1])
def test_a_share_outside_its_range_is_refused(fraction):
    with pytest.raises(ValueError, match="must be in"):
        target_of(Curve([0, 1], [1.0, 0.5]), fraction)


def test_over_a_range_a_constant_factor_is_found():
    baseline = [decay(rate) for rate in (0.010, 0.011, 0.009)]
    found = speedup_over_range(baseline, [decay(3 * rate) for rate in (0.010, 0.011, 0.009)])
    assert found.estimate.value == pytest.approx(3.0, rel=0.02)
    assert found.reached == pytest.approx((0.9, 0.9, 0.9)) and found.estimate.censored == 0


def test_over_a_range_arms_change_places_by_the_inverse():
    """Curves of one start and one end: then both set the same targets."""
    x = np.arange(0, 1001, 10.0)
    fast, slow = (Curve(x, 1 - np.clip(x / end, 0, 1)) for end in (400.0, 900.0))
    there = speedup_over_range([slow], [fast]).estimate.value
    back = speedup_over_range([fast], [slow]).estimate.value
    assert there == pytest.approx(1 / back) == pytest.approx(2.25)


def test_a_range_ends_where_the_treatment_ends():
    x = np.arange(0, 101.0)
    baseline, halfway = Curve(x, 1 - x / 100), Curve(x, 1 - np.minimum(x / 50, 0.5))
    found = speedup_over_range([baseline], [halfway])
    assert found.reached == (pytest.approx(0.5, abs=0.02),) and found.estimate.value == pytest.approx(2.0)


def test_a_treatment_outside_the_range_is_a_bound():
    x = np.arange(0, 101.0)
    baseline, stuck = Curve(x, 1 - x / 100), Curve(x, 1 - np.minimum(x / 100, 0.1))
    found = speedup_over_range([baseline] * 5, [stuck] * 5)
    assert found.estimate.bound == "at most" and found.estimate.censored == 5
    assert found.estimate.high == pytest.approx(0.25) and found.reached == pytest.approx((0.1,) * 5)


def test_a_range_without_meaning_is_refused():
    x = np.arange(0, 11.0)
    falling, flat = Curve(x, 1 - x / 10), Curve(x, np.ones(11))
    with pytest.raises(ValueError, match="0 < start < end"):
        speedup_over_range([falling], [falling], 0.9, 0.2)
    assert speedup_over_range([flat], [falling]).estimate is None
    assert speedup_over_range([falling], [Curve(x, falling.error - 0.5)]).estimate is None
    with pytest.raises(ValueError, match="paired by seed"):
        speedup_over_range([falling], [])
