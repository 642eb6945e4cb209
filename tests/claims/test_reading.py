"""Estimates read from tables: intervals, combinations that are never too narrow, repetitions, bounds."""

import csv
import math

import numpy as np
import pytest
from scipy import stats as oracle

from studykit.claims.reading import Reading, read_estimate


@pytest.fixture
def table(tmp_path):
    folder = tmp_path / "speed" / "laptop"

    def write(rows, name="t.csv", study="speed"):
        place = tmp_path / study / "laptop"
        place.mkdir(parents=True, exist_ok=True)
        with (place / name).open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
        return folder

    return write


def reading(**changed):
    return Reading(**{"of": "estimate", "table": "t.csv", "value": "v", "where": ({"arm": "a"},)} | changed)


def read(folder, **changed):
    return read_estimate(reading(**changed), folder, "reduced-scale")


def summary(logs):
    """A row as a study writes it: geometric mean of ratios with its t interval."""
    low, high = oracle.t.interval(0.95, len(logs) - 1, np.mean(logs), oracle.sem(logs))
    return {"v": math.exp(np.mean(logs)), "low": math.exp(low), "high": math.exp(high), "n": len(logs)}


def test_one_row_is_its_interval(table):
    folder = table(
        [
            {"arm": "a", "v": 1.5, "low": 1.2, "high": 1.9, "n": 5},
            {"arm": "b", "v": 9, "low": 8, "high": 10, "n": 4},
        ]
    )
    found = read(folder, scale="ratio")
    assert (found.value, found.low, found.high, found.n, found.unit) == (1.5, 1.2, 1.9, 5, "×")


@pytest.mark.parametrize("correlation", [-0.9, 0.0, 0.9])
def test_combined_rows_are_exact_in_the_middle_and_never_too_narrow(table, correlation):
    rng = np.random.default_rng(0)
    for _ in range(50):
        x = rng.multivariate_normal([0.3, 0.5], [[1, correlation], [correlation, 1]], 5)
        folder = table([{"arm": arm} | summary(x[:, i]) for i, arm in enumerate("ab")])
        both = read(folder, where=({"arm": "a"}, {"arm": "b"}), scale="ratio")
        seeds = summary(x.mean(axis=1))
        assert both.value == pytest.approx(seeds["v"])
        assert both.low <= seeds["low"] * 1.0001 and both.high >= seeds["high"] * 0.9999
        held = read(folder, where=({"arm": "a"},), over=({"arm": "b"},), scale="ratio")
        seeds = summary(x[:, 0] - x[:, 1])
        assert held.value == pytest.approx(seeds["v"])
        assert held.low <= seeds["low"] * 1.0001 and held.high >= seeds["high"] * 0.9999


def test_an_open_end_stays_open_on_the_right_side(table):
    folder = table(
        [
            {"arm": "a", "v": 2.0, "low": 1.5, "high": 3.0, "n": 5},
            {"arm": "b", "v": 0.9, "low": 0.0, "high": 1.0, "n": 5},
        ]
    )
    found = read(folder, over=({"arm": "b"},), scale="ratio")
    assert (found.low, found.high) == (1.5, math.inf)


def seeds_table(table, a, b):
    rows = [
        {"arm": arm, "seed": i, "v": v} for arm, values in (("a", a), ("b", b)) for i, v in enumerate(values)
    ]
    return table(rows)


def test_repetitions_are_paired(table):
    a, b = np.array([1.0, 2, 3, 4, 6]), np.array([0.5, 1.7, 2.1, 3.9, 4.2])
    folder = seeds_table(table, a, b)
    found = read(folder, how="repetitions", by="seed", over=({"arm": "b"},))
    low, high = oracle.t.interval(0.95, 4, (a - b).mean(), oracle.sem(a - b))
    assert (found.value, found.low, found.high) == pytest.approx(((a - b).mean(), low, high))
    ratio = read(folder, how="repetitions", by="seed", over=({"arm": "b"},), scale="ratio")
    assert ratio.value == pytest.approx(oracle.gmean(a / b))
    shifted = read(folder, how="repetitions", by="seed", over=({"arm": "b"},), scale="ratio", plus=3.0)
    assert shifted.value == pytest.approx(oracle.gmean((a + 3) / (b + 3)))


def test_a_missing_repetition_leaves_nothing(table):
    folder = seeds_table(table, [1.0, 2.0, 3.0], [1.0, 2.0])
    assert read(folder, how="repetitions", by="seed", over=({"arm": "b"},)) is None


