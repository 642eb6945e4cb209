"""A rule's own axis: the null at 0, better higher, effects mirrored; and what is no rule."""

import pytest

from studykit.claims.rule import Alternative, Gate, Rule

INTERVAL = {"metric": "it", "direction": "higher", "null": 0.0, "repetitions": 5, "units": "seeds"}


def effect(**changed):
    return Rule(**{"kind": "effect", "scale": "difference", "least_effect": 0.5, **INTERVAL, **changed})


def margin(**changed):
    return Rule(**{"kind": "non-inferiority", "scale": "difference", "margin": 0.1, **INTERVAL, **changed})


@pytest.mark.parametrize(
    "rule",
    [
        effect(),
        effect(direction="lower", least_effect=-0.5),
        effect(scale="ratio", null=1.0, least_effect=1.25),
        effect(scale="ratio", null=2.0, least_effect=1.5, direction="lower"),
    ],
)
def test_the_axis_has_the_null_at_0_and_the_least_effect_above(rule):
    assert rule.place(rule.null) == 0 and rule.bar == rule.place(rule.least_effect) > 0
    for value in (0.3, 1.0, 7.0):
        assert rule.value_at(rule.place(value)) == pytest.approx(value)
    mirrored = rule.value_at(-rule.bar)
    expected = 2 * rule.null - rule.least_effect
    if rule.scale == "ratio":
        expected = rule.null**2 / rule.least_effect
    assert mirrored == pytest.approx(expected)


def test_a_margin_is_a_distance_or_a_factor_below_the_null():
    assert margin().value_at(-margin().bar) == pytest.approx(-0.1)
    ratio = margin(scale="ratio", null=1.0, margin=1.25)
    assert ratio.value_at(-ratio.bar) == pytest.approx(0.8)
    worse = margin(direction="lower")
    assert worse.value_at(-worse.bar) == pytest.approx(0.1)


def test_a_ratio_of_nothing_is_infinitely_bad_and_a_negative_one_is_none():
    ratio = effect(scale="ratio", null=1.0, least_effect=1.25)
    assert ratio.place(0.0) == float("-inf")
    with pytest.raises(ValueError, match="cannot be -1"):
        ratio.place(-1.0)


def test_the_levels_that_an_interval_is_held_against():
    assert effect().levels == {"no effect": 0.0, "least effect that matters": 0.5}
    assert margin().levels == {"no effect": 0.0, "margin": pytest.approx(-0.1)}
    assert Rule("identity", "residual", tolerance=1e-9).levels == {}


def test_what_is_counted():
    assert effect(units="counted").counted and not effect().counted
    assert Rule("identity", "residual", tolerance=1e-9).counted


@pytest.mark.parametrize(
    ("make", "changed", "said"),
    [
        (effect, {"least_effect": -0.5}, "least_effect: -0.5 is not beyond the null"),
        (effect, {"reported": 0.2}, "reported: 0.2 falls short"),
        (effect, {"scale": "ratio", "null": 0.0}, "null: got 0.0, and a ratio is above 0"),
        (effect, {"margin": 0.1}, "margin: has no meaning in a rule of kind 'effect'"),
        (effect, {"units": None}, "units: missing"),
        (effect, {"repetitions": 0}, "repetitions: got 0"),
        (margin, {"margin": 0.0}, "margin: got 0.0, needs a number above 0"),
        (margin, {"scale": "ratio", "null": 1.0, "margin": 0.9}, "margin: got 0.9, needs a number above 1"),
        (margin, {"least_effect": 0.1}, "least_effect: has no meaning"),
    ],
)
def test_what_contradicts_itself_is_refused(make, changed, said):
    with pytest.raises(ValueError, match=said):
        make(**changed)


def test_a_name_stands_once_and_a_gate_has_one_side():
    with pytest.raises(ValueError, match="half way stands twice"):
        effect(gates=(Gate("half way", above=0.0),), sensitivity=(Alternative("half way", "depth"),))
    for sides in ({}, {"above": 0.0, "below": 1.0}):
        with pytest.raises(ValueError, match="either above or below"):
            Gate("learns", **sides)
