"""Effects in a factorial: recovered where they are known by construction, honest where runs never arrived."""

import math
from itertools import product

import numpy as np
import pytest

from studykit.metrics.convergence import CensoredTime, Curve
from studykit.studies.gradient_conductor.main_effects import (
    Factorial,
    every_cell,
    ratio,
    ratio_of_speedups,
    times_by_cell,
    times_to_best,
)

FACTORS = {"optimizer": ("AdamW", "sign", "GCond"), "loss": ("L2", "MVC"), "masks": ("random", "FOV")}
SPEED = {"AdamW": 1.0, "sign": 1.5, "GCond": 2.0, "L2": 1.0, "MVC": 3.0, "random": 1.0, "FOV": 0.8}


def times(noise=0.0, seeds=5, interaction=1.0):
    rng = np.random.default_rng(0)
    return {
        cell: [
            CensoredTime(
                1000
                / math.prod(SPEED[level] for level in cell)
                / (interaction if {"GCond", "MVC"} <= set(cell) else 1.0)
                * math.exp(noise * rng.standard_normal()),
                False,
            )
            for _ in range(seeds)
        ]
        for cell in product(*FACTORS.values())
    }


@pytest.mark.parametrize(
    ("factor", "baseline", "treatment", "expected", "runs"),
    [
        ("optimizer", "AdamW", "GCond", 2.0, 40),
        ("optimizer", "sign", "GCond", 4 / 3, 40),
        ("loss", "L2", "MVC", 3.0, 60),
        ("loss", "MVC", "L2", 1 / 3, 60),
        ("masks", "random", "FOV", 0.8, 60),
    ],
)
def test_effects_that_multiply_are_found_exactly(factor, baseline, treatment, expected, runs):
    effect = Factorial(FACTORS, times()).effect(factor, baseline, treatment)
    assert effect.estimate.value == pytest.approx(expected)
    assert effect.estimate.low == pytest.approx(expected) == effect.estimate.high
    assert (effect.estimate.n, effect.runs, effect.censored) == (5, runs, 0)


def test_an_interaction_shows_within_a_level_and_by_half_in_the_mean():
    design = Factorial(FACTORS, times(interaction=1.44))
    alone = {
        loss: design.effect("optimizer", "AdamW", "GCond", {"loss": loss}).estimate.value
        for loss in ("L2", "MVC")
    }
    assert alone == {"L2": pytest.approx(2.0), "MVC": pytest.approx(2.88)}
    assert design.effect("optimizer", "AdamW", "GCond").estimate.value == pytest.approx(2.0 * 1.2)
    one_cell = {"loss": "MVC", "masks": "FOV"}
    assert design.effect("optimizer", "AdamW", "GCond", one_cell).runs == 10


def test_the_interval_is_over_seeds_of_the_mean_contrast():
    responses = times(noise=0.1)
    effect = Factorial(FACTORS, responses).effect("masks", "random", "FOV")
    log = {cell: np.log([own.time for own in each]) for cell, each in responses.items()}
    contrast = np.mean(
        [log[o, k, "random"] - log[o, k, "FOV"] for o in FACTORS["optimizer"] for k in FACTORS["loss"]], 0
    )
    half = 2.7764451 * contrast.std(ddof=1) / 5**0.5
    assert math.log(effect.estimate.value) == pytest.approx(contrast.mean())
    assert math.log(effect.estimate.low) == pytest.approx(contrast.mean() - half)
    assert math.log(effect.estimate.high) == pytest.approx(contrast.mean() + half)
    assert effect.estimate.low < 0.8 < effect.estimate.high


def censor(responses, *cell):
    responses[cell][0] = CensoredTime(2000.0, censored=True)
    return Factorial(FACTORS, responses)


def test_a_censored_treatment_lowers_the_effect_and_a_censored_baseline_raises_it():
    whole = Factorial(FACTORS, times(noise=0.1)).effect("optimizer", "AdamW", "GCond")
    treated = censor(times(noise=0.1), "GCond", "L2", "FOV").effect("optimizer", "AdamW", "GCond")
    assert (treated.censored, treated.estimate.censored) == (1, 1)
    assert treated.estimate.value < whole.estimate.value and treated.estimate.low < whole.estimate.low
    plain = censor(times(noise=0.1), "AdamW", "L2", "FOV").effect("optimizer", "AdamW", "GCond")
    assert plain.censored == 1
    assert plain.estimate.value > whole.estimate.value and plain.estimate.high > whole.estimate.high
    other = censor(times(noise=0.1), "sign", "L2", "FOV").effect("optimizer", "AdamW", "GCond")
    assert other.censored == 0 and other.estimate == whole.estimate
    both = censor(times(noise=0.1), "sign", "L2", "FOV").effect("loss", "L2", "MVC")
    assert both.censored == 1 and both.estimate.value > 0


