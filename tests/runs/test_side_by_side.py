"""Runs side by side: the bits of runs one after another, stopped, resumed and told as those are."""

import json
import logging
import os
import signal
import threading
import time
from dataclasses import replace

import pytest
import torch
from tiny_study import BERTSWIN, MAE

from studykit.runs import side_by_side
from studykit.runs.now import notes
from studykit.runs.side_by_side import small_ones, work_side_by_side, workers_that_pay
from studykit.runs.threads import made_with, on_one_thread
from studykit.runs.weights import last_weights
from studykit.study import trials

CLOCKS = ("seconds", "samples_per_second", "peak_memory_bytes")
LONG = {"steps": 90, "eval_every": 30, "checkpoint_every": 10}


@pytest.fixture
def elsewhere(tmp_path, monkeypatch, results):
    """Opens a study whose runs go to another folder."""

    def at(name, tiny):
        monkeypatch.setenv("STUDYKIT_RESULTS", str(tmp_path / name))
        return tiny(seeds=[0, 1])

    return at


def planned(study, **training):
    arms = (
        study.arm("MAE-ViT", "mae", **MAE, training=training),
        study.arm("BertsWin", "bertswin", **BERTSWIN),
    )
    return [study.trials._run_of(arm, seed) for seed in study.seeds for arm in arms[: 1 if training else 2]]


def same_bits(one, other):
    assert one.key == other.key and one.folder != other.folder and one.state == other.state == "done"
    ours, theirs = (run.metrics.drop(columns=list(CLOCKS)) for run in (one, other))
    weights = [last_weights(run) for run in (one, other)]
    return ours.equals(theirs) and all(torch.equal(weights[0][n], weights[1][n]) for n in weights[0])


def when(holds, root, act):
    """Calls ``act`` with the notes of the trainings below ``root`` once they have begun and ``holds``."""

    def watch():
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            seen = notes(root)
            if seen and holds():
                return act(seen)
            time.sleep(0.02)
        return None

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def test_the_same_bits_as_one_after_another(tiny, elsewhere):
    beside = planned(elsewhere("beside", tiny))
    work_side_by_side(beside, 2)
    alone = elsewhere("alone", tiny)
    in_turn = [alone.trials._execute(run) for run in planned(alone)]
    assert all(same_bits(*pair) for pair in zip(beside, in_turn, strict=True))
    pids = {run.status.pid for run in beside}
    assert len(pids) == 2 and os.getpid() not in pids
    assert {made_with(run)["threads"] for run in [*beside, *in_turn]} == {1}
    assert not notes(beside[0].folder.parent)


def test_what_a_run_starts_from_comes_first(tiny):
    study = tiny(seeds=[0])
    study.arm("first", "bertswin", **BERTSWIN)
    then = study.arm("then", "bertswin", **BERTSWIN, starts_from="first", parts=["decoder"])
    first, second = study.trials._chain(then, 0)
    work_side_by_side([second, first], 1)
    assert [run.state for run in (first, second)] == ["done", "done"]
    assert first.status.updated <= second.status.started


