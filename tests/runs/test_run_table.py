"""The table of runs: what the runs say is what it says, in the same bytes, and speed-ups follow from it."""

import gzip
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from studykit.atomic import write_json
from studykit.runs.effort import curve_of
from studykit.runs.run_table import FILE, curves_by_seed, read_run_table, rows_of, write_run_table


def run(folder: Path, rate: float, state="done", budget=400) -> SimpleNamespace:
    """A run whose error falls at a rate, validated every 50 steps; one that diverged stops half way."""
    steps = np.arange(0, (budget if state == "done" else budget // 2) + 1, 50)
    metrics = pd.DataFrame(
        {
            "step": steps,
            "seconds": 0.1 * steps,
            "loss": 1.0,
            "val/error": np.exp(-rate * steps),
            "val/structure": 2 * np.exp(-rate * steps),
        }
    )
    metrics.loc[0, "loss"] = np.nan
    config = {"training": {"lr": 0.0045, "steps": budget}}
    return SimpleNamespace(key=f"k{rate:g}", folder=folder, config=config, metrics=metrics, state=state)


@pytest.fixture
def table(tmp_path):
    runs = {
        ("slow", 0): 0.01,
        ("slow", 1): 0.011,
        ("fast", 0): 0.03,
        ("fast", 1): 0.033,
        ("fast", "tuning"): 0.02,
    }
    rows = [row for (arm, seed), rate in runs.items() for row in rows_of(run(tmp_path, rate), arm, seed, 1e6)]
    return write_run_table(tmp_path, rows), rows


def test_curves_come_back_as_the_runs_have_them(table, tmp_path):
    rows = read_run_table(tmp_path)
    for clock in ("steps", "flops", "seconds"):
        for of in ({"error": 1.0}, {"error": 0.3, "structure": 0.5}):
            found = curves_by_seed(rows, "slow", clock, of)
            assert list(found) == ["0", "1"]
            for seed, rate in (("0", 0.01), ("1", 0.011)):
                own = curve_of(run(tmp_path, rate), clock, 1e6, of)
                assert found[seed].x == pytest.approx(own.x)
                assert found[seed].error == pytest.approx(own.error, rel=1e-6)


def test_a_run_that_diverged_keeps_its_last_error_to_the_end(tmp_path):
    broken = run(tmp_path, 0.01, state="diverged")
    write_run_table(tmp_path, rows_of(broken, "slow", 0, 1e6))
    for clock in ("steps", "flops", "seconds"):
        found = curves_by_seed(read_run_table(tmp_path), "slow", clock, {"error": 1.0})["0"]
        own = curve_of(broken, clock, 1e6)
        assert found.x == pytest.approx(own.x) and found.error == pytest.approx(own.error, rel=1e-6)


def test_tuning_stands_in_the_table_and_not_among_the_curves(table, tmp_path):
    rows = read_run_table(tmp_path)
    assert {row["repetition"] for row in rows if row["arm"] == "fast"} == {"0", "1", "tuning"}
    assert list(curves_by_seed(rows, "fast", "steps", {"error": 1.0})) == ["0", "1"]
    assert {row["value"] for row in rows if row["measure"] == "lr"} == {"0.0045"}


def test_scores_of_subjects_are_kept(tmp_path):
    scores = [{"subject": "ada", "class": "cortex", "dice": 0.5, "hd95": 3.0}]
    write_json(tmp_path / "scores-held-out.json", {"of": [], "rows": scores})
    write_run_table(tmp_path, rows_of(run(tmp_path, 0.01), "slow", 0, 1e6))
    rows = [row for row in read_run_table(tmp_path) if row["test"]]
    assert [(r["test"], r["subject"], r["class"], r["measure"], r["value"]) for r in rows] == [
        ("held out", "ada", "cortex", "dice", "0.5"),
        ("held out", "ada", "cortex", "hd95", "3"),
    ]
    assert curves_by_seed(read_run_table(tmp_path), "slow", "steps", {"error": 1.0})["0"].error.size == 9


def test_the_same_runs_give_the_same_small_bytes(table, tmp_path):
    path, rows = table
    first = path.read_bytes()
    write_run_table(tmp_path, rows)
    assert path.read_bytes() == first and len(first) < 4000


def test_what_is_no_such_table_is_refused(tmp_path):
    assert read_run_table(tmp_path) == ()
    (tmp_path / FILE).write_bytes(b"plain")
    with pytest.raises(ValueError, match="cannot be read"):
        read_run_table(tmp_path)
    (tmp_path / FILE).write_bytes(gzip.compress(b"a,b\n1,2\n"))
    with pytest.raises(ValueError, match="has the columns"):
        read_run_table(tmp_path)
    with pytest.raises(ValueError, match="known: steps, flops, seconds"):
        curves_by_seed([], "slow", "epochs", {"error": 1.0})
