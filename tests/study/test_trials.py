"""The trials of a study: fair between arms, tuned alike, resumed bit for bit, told when they diverge."""

import json
import logging
import os
import signal
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_study import BERTSWIN, MAE, STUDY, two_arms, write_head, write_heads

from studykit.data.crops.random_crops import RandomCrops
from studykit.methods.masked_reconstruction import MaskedReconstruction
from studykit.metrics.convergence import speedup_profile, steps_to_target
from studykit.runs import effort, training_run
from studykit.study import trials

CLOCKS = ("seconds", "samples_per_second", "peak_memory_bytes")
CLAIM = "bertswin/convergence-speedup"
HUGE = {"lr": 1e30}


def numbers(run):
    """A run's metrics without those that a clock or the machine decides."""
    return run.metrics.drop(columns=list(CLOCKS))


def fail(*_, **__):
    raise AssertionError("there was nothing to do")


@pytest.fixture
def seen(monkeypatch):
    """Volumes and masks that training shows to a method, in order."""
    shown = []
    forward = MaskedReconstruction.forward

    def record(self, volume, mask):
        if volume.device.type != "meta":  # where operations are counted
            shown.append((volume.clone(), mask.clone()))
        return forward(self, volume, mask)

    monkeypatch.setattr(MaskedReconstruction, "forward", record)
    return shown


# ---- arms


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "dino"}, r"Unknown method 'dino'\. Known: bertswin, .*mae, "),
        ({"method": "mae", "dept": 3}, r"takes no dept\. Known: .*depth"),
        ({"method": "mae", "loss": "l1"}, r"Unknown loss 'l1'\. Known: l2, mvc, phys"),
        ({"method": "mae", "loss_options": {"weight": 2}}, r"Loss 'l2' takes no weight"),
        ({"method": "mae", "training": {"learning_rate": 1}}, r"unknown learning_rate\. Known: steps"),
        ({"method": "mae", "training": {"lr": -1}}, r"lr is -1, it must be above 0"),
    ],
)
def test_a_bad_arm_is_refused_before_a_volume_is_read(tiny, results, arguments, message):
    study = tiny(data="folder:nowhere")
    with pytest.raises(ValueError, match=message):
        study.arm("arm", **arguments)
    assert study.arms == {} and not results.exists()


# ---- fairness


def test_arms_see_the_same_batches_under_the_same_masks_and_seeds_see_others(tiny, seen):
    study = tiny()
    shown = {}
    for arm in two_arms(study):
        for seed in study.seeds:
            seen.clear()
            study.run(arm, seed)
            shown[arm.name, seed] = list(seen)
            assert len(seen) == study.profile.steps

    def alike(one, other):
        return [
            torch.equal(a, c) and torch.equal(b, d)
            for (a, b), (c, d) in zip(shown[one], shown[other], strict=True)
        ]

    for seed in study.seeds:
        assert all(alike(("MAE-ViT", seed), ("BertsWin", seed)))
    assert not any(alike(("MAE-ViT", 0), ("MAE-ViT", 1)))


def test_arms_of_one_method_start_from_weights_of_their_own(tiny):
    study = tiny()
    weights = [study.untrained(study.arm(name, "mae", **MAE)).model.head.weight for name in ("one", "two")]
    assert not torch.equal(*weights)
    assert torch.equal(weights[0], study.untrained("one").model.head.weight)


def test_an_arm_may_start_from_the_weights_of_another(tiny):
    study = tiny()
    study.arm("one", "mae", **MAE)
    study.arm("twin", "mae", **MAE, starts_as="one", training={"lr": 2e-3})
    one, twin = (study.run(name) for name in ("one", "twin"))
    assert one.config["seeds"] == twin.config["seeds"] and one.key != twin.key
    weights = [study.untrained(name).model.head.weight for name in ("one", "twin")]
    assert torch.equal(*weights)
    assert one.metrics["val/error"].iloc[0] == twin.metrics["val/error"].iloc[0]


def test_one_more_arm_moves_no_other_run(tiny):
    alone, together = tiny(), tiny()
    alone.arm("MAE-ViT", "mae", **MAE)
    together.arm("first", "bertswin", **BERTSWIN)
    two_arms(together)
    keys = [study.run("MAE-ViT", 1).key for study in (alone, together)]
    assert keys[0] == keys[1]


