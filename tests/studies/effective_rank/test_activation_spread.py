"""Activation spread of features that are spread, dead or peaked by construction."""

import math

import numpy as np
import pytest

from studykit.studies.effective_rank.activation_spread import activation_spread


def test_known_distributions():
    rng = np.random.default_rng(0)
    normal = activation_spread(rng.normal(2, 3, size=(4000, 50)))
    assert normal.deviation == pytest.approx(3, rel=0.02) and normal.kurtosis == pytest.approx(0, abs=0.1)
    assert activation_spread(rng.uniform(size=(4000, 50))).kurtosis == pytest.approx(-1.2, abs=0.02)
    assert activation_spread(rng.laplace(size=(4000, 50))).kurtosis == pytest.approx(3, abs=0.3)


def test_scale_moves_the_deviation_only():
    features = np.random.default_rng(0).normal(size=(50, 10)) ** 3
    one, small = activation_spread(features), activation_spread(0.01 * features)
    assert small.deviation == pytest.approx(0.01 * one.deviation)
    assert small.kurtosis == pytest.approx(one.kurtosis) and small.dead_share == one.dead_share == 0


def test_features_that_say_the_same_of_every_sample_are_dead():
    features = np.random.default_rng(0).normal(size=(200, 10))
    features[:, :3] = [0.0, 1.0, -5.0]
    assert activation_spread(features).dead_share == pytest.approx(0.3)


def test_constant_features_are_all_dead():
    spread = activation_spread(np.full((6, 4), 0.1))
    assert spread.deviation == 0 and spread.dead_share == 1 and math.isnan(spread.kurtosis)
    assert activation_spread(np.zeros((6, 4))).dead_share == 1
