import math

import pytest

from studykit.metrics.convergence import CensoredTime, Curve
from studykit.studies.mvc_components.component_progress import (
    later_than,
    share_left,
    time_of_improvement,
    typical_time,
)

STEPS = [0, 10, 20, 30]


def test_it_is_the_first_evaluation_with_that_share_of_the_improvement():
    curve = Curve(STEPS, [1.0, 0.5, 0.09, 0.0])
    assert time_of_improvement(curve).time == 20
    assert time_of_improvement(curve, 0.5).time == 10
    assert time_of_improvement(curve, 1.0).time == 30
    assert not time_of_improvement(curve).censored


def test_improvement_is_counted_from_the_first_value_to_the_best_not_to_zero_or_to_the_last():
    assert time_of_improvement(Curve(STEPS, [3.0, 2.05, 2.0, 2.5])).time == 10
    assert time_of_improvement(Curve(STEPS, [3.0, 2.2, 2.0, 2.5])).time == 20


def test_a_rise_before_the_fall_is_no_improvement():
    assert time_of_improvement(Curve(STEPS, [1.0, 4.0, 0.5, 0.5])).time == 20


@pytest.mark.parametrize("error", [[1.0, 1.0, 1.0, 1.0], [1.0, 2.0, 3.0, 1.0]])
def test_a_curve_that_never_improves_is_censored_at_its_end(error):
    reached = time_of_improvement(Curve(STEPS, error))
    assert reached.censored and reached.time == 30


def test_scale_and_offset_of_a_curve_do_not_matter():
    error = [1.0, 0.4, 0.15, 0.1]
    moved = [7 + 3 * value for value in error]
    assert time_of_improvement(Curve(STEPS, error)) == time_of_improvement(Curve(STEPS, moved))


def test_share_left_is_the_value_over_the_first_linear_between():
    curve = Curve(STEPS, [2.0, 1.0, 0.5, 0.6])
    assert share_left(curve, 0) == 1
    assert share_left(curve, 10) == 0.5
    assert share_left(curve, 15) == pytest.approx(0.375)
    assert share_left(curve, 30) == pytest.approx(0.3)


@pytest.mark.parametrize("share", [0, -0.1, 1.1, math.nan])
def test_a_share_outside_its_range_is_refused(share):
    with pytest.raises(ValueError, match=r"in \(0, 1\]"):
        time_of_improvement(Curve(STEPS, [3, 2, 1, 0]), share)


def test_a_share_that_has_no_meaning_is_refused():
    with pytest.raises(ValueError, match="from 0 to 30, asked at 31"):
        share_left(Curve(STEPS, [3, 2, 1, 0]), 31)
    with pytest.raises(ValueError, match="positive first value"):
        share_left(Curve(STEPS, [0, 2, 1, 0]), 10)


def test_a_typical_time_has_no_interval_below_zero_and_keeps_what_is_censored():
    times = [CensoredTime(float(t), False) for t in (10, 20, 300, 320, 400)]
    typical = typical_time(times)
    assert 0 < typical.low < typical.value < typical.high and typical.unit == ""
    assert typical.value == pytest.approx((10 * 20 * 300 * 320 * 400) ** 0.2)
    assert typical_time([*times[:4], CensoredTime(400.0, True)]).censored == 1


def test_how_much_later_is_paired_by_seed_and_keeps_what_is_censored():
    early = [CensoredTime(100.0, False), CensoredTime(200.0, False)]
    late = [CensoredTime(200.0, False), CensoredTime(400.0, True)]
    found = later_than(early, late, "mechanism")
    assert found.value >= 2 - 1e-9 and found.censored == 1 and found.kind == "mechanism"
    assert later_than(late[:1], early[:1], "mechanism").value == pytest.approx(0.5)
