"""What a study takes on a card: every run that its notebook asks for, counted without volumes."""

import json

import pandas as pd
import pytest

from studykit.arms.profiles import pretraining_profile
from studykit.bundle.card_plan import ASSUMED, Rate, card_plan, rate_of_card
from studykit.bundle.notebook_arms import _names, _without_volumes, runs_named

STUDY = "bertswin-convergence"


@pytest.fixture(autouse=True)
def no_volumes(tmp_path, monkeypatch):
    monkeypatch.setenv("STUDYKIT_RESULTS", str(tmp_path / "results"))


def test_every_run_of_the_convergence_study_is_named_and_nothing_is_made(tmp_path):
    sizes = pretraining_profile("smoke")
    asked, trouble = runs_named(STUDY, "smoke")
    assert trouble == ""
    tuning = [run for _, _, run in asked.values() if run.config["training"]["steps"] == sizes.tuning_steps]
    assert len(tuning) == 2 * len(sizes.learning_rates)
    assert len(asked) == len(tuning) + 2 * sizes.repetitions
    assert {arm for _, arm, _ in asked.values()} == {"MAE-ViT", "BertsWin"}
    assert not list(tmp_path.rglob("config.json"))


def test_minutes_are_operations_over_the_rate_and_its_share():
    table, _ = card_plan(STUDY, "smoke", Rate(1e12, "a toy"), share=0.5)
    assert table["runs"].sum() == 8 and (table["GFLOP a step"] > 0).all()
    steps = table["steps"] * table["GFLOP a step"] / 1e6
    assert table["PFLOP"].tolist() == pytest.approx(steps.tolist())
    floor = table["PFLOP"] * 1e15 / 1e12 / 60
    assert table["floor (min)"].tolist() == pytest.approx(floor.tolist())
    assert table["expected (min)"].tolist() == pytest.approx((2 * floor).tolist())


def test_the_rate_is_the_one_that_was_measured(tmp_path):
    assert rate_of_card(tmp_path).value == ASSUMED
    folder = tmp_path / "benchmarks"
    folder.mkdir()
    rows = {"precision": ["bf16", "bf16", "fp32"], "TFLOP/s": [500.0, 700.0, 900.0]}
    pd.DataFrame(rows).to_csv(folder / "matmul-cuda.csv", index=False)
    facts = {"provenance": {"hardware": {"gpus": [{"name": "Toy GPU"}]}}}
    (folder / "matmul-cuda.json").write_text(json.dumps(facts))
    assert rate_of_card(tmp_path) == Rate(7e14, "measured on Toy GPU")


def test_names_that_a_cell_reads_and_makes():
    import ast

    used, made = _names(ast.parse("from a import b as c\nx = y + c\ndef f(): return z"))
    assert {"y", "c", "z"} <= used and {"c", "x", "f"} <= made


def test_readers_of_volumes_are_refused_by_any_name_and_as_they_were_afterwards():
    from studykit.data import traits

    real = traits.open_traits
    namespace = {"people": real, "open_traits": real, "other": len}
    with _without_volumes(namespace):
        for reader in (namespace["people"], namespace["open_traits"], traits.open_traits):
            with pytest.raises(LookupError, match="not read here"):
                reader("cohort:people/site-a:60")
    assert traits.open_traits is real and namespace["other"] is len
