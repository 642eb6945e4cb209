"""Rows of the study's tables, of subsets, networks and scores that say what must come out."""

from types import SimpleNamespace

import pandas as pd
import pytest

from studykit.claims.stats import mean_interval
from studykit.studies.nnformer_data_efficiency.tables import (
    by_class,
    by_subject,
    map_rows,
    operations_of,
    score_cells,
    subset_rows,
)


def test_a_subset_names_two_of_its_new_subjects_and_counts_the_rest():
    subsets = {0.1: ["a"], 0.5: ["a", "b"], 1.0: ["a", "b", "c", "d", "e"]}
    rows = subset_rows(subsets, (0.1, 0.5, 1.0))
    assert [row["newly labelled"] for row in rows] == ["a", "b", "c, d and 1 more"]
    assert [row["subjects"] for row in rows] == [1, 2, 5] and rows[0]["labels"] == "10%"


def test_a_window_is_no_wider_than_its_map():
    model = SimpleNamespace(channels=(8, 16), strides=((4, 4, 4), (8, 8, 8)))
    with_attention = list(map_rows(model, 32, heads=(1, 2), window=6))
    assert [row["window"] for row in with_attention] == ["6³", "4³"]
    assert with_attention[1]["cells of a crop"] == "4³" and with_attention[1]["heads"] == "2"
    assert all("heads" not in row for row in map_rows(model, 32))


def table(shift=0.0):
    rows = [("bob", "one", 0.6, 8.0, 0.9), ("ann", "one", 0.2, 3.0, 0.5), ("ann", "two", 0.4, 5.0, 0.7)]
    frame = pd.DataFrame(rows, columns=["subject", "class", "dice", "hd95", "surface_dice"])
    return frame.assign(dice=frame["dice"] + shift)


def test_scores_are_means_over_classes_then_subjects_and_seeds():
    cells, e = score_cells([table(), table(0.1)]), mean_interval([0.45, 0.55])
    assert [cells[name] for name in ("Dice", "low", "high")] == pytest.approx([e.value, e.low, e.high])
    assert cells["HD95 (mm)"] == 6.0 and cells["n"] == 2
    assert by_class([table(), table(0.1)]).to_dict() == pytest.approx({"one": 0.45, "two": 0.45})
    assert by_subject([table(), table(0.1)]).ravel().tolist() == pytest.approx([0.3, 0.6, 0.4, 0.7])


def test_pre_training_counts_for_who_starts_from_it():
    arm = SimpleNamespace
    study = SimpleNamespace(
        profile=SimpleNamespace(steps=10, pretraining_steps=5),
        arms={
            "scratch": arm(starts_from=None, training={}),
            "after": arm(starts_from="before", training={"steps": 20}),
        },
        operations_a_step=lambda name: {"scratch": 2e12, "before": 1e12, "after": 2e12}[name],
        untrained=lambda name: SimpleNamespace(parameters=list),
    )
    row = operations_of(study, "after", over="scratch")
    assert (row["pre-training"], row["with labels"], row["steps"]) == (5, 40, 20)
    assert (
        row["over scratch"] == 45 / 20
        and operations_of(study, "scratch", over="scratch")["over scratch"] == 1
    )
