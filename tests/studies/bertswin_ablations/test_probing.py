"""Probe scores over seeds, of tables that say what must come out; and the rows of a probe."""

from types import SimpleNamespace

import pandas as pd
import pytest

from studykit.claims.stats import mean_interval
from studykit.probes.segmentation import MODES, SCORED
from studykit.probes.tissues import TISSUES
from studykit.studies.bertswin_ablations import probing


@pytest.fixture
def scores():
    values = {("A", MODES[0]): [0.5, 0.7], ("A", MODES[1]): [0.6, 0.6], ("B", MODES[0]): [0.4, 0.5]}
    values["B", MODES[1]] = [0.1, 0.3]
    rows = [(*key, seed, value) for key, own in values.items() for seed, value in enumerate(own)]
    frame = pd.DataFrame(rows, columns=["encoder", "mode", "seed", "Dice"])
    return frame.set_index(["encoder", "mode", "seed"])["Dice"]


def test_values_by_mode_are_one_a_seed(scores):
    found = probing.by_mode(scores)
    assert list(found) == ["A", "B"] and found["B"] == {MODES[0]: [0.4, 0.5], MODES[1]: [0.1, 0.3]}


def test_means_bear_the_scores_name_and_their_interval(scores):
    table = probing.over_seeds(scores)
    e = mean_interval([0.5, 0.7])
    assert list(table.columns) == ["Dice", "low", "high"]
    assert table.loc[("A", MODES[0])].tolist() == pytest.approx([e.value, e.low, e.high])


def test_a_difference_is_paired_by_seed(scores):
    e = probing.paired_difference(scores, "A", "B", MODES[0], "mechanism")
    assert e.value == pytest.approx(0.15) and e.n == 2 and e.kind == "mechanism"
    with pytest.raises(KeyError):
        probing.paired_difference(scores, "A", "C", MODES[0], "mechanism")


def test_a_row_has_the_columns_of_the_table(monkeypatch):
    dice = {c: 0.1 * c for c in SCORED}
    score = SimpleNamespace(mean_dice=0.4, mean_hd95=3.0, mean_surface_dice=0.8, dice=dice)
    monkeypatch.setattr(probing, "segment_both_ways", lambda *given, **named: {"ann": score, "bob": score})
    rows = list(probing.probe_rows((), None, None, MODES[0], 0))
    assert [row["tested on"] for row in rows] == ["ann", "bob"]
    assert all(tuple(row) == probing.PROBE_COLUMNS for row in rows)
    assert rows[0][TISSUES[SCORED[0]]] == dice[SCORED[0]] and rows[0]["HD95"] == 3.0