def test_a_target_met_at_once_has_no_ratio():
    responses = times()
    responses["sign", "L2", "FOV"][2] = CensoredTime(0.0, censored=False)
    design = Factorial(FACTORS, responses)
    assert design.effect("loss", "L2", "MVC").estimate is None
    assert design.effect("optimizer", "AdamW", "GCond").estimate is not None


def test_one_seed_bounds_nothing():
    estimate = Factorial(FACTORS, times(seeds=1)).effect("loss", "L2", "MVC").estimate
    assert (estimate.value, estimate.low, estimate.high) == (pytest.approx(3.0), 0.0, math.inf)


def test_a_table_that_is_no_factorial_is_refused():
    responses = times()
    del responses["AdamW", "L2", "FOV"]
    with pytest.raises(ValueError, match=r"missing \('AdamW', 'L2', 'FOV'\)"):
        Factorial(FACTORS, responses)
    with pytest.raises(ValueError, match=r"unknown \('Lion', 'L2', 'FOV'\)"):
        Factorial(FACTORS, times() | {("Lion", "L2", "FOV"): []})
    responses = times()
    responses["AdamW", "L2", "FOV"].pop()
    with pytest.raises(ValueError, match=r"paired by seed, got \[4, 5\]"):
        Factorial(FACTORS, responses)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("mask", "random", "FOV"), r"Unknown factor 'mask'\. Known: optimizer, loss, masks"),
        (("masks", "none", "FOV"), r"Unknown level 'none' of masks\. Known: 'random', 'FOV'"),
        (("masks", "random", "FOV", {"loss": "L1"}), "Unknown level 'L1' of loss"),
    ],
)
def test_an_unknown_factor_or_level_lists_the_known_ones(arguments, message):
    with pytest.raises(ValueError, match=message):
        Factorial(FACTORS, times()).effect(*arguments)


def reached(*values, censored=()):
    return [CensoredTime(float(value), place in censored) for place, value in enumerate(values)]


def test_a_ratio_of_speedups_is_paired():
    one = reached(100, 200, 400), reached(50, 100, 200)
    other = reached(90, 80, 70), reached(90, 80, 70)
    estimate = ratio_of_speedups(one, other)
    assert (estimate.value, estimate.low, estimate.high) == tuple(map(pytest.approx, (2.0, 2.0, 2.0)))
    assert ratio_of_speedups(other, one).value == pytest.approx(0.5)
    assert ratio(*one).value == pytest.approx(2.0)


def test_who_never_arrives_says_which_way_the_ratio_of_speedups_lies():
    never, there = reached(600, 600, 600, censored=(1,)), reached(100, 200, 300)
    under_mvc = ratio_of_speedups((there, never), (there, there))
    assert under_mvc.low == 0 and math.isfinite(under_mvc.high), "it may have been no faster at all"
    under_l2 = ratio_of_speedups((there, there), (there, never))
    assert under_l2.low > 0 and under_l2.high == math.inf and under_l2.censored == 1
    assert ratio_of_speedups((there, there), (there, reached(0, 1, 1))) is None


def test_targets_are_those_of_the_baseline_of_the_same_seed():
    def falling(end, best):
        return Curve([0, end], [1.0, best])

    curves = {
        ("a", "x"): [falling(10, 0.0), falling(10, 0.5)],
        ("b", "x"): [falling(20, 0.0), falling(20, 0.8)],
    }
    found = times_by_cell(curves, dict.fromkeys(curves, ("a", "x")), 1.0)
    assert [t.time for t in found["a", "x"]] == [10, 10]
    assert [(t.time, t.censored) for t in found["b", "x"]] == [(20, False), (20, True)]
    half = times_by_cell(curves, dict.fromkeys(curves, ("a", "x")), 0.5)
    assert [t.time for t in half["b", "x"]] == [10, 20]
    assert times_to_best(*curves.values()) == (found["a", "x"], found["b", "x"])
    assert set(every_cell(FACTORS)) == set(times()) and len(every_cell(FACTORS)) == 12
