"""Estimates and intervals: held against scipy, covering what they say, honest about censored runs."""

import json
import math
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats as oracle

from studykit.claims.estimate import Estimate
from studykit.claims.stats import (
    mean_interval,
    paired_log_ratio,
    rank_correlation_interval,
)


def test_small_samples_get_students_t():
    values = [1.0, 2.0, 4.0, 8.0, 9.0]
    found = mean_interval(values, 0.9)
    low, high = oracle.t.interval(0.9, 4, np.mean(values), oracle.sem(values))
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.n == 5 and "Student t" in found.method


@pytest.mark.parametrize("n", [10, 30])
def test_samples_up_to_thirty_get_students_t(n):
    values = np.random.default_rng(n).exponential(size=n)
    found = mean_interval(values)
    low, high = oracle.t.interval(0.95, n - 1, np.mean(values), oracle.sem(values))
    assert (found.low, found.high) == pytest.approx((low, high))


def test_larger_samples_get_bca():
    values = np.random.default_rng(1).exponential(size=40)
    found = mean_interval(values)
    result = oracle.bootstrap((values,), np.mean, method="BCa", rng=np.random.default_rng(2))
    width = found.high - found.low
    assert found.low == pytest.approx(result.confidence_interval.low, abs=0.1 * width)
    assert found.high == pytest.approx(result.confidence_interval.high, abs=0.1 * width)
    assert found.high - found.value > found.value - found.low
    assert found == mean_interval(values)
    assert found != mean_interval(values, seed=1)


def test_the_t_interval_covers_as_it_says():
    """Over 1000 samples of five normal values, 95 % of the intervals hold the mean, ±3 standard errors."""
    samples = np.random.default_rng(0).normal(3.0, 2.0, (1000, 5))
    covered = sum((e := mean_interval(sample)).low <= 3.0 <= e.high for sample in samples)
    assert 930 <= covered <= 970


def test_one_value_bounds_nothing():
    found = mean_interval([2.0])
    assert (found.value, found.low, found.high, found.n) == (2.0, -math.inf, math.inf, 1)
    ratio = paired_log_ratio([200.0], [100.0])
    assert (ratio.value, ratio.low, ratio.high) == (pytest.approx(2.0), 0.0, math.inf)


def test_equal_values_have_no_width():
    for n in (3, 12):
        found = mean_interval([0.25] * n)
        assert (found.low, found.high) == (0.25, 0.25)


def test_log_ratio_is_the_t_interval_of_logs():
    baseline, treatment = np.array([100.0, 120, 90, 110, 130]), np.array([50.0, 40, 45, 60, 50])
    found = paired_log_ratio(baseline, treatment)
    logs = np.log(baseline / treatment)
    low, high = oracle.t.interval(0.95, 4, logs.mean(), oracle.sem(logs))
    assert found.value == pytest.approx(oracle.gmean(baseline / treatment))
    assert (found.low, found.high) == pytest.approx((math.exp(low), math.exp(high)))
    inverse = paired_log_ratio(treatment, baseline)
    assert (inverse.low, inverse.high) == pytest.approx((1 / found.high, 1 / found.low))
    scaled = paired_log_ratio(7 * baseline, 7 * treatment)
    assert scaled.value == pytest.approx(found.value)


@pytest.mark.parametrize("n", [5, 12])
def test_log_ratio_finds_a_known_speedup(n):
    rng = np.random.default_rng(4)
    treatment = rng.uniform(50, 150, n)
    found = paired_log_ratio(3 * treatment * np.exp(rng.normal(0, 0.1, n)), treatment)
    assert found.low < 3 < found.high and found.high / found.low < 1.5


def test_a_censored_run_pulls_the_centre_its_way_and_widens():
    baseline, treatment = [100.0, 120, 90, 110, 130], [50.0, 40, 45, 60, 50]
    whole = paired_log_ratio(baseline, treatment)
    one = [False, True, False, False, False]
    slow = paired_log_ratio(baseline, treatment, treatment_censored=one)
    assert slow.value < whole.value and 0 < slow.low < whole.low and slow.censored == 1
    late = paired_log_ratio(baseline, treatment, baseline_censored=one)
    assert late.value > whole.value and math.inf > late.high > whole.high and late.censored == 1
    apart = paired_log_ratio(baseline, treatment, one, [True, False, False, False, False])
    assert apart.censored == 2 and "Tobit" in apart.method


