"""Studies: refused before any work, fair between arms, resumed bit for bit, honest in their conclusions."""

import json
import logging
import os
import signal
from dataclasses import replace

import matplotlib
import numpy as np
import pandas as pd
import pytest
import torch
from tiny_study import BERTSWIN, MAE, STUDY, SUBJECTS, write_head, write_heads

from studykit.arms.arm import Arm
from studykit.claims.estimate import Estimate
from studykit.claims.paper import load_papers
from studykit.data.crops.random_crops import RandomCrops
from studykit.data.sources import DEFAULT_SOURCE
from studykit.data.splits import Split
from studykit.methods.masked_reconstruction import MaskedReconstruction
from studykit.metrics.convergence import speedup_profile, steps_to_target
from studykit.report.record import read_verdicts
from studykit.runs import effort, training_run
from studykit.study import open_study, studies, trials

matplotlib.use("Agg")

CLOCKS = ("seconds", "samples_per_second", "peak_memory_bytes")
CLAIM = "bertswin/convergence-speedup"
HUGE = {"lr": 1e30}


def numbers(run):
    """A run's metrics without those that a clock or the machine decides."""
    return run.metrics.drop(columns=list(CLOCKS))


def two_arms(study):
    return study.arm("MAE-ViT", "mae", **MAE), study.arm("BertsWin", "bertswin", **BERTSWIN)


def fail(*_, **__):
    raise AssertionError("there was nothing to do")


# ---- opening


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"name": "convergence"},
            r"Unknown study 'convergence'\. Known: .*bertswin-convergence.*spine-ablation",
        ),
        ({"profile": "tiny"}, r"Unknown profile 'tiny'\. Known: smoke, laptop, gpu, paper"),
        ({"data": "sample-hands"}, r"unknown data source 'sample-hands'; known: sample-heads, .*folder:PATH"),
        ({"data": "folder:"}, r"unknown data source 'folder:'; known: sample-heads"),
        ({"seeds": [0, 1, 0]}, r"seeds must be a list of distinct whole numbers.*got \[0, 1, 0\]"),
        ({"seeds": []}, r"at least one; got \[\]"),
        ({"seeds": [0.5]}, r"whole numbers.*got \[0\.5\]"),
        ({"seeds": "01"}, r"whole numbers.*got '01'"),
        ({"seeds": 3}, r"whole numbers.*got 3"),
        ({"nproc": 0}, r"nproc must be at least 1 and divide the batch of 4, got 0"),
        ({"nproc": 3}, r"nproc must be at least 1 and divide the batch of 4, got 3"),
        ({"profile": "paper"}, r"paper profile crops 224³ voxels of 0\.2 mm.*data='folder:PATH'"),
        ({"profile": "paper", "data": "sample-head-cts"}, r"the sample volumes are too coarse"),
    ],
)
def test_a_bad_setting_is_refused_before_any_work(results, arguments, message):
    with pytest.raises(ValueError, match=message):
        open_study(**{"name": STUDY, **arguments})
    assert not results.exists()


def test_every_study_of_the_papers_opens(results):
    assert len(studies()) == 12
    assert [open_study(name).name for name in studies()] == list(studies())
    assert not results.exists()


def test_seeds_are_the_profiles_unless_given(tiny):
    assert tiny().seeds == (0, 1)
    assert tiny(seeds=[7, 3]).seeds == (7, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "simclr"}, r"Unknown method 'simclr'\. Known: bertswin, .*mae, "),
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


def test_an_unknown_arm_or_axis_lists_the_known_ones(tiny):
    study = tiny()
    with pytest.raises(ValueError, match=r"Unknown arm 'MAE'\. Known: none yet"):
        study.run("MAE")
    two_arms(study)
    with pytest.raises(ValueError, match=r"Unknown arm 'MAE'\. Known: MAE-ViT, BertsWin"):
        study.run_all(["MAE"])
    with pytest.raises(ValueError, match=r"Unknown arm 'own'"):
        study.run(Arm("own", "mae"))
    with pytest.raises(ValueError, match=r"Unknown axis 'epochs'\. Known: steps, flops, seconds"):
        study.curves("MAE-ViT", [], "epochs")


def test_an_arm_that_was_tuned_or_named_again_is_not_mistaken_for_its_successor(tiny):
    study = tiny()
    before, _ = two_arms(study)
    after, _ = study.tune(before)
    with pytest.raises(ValueError, match="'MAE-ViT' is not what it was when this one was made"):
        study.run(before)
    assert study.untrained(after).grid == study.untrained("MAE-ViT").grid


# ---- data