def test_tuning_gives_every_arm_the_same_budget_and_keeps_the_best_rate(tiny):
    study = tiny()
    for arm in two_arms(study):
        tuned, table = study.tune(arm)
        assert table["learning rate"].tolist() == [1e-3, 3e-3] and table["state"].tolist() == ["done", "done"]
        assert tuned.training["lr"] == table.loc[table["error"].idxmin(), "learning rate"]
        assert study.arms[arm.name] == tuned


def test_tuning_goes_on_past_the_edge_of_the_candidates(tiny):
    study = tiny()
    study.ground.profile = replace(study.profile, tuning_extensions=2)
    arm, _ = two_arms(study)
    tuned, table = study.tune(arm)
    rates, best = table["learning rate"].tolist(), tuned.training["lr"]
    assert rates[:2] == [1e-3, 3e-3] and len(rates) in (3, 4)
    assert rates[2] in (9e-3, pytest.approx(1e-3 / 3, rel=1e-5))
    assert len(rates) == 4 or min(rates) < best < max(rates)
    assert study.expect([tuned])["steps to do"].item() == 2 * study.profile.steps


# ---- runs


def test_a_finished_run_is_reused_and_a_change_makes_another(tiny, tmp_path, monkeypatch):
    study = tiny()
    arm, _ = two_arms(study)
    run = study.run(arm)
    with monkeypatch.context() as patch:
        patch.setattr(trials, "work", fail)
        again = tiny()
        assert again.run(two_arms(again)[0]).key == run.key
    faster = study.arm("MAE-ViT", "mae", **MAE, training={"lr": 2e-3})
    other_heads = write_heads(tmp_path / "other")
    write_head(other_heads / "ada.nii", seed=77)
    elsewhere = tiny(data=f"folder:{other_heads}")
    runs = [study.run(faster), study.run(faster, 1), elsewhere.run(two_arms(elsewhere)[0])]
    assert len({run.key, *(other.key for other in runs)}) == 4