def test_subjects_are_crossed_with_seeds(table):
    gain = {"a": lambda s, j: 1 + 0.1 * s * j, "b": lambda s, j: 0}
    rows = [
        {"arm": arm, "seed": s, "subject": j, "class": c, "v": s + 10 * j + c + gain[arm](s, j)}
        for arm in "ab" for s in range(3) for j in range(4) for c in range(2)
    ]  # fmt: skip
    found = read(table(rows), how="repetitions", by="seed", across="subject", over=({"arm": "b"},))
    assert found.value == pytest.approx(1 + 0.1 * 1.5) and "3 seeds × 4 subjects" in found.method


def test_exact_cells_and_their_products(table):
    folder = table([{"arm": "a", "v": "1,200", "w": 3}, {"arm": "b", "v": 400, "w": 2}])
    found = read(folder, how="exact", over=({"arm": "b"},), scale="ratio")
    assert (found.value, found.low, found.kind) == (3.0, 3.0, "exact")
    together = read(folder, how="exact", where=({"arm": "a"}, {"arm": "b"}), scale="ratio", together=True)
    assert together.value == pytest.approx(480_000)
    assert read(folder, how="exact", value="w", where=({"arm": "a"},), against="w").value == 0.0


def test_a_mean_alone_is_open(table):
    folder = table([{"arm": "a", "v": 0.6, "w": 0.8}])
    found = read(folder, how="mean", against="w", n="5")
    assert found.open and found.n == 5 and found.value == pytest.approx(-0.2)


def test_a_bound_needs_every_repetition_to_be_censored(table):
    folder = table([{"arm": "a", "v": 0.97, "low": 0.0, "high": 1.01, "n": 5, "late": 5}])
    found = read(folder, bound=1.0, censored="late", scale="ratio")
    assert (found.bound, found.high, found.confidence) == ("at most", 1.0, 1 - 2 / 2**5)
    folder = table([{"arm": "a", "v": 0.97, "low": 0.0, "high": 1.01, "n": 5, "late": 3}])
    with pytest.raises(ValueError, match="needs all of 5 censored, got 3"):
        read(folder, bound=1.0, censored="late", scale="ratio")


def test_a_table_of_another_study_and_one_that_is_not_there(table):
    table([{"arm": "a", "v": 1.0, "low": 0.5, "high": 2.0, "n": 5}], study="other")
    folder = table([{"arm": "z", "v": 1.0, "low": 0.5, "high": 2.0, "n": 5}], name="own.csv")
    assert read(folder, study="other").value == 1.0
    assert read(folder) is None and read(folder, table="own.csv") is None


def test_a_number_that_was_counted_elsewhere_says_where(tmp_path):
    found = read_estimate(Reading("estimate", counted=0.0, place="NOTES.md"), tmp_path, "exact")
    assert (found.value, found.kind) == (0.0, "exact")
    with pytest.raises(ValueError, match="place"):
        Reading("estimate", counted=0.0)


def test_what_is_rewritten_is_read_anew(table):
    import os

    folder = table([{"arm": "a", "v": 1.0, "low": 0.5, "high": 2.0, "n": 5}])
    assert read(folder).value == 1.0
    table([{"arm": "a", "v": 3.0, "low": 2.5, "high": 4.0, "n": 5}])
    os.utime(folder / "t.csv", ns=(1, 1))
    assert read(folder).value == 3.0


def test_a_row_whose_interval_is_empty_leaves_nothing(table):
    folder = table([{"arm": "a", "v": 1.5, "low": "", "high": "", "n": 1}])
    assert read(folder) is None
    assert read(folder, how="mean").value == 1.5


def test_the_largest_is_taken_over_rows_and_columns(table):
    folder = table([{"arm": "a", "v": 1, "w": 4}, {"arm": "a", "v": 2, "w": 3}, {"arm": "b", "v": 9, "w": 9}])
    found = read(folder, how="largest")
    assert (found.value, found.kind) == (2.0, "exact")
    assert read(folder, how="largest", value="v; w").value == 4.0
    assert read(folder, how="largest", where=({},)).value == 9.0
    assert read(folder, how="largest", where=({"arm": "c"},)) is None
    empty = table([{"arm": "a", "v": 1, "w": ""}])
    assert read(empty, how="largest", value="v; w") is None