def test_a_signal_reaches_the_workers_which_save_and_go_on(tiny, elsewhere):
    study = elsewhere("stopped", tiny)
    runs = planned(study, **LONG)
    thread = when(lambda: True, runs[0].folder.parent, lambda seen: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(KeyboardInterrupt, match=r"stopped by SIGTERM, 2 run\(s\) before their end"):
        work_side_by_side(runs, 2)
    thread.join()
    stopped = [run for run in runs if run.state == "interrupted"]
    assert any("stopped by SIGTERM; last checkpoint: step" in r.status.message for r in stopped)
    resumed = [study.trials._execute(run) for run in runs]
    whole = elsewhere("whole", tiny)
    assert all(
        same_bits(r, whole.trials._execute(w)) for r, w in zip(resumed, planned(whole, **LONG), strict=True)
    )


def test_a_killed_worker_costs_the_steps_since_the_checkpoint(tiny, elsewhere, caplog):
    study = elsewhere("killed", tiny)
    runs = planned(study, **LONG)[:1]
    saved = (runs[0].folder / "checkpoint.pt").exists
    thread = when(saved, runs[0].folder.parent, lambda seen: os.kill(seen[0].pid, signal.SIGKILL))
    with caplog.at_level(logging.WARNING):
        work_side_by_side(runs, 2)
    thread.join()
    assert (
        "MAE-ViT, seed 0: its worker was killed by signal 9; another one goes on from its last" in caplog.text
    )
    assert runs[0].status.attempts == 2
    whole = elsewhere("whole", tiny)
    assert same_bits(runs[0], whole.trials._execute(planned(whole, **LONG)[0]))


def test_workers_that_keep_dying_are_given_up(tiny, monkeypatch):
    monkeypatch.setattr(
        side_by_side, "worker_environment", lambda workers: {**os.environ, "PYTHONPATH": "nowhere"}
    )
    monkeypatch.setattr(side_by_side, "WORKER", ["-c", "import sys; sys.exit('no room for one more')"])
    with pytest.raises(
        RuntimeError, match=r"its worker ended with exit code 1, 2 times(.|\n)*no room for one more"
    ):
        work_side_by_side(planned(tiny())[:1], 2)


def test_a_run_that_fails_says_why_and_stops_the_others(tiny):
    study = tiny()
    good, bad = planned(study)[:2]
    bad.config["data"]["fingerprint"] = "0" * 64
    bad = study.trials.store.open(bad.config, "the bad one")
    with pytest.raises(RuntimeError, match=r"the bad one: ValueError: folder:.* holds other volumes"):
        work_side_by_side([bad, good], 1)
    assert bad.state == "error" and good.state is None


def test_a_study_takes_workers_where_they_pay(tiny, elsewhere, monkeypatch):
    asked = []

    def beside(runs, workers):
        asked.append(len(runs))
        for run in runs:
            study.trials._execute(run)

    monkeypatch.setattr(trials, "work_side_by_side", beside)
    monkeypatch.setattr(side_by_side, "most_workers", lambda: 2)
    monkeypatch.setattr(trials, "most_workers", lambda: 2)
    ends = {}
    for seconds in (1e9, 0.0):
        monkeypatch.setattr(side_by_side, "START_SECONDS", seconds)
        study = elsewhere(f"at{seconds:g}", tiny)
        study.ground.profile = replace(study.profile, tuning_extensions=1)
        arms = [study.arm("MAE-ViT", "mae", **MAE), study.arm("BertsWin", "bertswin", **BERTSWIN)]
        tuned = study.tune_all(arms)
        runs = study.run_all([arm for arm, _ in tuned])
        ends[seconds] = [
            [table.to_csv() for _, table in tuned],
            [run for own in runs.values() for run in own],
        ]
        assert asked == ([] if seconds else [4, asked[1], 4]) and (seconds or asked[1] in (1, 2))
    assert ends[0.0][0] == ends[1e9][0]
    assert all(same_bits(*pair) for pair in zip(ends[0.0][1], ends[1e9][1], strict=True))


def test_workers_do_not_pay_for_little_or_for_one(tiny, monkeypatch):
    monkeypatch.setattr(side_by_side, "most_workers", lambda: 2)
    runs = planned(tiny())[:2]
    assert workers_that_pay(runs, [1e12, 1e12]) == 2 and workers_that_pay(runs, [1e9, 1e9]) == 1
    assert workers_that_pay(runs[:1], [1e15]) == 1


def test_large_networks_and_what_starts_from_them_are_apart(tiny):
    study = tiny(seeds=[0])
    large, small, other = planned(study)[0], *planned(tiny(seeds=[1]))
    large.config["data"]["crop_size"] = 224
    small.config["start"] = {"run": large.key, "parts": []}
    assert small_ones([large, small, other]) == [other]


def test_a_run_goes_on_at_the_threads_of_its_checkpoint(tiny, monkeypatch):
    from studykit.runs.threads import threads_to_go_on_with

    (run,) = planned(tiny(seeds=[0]), **LONG)
    assert threads_to_go_on_with(run) == 1
    study = tiny(seeds=[0])
    run = study.trials._execute(planned(study)[0])
    path = run.folder / "provenance.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | {"threads": 3}))
    assert threads_to_go_on_with(run) == 3
    (run.folder / "checkpoint.pt").unlink()
    assert threads_to_go_on_with(run) == 1


@pytest.mark.parametrize(
    ("method", "model", "alone"),
    [
        ("volta", None, True),
        ("mae", "vit-autoencoder", True),
        ("mae", None, False),
        ("supervised", "unet", False),
    ],
)
def test_tokens_of_patches_train_on_one_thread_at_larger_batches(method, model, alone, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    config = {
        "method": {"name": method, "options": {"model": model} if model else {}},
        "training": {"batch_size": 16},
        "data": {"crop_size": 40},
    }
    assert on_one_thread(config) is alone
    config["data"]["crop_size"] = 96
    assert not on_one_thread(config)
