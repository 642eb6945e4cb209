"""Effects over seeds and subjects: of known differences, and where the tables lack something."""

import numpy as np
import pandas as pd
import pytest

from studykit.claims.crossed import crossed_interval
from studykit.claims.reading import Reading, read_estimate
from studykit.metrics.convergence import Curve
from studykit.studies.spine_ablation.effects import (
    MEASURES,
    best_on_validation,
    effect,
    gain,
    gains_at_equal_operations,
    mean_gains_at_equal_operations,
    once_more,
    subject_table,
)

SEEDS = (0, 1, 2)


def scores_of(level, seed):
    """Two subjects with two classes; the second subject scores worse by 0.1."""
    rng = np.random.default_rng(seed)
    rows = []
    for subject, less in (("ann", 0.0), ("bob", 0.1)):
        for name in ("odd", "even"):
            values = dict.fromkeys(MEASURES, level - less + 0.01 * rng.normal())
            rows.append({"subject": subject, "class": name, **values})
    return pd.DataFrame(rows)


@pytest.fixture
def table():
    levels = {"plain": 0.7, "fusion": 0.72, "attention": 0.75, "both": 0.77}
    scores = {("held out", arm): [scores_of(level, seed) for seed in SEEDS] for arm, level in levels.items()}
    return subject_table(scores, SEEDS)


def test_a_row_is_the_mean_over_a_subjects_classes(table):
    assert len(table) == 4 * 3 * 2 and list(table)[:4] == ["test", "arm", "seed", "subject"]
    own = table.query("arm == 'plain' and seed == 1").set_index("subject")["Dice"]
    assert own["ann"] == pytest.approx(scores_of(0.7, 1).query("subject == 'ann'")["dice"].mean())


def test_a_class_that_a_subject_has_not_is_counted_and_not_averaged():
    table = scores_of(0.7, 0)
    false = {"subject": "bob", "class": "sacrum", **dict.fromkeys(MEASURES, 0.0), "accuracy": np.nan}
    absent = {"subject": "ann", "class": "sacrum", **dict.fromkeys(MEASURES, np.nan)}
    more = pd.concat([table, pd.DataFrame([false, absent])], ignore_index=True)
    both = [subject_table({("held out", "plain"): [t]}, [0]) for t in (table, more)]
    assert both[0].drop(columns="false classes").equals(both[1].drop(columns="false classes"))
    assert both[1].set_index("subject")["false classes"].to_dict() == {"ann": 0, "bob": 1}


def test_the_effect_of_a_factor_is_over_both_levels_of_the_other(table):
    found = effect(table, "Dice", ["attention", "both"], ["plain", "fusion"], test="held out")
    assert found.value == pytest.approx(0.05) and found.n == 3
    mean = effect(table, "Dice", ["plain"], test="held out")
    crossed = crossed_interval(
        table.query("arm == 'plain'").pivot(index="seed", columns="subject", values="Dice")
    )
    assert (mean.value, mean.low, mean.high) == pytest.approx((crossed.value, crossed.low, crossed.high))


def test_a_verdict_reads_the_same_effect_from_the_table(table, tmp_path):
    table.to_csv(tmp_path / "by_subject.csv", index=False)
    rows = {
        side: [{"arm": arm} for arm in arms]
        for side, arms in (("where", ["both", "fusion"]), ("over", ["plain", "attention"]))
    }
    reading = Reading(
        "estimate",
        "by_subject.csv",
        "Dice",
        "repetitions",
        tuple(rows["where"]),
        tuple(rows["over"]),
        by="seed",
        across="subject",
    )
    read = read_estimate(reading, tmp_path, "mechanism")
    own = effect(table, "Dice", ["fusion", "both"], ["plain", "attention"], test="held out", kind="mechanism")
    assert (read.value, read.low, read.high, read.n) == pytest.approx((own.value, own.low, own.high, own.n))


def test_one_seed_or_one_subject_has_an_interval_over_seeds_alone(table):
    one = table[table["subject"] == "ann"]
    assert np.isfinite(effect(one, "Dice", ["both"], ["plain"], test="held out").low)
    single = table[table["seed"] == 0]
    assert not np.isfinite(effect(single, "Dice", ["both"], ["plain"], test="held out").low)


def test_an_arm_without_rows_is_named(table):
    with pytest.raises(ValueError, match="no rows of U-Net in test 'held out'"):
        effect(table, "Dice", ["U-Net"], ["plain"], test="held out")


def test_the_best_on_validation_goes_by_another_name_too(table):
    steps = np.array([1.0, 2.0])
    curves = {
        "plain": [Curve(steps, [0.5, 0.3])] * 2,
        "both": [Curve(steps, [0.2, 0.4]), Curve(steps, [0.3, 0.6])],
    }
    assert best_on_validation(curves) == "both"
    more = once_more(table, "both", "best baseline")
    assert len(more) == len(table) + 6
    assert effect(more, "Dice", ["both"], ["best baseline"], test="held out").value == 0


def test_the_dearer_arm_is_read_where_it_has_spent_as_much():
    cheap, dear = Curve([1.0, 2.0, 3.0], [0.9, 0.6, 0.5]), Curve([2.0, 4.0, 6.0], [0.7, 0.2, 0.1])
    assert gains_at_equal_operations([dear], [cheap]) == [pytest.approx(0.5 - 0.7)]
    assert gains_at_equal_operations([cheap], [dear]) == [pytest.approx(0.7 - 0.5)]


def test_distances_are_turned_so_that_above_0_is_better():
    rows = [
        ("here", arm, seed, name, value + seed / 10)
        for arm, value in (("a", 1.0), ("b", 3.0))
        for seed in SEEDS
        for name in "xy"
    ]
    table = pd.DataFrame(rows, columns=["test", "arm", "seed", "subject", "HD95 (mm)"]).assign(
        Dice=lambda t: t["HD95 (mm)"]
    )
    assert gain(table, "HD95 (mm)", ["a"], ["b"], test="here").value == pytest.approx(2)
    assert gain(table, "Dice", ["a"], ["b"], test="here").value == pytest.approx(-2)


def test_gains_of_pairs_are_averaged_by_seed():
    def ending(*errors):
        return [Curve([0, 10], [1.0, error]) for error in errors]

    spent = {"a": ending(0.5, 0.5), "b": ending(0.7, 0.9), "c": ending(0.1, 0.1), "d": ending(0.1, 0.3)}
    found = mean_gains_at_equal_operations(spent, ["a", "c"], ["b", "d"])
    assert found == pytest.approx([(0.2 + 0.0) / 2, (0.4 + 0.2) / 2])
