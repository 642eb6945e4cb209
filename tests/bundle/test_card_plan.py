"""What a study takes on a card: every run that its notebook asks for, counted without volumes."""

import json

import pandas as pd
import pytest

from studykit import cli
from studykit.arms.profiles import pretraining_profile
from studykit.arms.setups import profile_of, setup_of
from studykit.bundle.call_minutes import ASSUMED, Counted, cohort_seconds, score_seconds, windows
from studykit.bundle.card_plan import ASSUMED_RATE, CardPlan, Rate, card_plan, rate_of_card
from studykit.bundle.notebook_arms import _names, _without_volumes, runs_named

STUDY = "bertswin-convergence"


@pytest.fixture(autouse=True)
def no_volumes(tmp_path, monkeypatch):
    monkeypatch.setenv("STUDYKIT_RESULTS", str(tmp_path / "results"))


def test_every_run_of_the_convergence_study_is_named_and_nothing_is_made(tmp_path):
    sizes = pretraining_profile("smoke")
    asked, trouble = runs_named(STUDY, "smoke")
    assert trouble == ""
    tuning = [one for one in asked.values() if one.repetition == "tuning"]
    assert len(tuning) == 2 * len(sizes.learning_rates)
    assert {one.run.config["training"]["steps"] for one in tuning} == {sizes.tuning_steps}
    assert len(asked) == len(tuning) + 2 * sizes.repetitions
    assert {one.arm for one in asked.values()} == {"MAE-ViT", "BertsWin"}
    assert not list(tmp_path.rglob("config.json"))


@pytest.mark.parametrize(("rate", "limit"), [(1e10, "operations"), (1e17, "kernels")])
def test_a_step_lasts_as_its_operations_or_as_its_kernels(rate, limit):
    found = card_plan(STUDY, "smoke", Rate(rate, "a toy"), share=0.5)
    table = found.arms
    assert table["runs"].sum() == 8 and (table["GFLOP a step"] > 0).all() and found.trouble == ""
    steps = table["steps"] * table["GFLOP a step"] / 1e6
    assert table["PFLOP"].tolist() == pytest.approx(steps.tolist())
    floor = table["PFLOP"] * 1e15 / rate / 60
    assert table["floor (min)"].tolist() == pytest.approx(floor.tolist())
    by_kernels = table["steps"] * table["kernels a step"] * ASSUMED.kernel / 60
    expected = {"operations": 2 * floor, "kernels": by_kernels}[limit]
    assert table["steps (min)"].tolist() == pytest.approx(expected.tolist())
    assert (table["kernels a step"] > 100).all() and (table["scores (min)"] == 0).all()


def test_what_lies_around_the_steps_is_counted():
    sizes = pretraining_profile("smoke")
    found = card_plan(STUDY, "smoke", Rate(1e17, "a toy"))
    least = found.arms["runs"] * ASSUMED.run / 60
    assert (found.arms["around (min)"] > least).all() and (found.arms["around (min)"] < 1.5 * least).all()
    assert list(found.seeds) == ["tuning", *setup_of(STUDY).seeds(sizes.repetitions)]
    whole = found.arms[["steps (min)", "around (min)", "scores (min)"]].to_numpy().sum()
    assert sum(found.seeds.values()) == pytest.approx(whole)
    assert found.once["tests"] == 1.5 and found.once["cohorts"] == 0
    assert found.minutes == pytest.approx(whole + sum(found.once.values()))


@pytest.mark.notebook
def test_ten_seeds_of_whole_heads_of_mr_and_ct_are_planned_for_one_call():
    """By the assumed rate: tests, benchmarks and packing once, the study twice."""
    found = card_plan(STUDY, "gpu", Rate(ASSUMED_RATE, "assumed"))
    assert len(found.seeds) == 1 + 10 and found.trouble == ""
    study = sum(found.seeds.values()) + found.once["notebook"]
    assert found.minutes + study <= 9.5
    assert found.arms["floor (min)"].sum() < found.arms["steps (min)"].sum() < study


def test_seeds_fit_in_order_after_the_tuning():
    found = CardPlan(pd.DataFrame(), {"tests": 1.0}, {"tuning": 1.0, 100: 2.0, 101: 1.0}, "")
    assert [found.fitting(minutes) for minutes in (1, 3.9, 4, 4.9, 5)] == [0, 0, 1, 1, 2]
    assert found.minutes == 5


def test_scores_of_outlines_and_cohorts_grow_with_volumes():
    setup = setup_of("nnformer-data-efficiency")
    sizes = profile_of(setup, "smoke")
    named = {"name": "supervised", "options": {"num_classes": 4}}
    config = {"method": named, "data": {"crop_size": 16}, "training": {"batch_size": 2}}
    own = Counted(10**9, 100, 10**9, 100)
    once = score_seconds(config, own, 1e12, setup, sizes)
    assert once == pytest.approx(
        6 * windows((24, 24, 24), 16) / 2 * 1e-3 + 3 * 6 * 24**3 * ASSUMED.voxel_scored / ASSUMED.cores
    )
    assert score_seconds(config | {"method": {"name": "mae"}}, own, 1e12, setup, sizes) == 0
    made = cohort_seconds([(setup, sizes), (setup, sizes)])
    assert made == pytest.approx(2 * sizes.subjects * 24**3 * ASSUMED.voxel_made / ASSUMED.cores)


def test_windows_cover_a_volume_and_overlap_by_half():
    assert windows((64, 96, 128), 64) == 1 * 2 * 3 and windows((20, 20, 20), 64) == 1


def test_the_verb_says_what_a_call_comes_to(capsys):
    assert cli.main(["gpu-plan", STUDY, "--profile", "smoke", "--minutes", "30"]) == 0
    said = capsys.readouterr().out
    assert "650 TFLOP/s in bf16 products, assumed: no card was measured yet; 35% of it" in said
    assert "one call: tests 1.5, benchmarks 1.0, packing 0.2, notebook 0.7; tuning 0." in said
    assert said.rstrip().endswith("of 30 minutes it fits")
    assert cli.main(["gpu-plan", STUDY, "--profile", "smoke", "--minutes", "3"]) == 0
    assert capsys.readouterr().out.rstrip().endswith("of 3 minutes 0 seeds fit")


def test_the_rate_is_the_one_that_was_measured(tmp_path):
    assert rate_of_card(tmp_path).value == ASSUMED_RATE
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


def test_side_by_side_the_host_falls_together_and_steps_do_not():
    one, four = (card_plan(STUDY, "smoke", Rate(1e17, "a toy"), on_a_card=runs) for runs in (1, 4))
    assert four.arms["steps (min)"].tolist() == one.arms["steps (min)"].tolist()
    assert four.arms["around (min)"].tolist() == pytest.approx((one.arms["around (min)"] / 4).tolist())
    assert four.once == one.once
    with pytest.raises(ValueError, match="on_a_card is a number of runs, at least 1; got 0"):
        card_plan(STUDY, "smoke", Rate(1e17, "a toy"), on_a_card=0)