def test_runs_that_never_arrive_leave_a_bound():
    never = paired_log_ratio([90.0, 95, 100, 85, 99], [100.0] * 5, treatment_censored=[True] * 5)
    assert (never.low, never.high, never.bound) == (0.0, pytest.approx(1.0), "at most")
    assert never.confidence == pytest.approx(1 - 2 / 2**5) and "sign test" in never.method
    late = paired_log_ratio([100.0] * 5, [90.0, 95, 100, 85, 99], baseline_censored=[True] * 5)
    assert (late.low, late.high, late.bound) == (pytest.approx(1.0), math.inf, "at least")
    unknown = paired_log_ratio([100.0] * 5, [100.0] * 5, [True] * 5, [True] * 5)
    assert (unknown.low, unknown.high, unknown.bound) == (0.0, math.inf, "")
    assert paired_log_ratio([1.0, 2.0, 4.0], [1.0, 1.0, 1.0]).bound == ""


def test_bad_pairs_are_refused():
    with pytest.raises(ValueError, match="paired, got 2 and 3"):
        paired_log_ratio([1, 2], [1, 2, 3])
    with pytest.raises(ValueError, match="above 0"):
        paired_log_ratio([1, 2], [0, 2])
    with pytest.raises(ValueError, match=r"treatment\[1\] is nan"):
        paired_log_ratio([1, 2], [1, math.nan])
    with pytest.raises(ValueError, match="one flag a pair"):
        paired_log_ratio([1, 2], [1, 2], [True])
    with pytest.raises(ValueError, match="not empty"):
        mean_interval([])


def test_rank_correlation_agrees_with_scipy_and_covers():
    rng = np.random.default_rng(8)
    x = rng.integers(0, 6, 25).astype(float)
    y = x + rng.normal(0, 2, 25)
    found = rank_correlation_interval(x, y)
    assert found.value == pytest.approx(oracle.spearmanr(x, y).statistic)
    assert -1 <= found.low < found.value < found.high <= 1
    true = 6 / math.pi * math.asin(0.5 / 2)
    covered = 0
    for _ in range(300):
        a, b = rng.multivariate_normal([0, 0], [[1, 0.5], [0.5, 1]], 15).T
        e = rank_correlation_interval(a, b)
        covered += e.low <= true <= e.high
    assert covered >= 273


def test_a_perfect_rank_correlation_is_not_certain():
    rising = rank_correlation_interval([1, 2, 3, 4, 5], [1, 4, 9, 16, 25])
    falling = rank_correlation_interval([1, 2, 3, 4, 5], [5, 4, 3, 2, 1])
    assert rising.value == 1.0 and rising.high == 1.0 and 0 < rising.low < 0.9
    assert (falling.low, falling.high) == (-1.0, pytest.approx(-rising.low))
    few = rank_correlation_interval([1, 2, 3], [1, 2, 3])
    assert (few.low, few.high) == (-1.0, 1.0)
    with pytest.raises(ValueError, match="variation"):
        rank_correlation_interval([1, 1, 1, 1], [1, 2, 3, 4])


def test_estimates_survive_json():
    found = paired_log_ratio([2.0, 3], [1.0, 1], [True, False], [False, True])
    text = json.dumps(found.to_dict(), allow_nan=False)
    assert '"low": 0.0' in text and '"high": "inf"' in text
    assert Estimate.from_dict(json.loads(text)) == found
    assert '"low": "-inf"' in json.dumps(mean_interval([1.0]).to_dict(), allow_nan=False)
    with pytest.raises(ValueError, match="unknown key of an estimate mean; known: value"):
        Estimate.from_dict({**found.to_dict(), "mean": 1.0})


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"kind": "anecdote"}, "known kinds: exact, paper-scale, reduced-scale, mechanism"),
        ({"value": math.nan}, "finite value"),
        ({"low": math.nan}, "low <= high"),
        ({"low": 3.0}, "low <= high"),
        ({"n": 0}, "n >= 1"),
        ({"censored": 6}, "0 <= censored <= n"),
        ({"confidence": 95}, "confidence"),
    ],
)
def test_an_impossible_estimate_is_refused(changed, said):
    good = {"value": 1.5, "low": 1.0, "high": 2.0, "n": 5, "kind": "reduced-scale"}
    Estimate(**good)
    with pytest.raises(ValueError, match=said):
        Estimate(**{**good, **changed})


def test_claims_import_without_the_heavy_libraries():
    code = (
        "import sys, studykit.claims.paper, studykit.claims.verdict, studykit.claims.stats;"
        "print([m for m in ('torch', 'numpy', 'scipy', 'pandas', 'matplotlib', 'monai') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