def test_too_few_subjects(tiny, tmp_path):
    folder = tmp_path / "two"
    folder.mkdir()
    for seed in (0, 1):
        write_head(folder / f"head{seed}.nii", seed)
    study = tiny(data=f"folder:{folder}")
    with pytest.raises(ValueError, match=r"has 2 usable subject\(s\); a study needs at least 3"):
        study.split  # noqa: B018


def test_one_bad_volume_is_named_and_skipped_and_all_bad_is_an_error(tiny, tmp_path):
    folder = write_heads(tmp_path / "heads")
    (folder / "broken.nii").write_bytes(b"not a volume")
    study = tiny(data=f"folder:{folder}")
    with pytest.warns(UserWarning, match=r"left out broken: .*broken\.nii"):
        run = study.run(two_arms(study)[0])
    assert run.state == "done"
    assert {v.subject for v in study.data.volumes} == set(SUBJECTS)
    assert [entry.subject for entry in study.data.refused] == ["broken"]
    for path in folder.iterdir():
        path.write_bytes(b"not a volume")
    with (
        pytest.warns(UserWarning, match="left out"),
        pytest.raises(ValueError, match=r"not one of 6 volumes can be used\n.*ada\.nii"),
    ):
        tiny(data=f"folder:{folder}").data  # noqa: B018


def test_the_split_is_saved_and_the_same_again(tiny, results):
    split = tiny().split
    assert Split.load(results / STUDY / "smoke-own" / "split.json") == split == tiny().split
    assert sorted([*split.train, *split.val, *split.test]) == list(SUBJECTS)
    assert len(split.val) == 1 and len(split.test) == 2


def test_held_out_and_tuning_subjects_reach_only_what_is_theirs(tiny, tmp_path, monkeypatch):
    """New voxels in a part of the split move the numbers of that part, and no others."""

    def measured(folder, name):
        monkeypatch.setenv("STUDYKIT_RESULTS", str(tmp_path / name))
        study = tiny(data=f"folder:{folder}")
        arm, _ = two_arms(study)
        run = study.run(arm)
        tuning = study.tune(arm)[1]["error"].tolist()
        training = run.metrics[["train/total", "grad_norm"]].dropna().to_numpy().tolist()
        return {
            "training": training,
            "tuning": tuning,
            "testing": run.metrics["val/error"].tolist(),
        }, study.split

    folder = write_heads(tmp_path / "heads")
    before, split = measured(folder, "before")
    for part, alone in (("test", "testing"), ("val", "tuning")):
        for subject in getattr(split, part):
            write_head(folder / f"{subject}.nii", seed=50)
        after, again = measured(folder, f"after-{part}")
        assert again == split
        assert {name for name in before if before[name] != after[name]} == {alone}
        before = after


# ---- fairness


@pytest.fixture
def seen(monkeypatch):
    """Volumes and masks that training shows to a method, in order."""
    shown = []
    forward = MaskedReconstruction.forward

    def record(self, volume, mask):
        shown.append((volume.clone(), mask.clone()))
        return forward(self, volume, mask)

    monkeypatch.setattr(MaskedReconstruction, "forward", record)
    return shown


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


def test_held_out_crops_and_masks_are_the_same_for_both_arms(tiny):
    study = tiny()
    (crops, masks, subjects), (crops2, masks2, subjects2) = (
        study.held_out(study.untrained(arm)) for arm in two_arms(study)
    )
    assert torch.equal(crops, crops2) and torch.equal(masks, masks2) and subjects == subjects2
    assert crops.shape == (4, 1, 16, 16, 16) and masks.shape == (4, 4, 4, 4)
    assert subjects == [name for name in sorted(study.split.test) for _ in range(2)]


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


def test_a_folder_whose_volumes_changed_is_read_again_by_a_new_study(tiny, tmp_path):
    folder = write_heads(tmp_path / "heads")
    before = tiny(data=f"folder:{folder}").data.fingerprint
    write_head(folder / "ada.nii", seed=77)
    assert tiny(data=f"folder:{folder}").data.fingerprint != before


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


def test_curves_count_steps_operations_and_seconds(tiny):
    study = tiny()
    arm, other = two_arms(study)
    run = study.run(arm)
    steps, flops, seconds = (study.curves(arm, [run], x)[0] for x in ("steps", "flops", "seconds"))
    assert steps.x.tolist() == [0, 2, 4]
    a_step = study.flops(arm, backward=True).total * study.profile.batch_size
    assert flops.x.tolist() == [0, 2 * a_step, 4 * a_step]
    assert seconds.x.tolist() == run.metrics["seconds"].tolist()
    assert steps.error.tolist() == run.metrics["val/error"].tolist()
    assert study.flops(arm).total < study.flops(arm, backward=True).total
    assert study.flops(arm).total != study.flops(other).total


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