def test_an_interrupted_study_goes_on_and_ends_bit_equal(tiny, tmp_path, monkeypatch):
    study = tiny()
    whole = study.run(two_arms(study)[0])
    monkeypatch.setenv("STUDYKIT_RESULTS", str(tmp_path / "stopped"))
    draw, draws = RandomCrops.draw, []

    def stop_at_third(self, *arguments):
        draws.append(0)
        if len(draws) == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return draw(self, *arguments)

    study = tiny()
    arm, _ = two_arms(study)
    with monkeypatch.context() as patch:
        patch.setattr(RandomCrops, "draw", stop_at_third)
        with pytest.raises(KeyboardInterrupt, match=r"MAE-ViT, seed 0 was interrupted \(stopped by SIGTERM"):
            study.run(arm)
    resumed = tiny()
    resumed.arm("MAE-ViT", "mae", **MAE)
    (interrupted,) = resumed.trials.store.list()
    assert interrupted.state == "interrupted"
    run = resumed.run("MAE-ViT")
    assert run.key == whole.key and run.status.attempts == 2
    pd.testing.assert_frame_equal(numbers(run), numbers(whole), check_exact=True)
    weights = [study.method_of(r).state_dict() for r in (run, whole)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_a_diverged_arm_is_reported_and_breaks_no_other(tiny, results, caplog):
    study = tiny()
    good, _ = two_arms(study)
    wild = study.arm("wild", "mae", **MAE, training=HUGE)
    with caplog.at_level(logging.WARNING):
        runs = study.run_all(["wild", good])
    assert [run.state for run in runs["wild"]] == ["diverged"] * 2
    assert [run.state for run in runs["MAE-ViT"]] == ["done"] * 2
    assert f"{STUDY}: wild, seed 0 diverged: loss or gradient not finite at step" in caplog.text
    for axis in ("steps", "flops", "seconds"):
        baseline, treatment = (
            study.curves(good, runs["MAE-ViT"], axis),
            study.curves(wild, runs["wild"], axis),
        )
        assert all(curve.x[0] == 0 and np.isfinite(curve.error).all() for curve in treatment)
        points = speedup_profile(baseline, treatment, (1.0,))
        estimate = points[0].estimate
        assert estimate.low == 0 and estimate.censored == 2, "it never arrived, and is not left out"
    steps = study.curves(wild, runs["wild"])
    assert [steps_to_target(curve, -1.0).time for curve in steps] == [4.0, 4.0], (
        "censored at its whole budget"
    )
    study.conclude(CLAIM, None)
    assert study.cost().cpu_hours > 0 or study.cost().gpu_hours > 0


def test_tuning_passes_over_a_rate_that_diverges(tiny, monkeypatch):
    from studykit.arms import profiles

    steep = replace(profiles.PRETRAINING["smoke"], learning_rates=(1e30, 1e-3))
    monkeypatch.setitem(profiles.PRETRAINING, "smoke", steep)
    study = tiny()
    tuned, table = study.tune(two_arms(study)[0])
    assert table["state"].tolist() == ["diverged", "done"] and table["error"].iloc[0] == float("inf")
    assert tuned.training["lr"] == 1e-3
    assert study.expect(["MAE-ViT"])["steps to do"].tolist() == [2 * 4], "a diverged run is not run again"


def test_what_is_expected_falls_to_nothing_once_the_study_is_done(tiny, monkeypatch):
    study = tiny()
    arms = two_arms(study)
    table = study.expect(arms)
    assert table["arm"].tolist() == ["MAE-ViT", "BertsWin"]
    assert table["steps to do"].tolist() == [2 * 2 + 2 * 4] * 2 and (table["minutes"] > 0).all()
    study.tune("MAE-ViT")
    assert study.expect()["steps to do"].tolist() == [2 * 4, 2 * 2 + 2 * 4]
    study.run_all(["MAE-ViT"])
    monkeypatch.setattr(trials, "seconds_a_step", fail)
    reopened = tiny()
    two_arms(reopened)
    assert reopened.expect(["MAE-ViT"])[["steps to do", "minutes"]].to_numpy().tolist() == [[0, 0.0]]


def test_a_timed_step_takes_few_crops_of_a_batch_that_would_not_fit(tiny, monkeypatch):
    study = tiny()
    arm, _ = two_arms(study)
    config = study.trials.config(arm, 0)
    config["training"]["batch_size"] = 10**9
    assert effort.seconds_a_step(config) > 10**9 / effort.TIMED_CROPS * 1e-6


# ---- several processes


def test_two_processes_give_the_errors_of_one(tiny, tmp_path, monkeypatch):
    alone = tiny(seeds=[0])
    one = alone.run(two_arms(alone)[1])
    monkeypatch.setenv("STUDYKIT_RESULTS", str(tmp_path / "two"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    pair = tiny(seeds=[0], nproc=2)
    two = pair.run(two_arms(pair)[1])
    assert two.key == one.key and two.folder != one.folder and two.state == "done"
    assert (two.folder / training_run.WORKERS_LOG).exists()
    for name in ("val/error", "train/total", "grad_norm"):
        np.testing.assert_allclose(two.metrics[name], one.metrics[name], rtol=1e-4)
    assert json.loads((two.folder / training_run.PROVENANCE).read_text(encoding="utf-8"))["devices"] % 2 == 0


def test_workers_that_fail_or_are_stopped_are_told_apart(tiny, monkeypatch):
    study = tiny(nproc=2)
    arm, _ = two_arms(study)
    monkeypatch.setattr(training_run, "launch", lambda *_, **__: True)
    with pytest.raises(RuntimeError, match=r"ended without an outcome; workers\.log in .* says why"):
        study.run(arm)
    monkeypatch.setattr(training_run, "launch", lambda *_, **__: False)
    with pytest.raises(KeyboardInterrupt, match="stopped by a signal before it could save"):
        study.run(arm)


def test_a_reopened_study_counts_the_cost_of_the_runs_where_they_ran(tiny):
    study = tiny()
    run = study.run(two_arms(study)[0])
    facts = json.loads((run.folder / training_run.PROVENANCE).read_text(encoding="utf-8"))
    (run.folder / training_run.PROVENANCE).write_text(json.dumps(facts | {"device": "cuda", "devices": 4}))
    seconds = run.metrics["seconds"].iloc[-1]
    assert study.cost().gpu_hours == pytest.approx(4 * seconds / 3600) and study.cost().cpu_hours == 0
