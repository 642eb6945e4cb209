"""Rows that describe arms, speed-ups that are known by construction, and a table without a ratio."""

import math

import numpy as np
import pytest
from tiny_study import two_arms

from studykit.claims.estimate import Estimate
from studykit.metrics.convergence import Curve
from studykit.studies.bertswin_ablations.arms import DEEP, SHALLOW, cells_of, described, speedups_by_depth


def test_a_row_counts_forward_and_training(tiny):
    study = tiny()
    arm, _ = two_arms(study)
    row = described(study, arm)
    assert row["GFLOP forward"] == study.flops(arm).total / 1e9 < row["GFLOP training"]
    assert row["arm"] == arm.name and row["parameters"] > 0


def test_a_curve_twice_as_fast_is_twice_as_soon_at_every_depth():
    def falling(end):
        return Curve(np.linspace(0, end, 51), np.linspace(1.0, 0.2, 51))

    found = speedups_by_depth([falling(100), falling(120)], [falling(50), falling(60)], "mechanism")
    assert found[DEEP].value == pytest.approx(2) and found[SHALLOW].value == pytest.approx(2)
    flat = Curve([0, 50], [1.0, 1.0])
    assert set(speedups_by_depth([flat], [falling(50)], "mechanism").values()) == {None}


def test_a_ratio_that_does_not_exist_counts_no_seed():
    e = Estimate(2.0, 1.0, 3.0, 5, "mechanism", censored=1)
    assert cells_of(e, "x") == {"x": 2.0, "low": 1.0, "high": 3.0, "n": 5, "censored": 1}
    none = cells_of(None, "x")
    assert none["n"] == 0 and math.isnan(none["x"]) and none.keys() == cells_of(e, "x").keys()