# ---- evidence


def ratio(n=5):
    return Estimate(2.4, 1.8, 3.1, n, "reduced-scale", unit="×")


def test_a_conclusion_is_read_back_with_what_it_rests_on(tiny, results, heads):
    import matplotlib.pyplot as plt

    study = tiny("laptop")
    arm, _ = two_arms(study)
    run = study.run(arm)
    study.save_table(pd.DataFrame({"arm": ["MAE-ViT"], "error": [0.5]}), "errors", "Errors.")
    figure, axis = plt.subplots()
    axis.plot([0, 1])
    for _ in range(2):
        study.save_figure(figure, "curve", "A line.")
    verdict = study.conclude(CLAIM, ratio())
    (record,) = read_verdicts(results / STUDY / "laptop-own", STUDY, "laptop")
    assert record.verdict == verdict and verdict.status == "partially reproduced"
    assert verdict.reason.startswith("At reduced scale, not the paper's")
    assert record.figures == (("curve.svg", "A line."),) and record.tables == ("errors.csv",)
    assert record.n_cases == 2 and record.notebook == "01_bertswin_convergence.ipynb"
    assert record.data == f"folder:{heads.name} at 4 mm: 2 training, 1 tuning, 2 held-out subjects"
    assert record.cost.flops == 4 * 2 * study.flops(arm, backward=True).total
    (of_runs,) = record.provenance["runs"]
    assert of_runs["runs"] == 1 and {"commit", "dirty", "device", "devices", "cpu", "gpus"} <= of_runs.keys()
    text = (results / STUDY / "laptop-own" / "verdict.json").read_text(encoding="utf-8")
    assert str(heads) not in text and str(results) not in text
    seconds = run.metrics["seconds"].iloc[-1]
    hours = record.cost.cpu_hours + record.cost.gpu_hours
    assert hours == pytest.approx(seconds / 3600 * of_runs["devices"])
    names = {path.name for path in (results / STUDY / "laptop-own").iterdir()}
    assert {"curve.svg", "curve.png", "errors.csv", "errors.md", "errors.tex", "verdict.json"} <= names


def test_a_reopened_study_counts_the_cost_of_the_runs_where_they_ran(tiny):
    study = tiny()
    run = study.run(two_arms(study)[0])
    facts = json.loads((run.folder / training_run.PROVENANCE).read_text(encoding="utf-8"))
    (run.folder / training_run.PROVENANCE).write_text(json.dumps(facts | {"device": "cuda", "devices": 4}))
    seconds = run.metrics["seconds"].iloc[-1]
    assert study.cost().gpu_hours == pytest.approx(4 * seconds / 3600) and study.cost().cpu_hours == 0


def test_what_smoke_measures_is_not_evaluated(tiny, results):
    assert tiny().conclude(CLAIM, ratio()).status == "not evaluated"
    assert tiny("laptop").conclude(CLAIM, ratio(n=4)).status == "not evaluated"
    assert [r.verdict.profile for r in read_verdicts(results / STUDY / "smoke-own")] == ["smoke"]


def test_a_claim_of_another_study_is_refused(tiny, results):
    other = next(c for p in load_papers().values() for c in p.claims if c.study != STUDY)
    for claim in (other, other.key):
        with pytest.raises(
            ValueError, match=f"{other.key} belongs to {other.study}; claims of {STUDY}: bertswin/"
        ):
            tiny().conclude(claim, ratio())
    with pytest.raises(ValueError, match="unknown claim 'no-such' of bertswin; known claims"):
        tiny().conclude("bertswin/no-such", ratio())
    assert not results.exists()


def test_own_data_and_own_seeds_never_touch_the_evidence(tiny):
    assert tiny(data=DEFAULT_SOURCE).folder.name == "smoke"
    assert tiny(data=DEFAULT_SOURCE, seeds=[5]).folder.name == "smoke-own"
    assert tiny().folder.name == "smoke-own"


def test_a_study_that_rests_on_another_states_its_data_and_cost(tiny, results):
    other = tiny("laptop")
    other.run(two_arms(other)[0])
    study = open_study("effective-rank", "laptop")
    study.rest_on(other)
    study.conclude("bertswin/effective-rank-contrast", Estimate(1.5, 1.2, 1.9, 5, "reduced-scale"))
    (record,) = read_verdicts(study.folder)
    assert record.cost == other.cost() and record.cost.flops > 0
    assert record.n_cases == len(other.split.test)
    source, _, words = record.data.partition(" at ")
    assert other.source.endswith(source.removeprefix("folder:")) and "held-out subjects" in words
    assert not (study.folder / "split.json").exists()
