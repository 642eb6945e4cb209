"""Time buys seeds: whole ones, in order, told beforehand, and another call goes on."""

import pytest
from tiny_study import two_arms

from studykit import home
from studykit.report.record import read_verdicts
from studykit.study import budget as module
from studykit.study.budget import OutOfTime

CLAIM = "bertswin/convergence-speedup"


@pytest.fixture
def clock(monkeypatch):
    """A clock on which an optimizer step takes a second; called with a process's minutes."""
    now = [1000.0]
    monkeypatch.setattr(module.time, "time", lambda: now[0])
    monkeypatch.setattr(module, "seconds_a_step", lambda config, nproc: 1.0)
    monkeypatch.setattr(module, "pace_of", lambda run: 1.0 if run.state == "done" else 0.0)

    def begin(minutes):
        module.budget.cache_clear()
        monkeypatch.setenv(home.UNTIL, str(now[0] + 60 * minutes))

    begin.now = now
    yield begin
    module.budget.cache_clear()


@pytest.fixture
def study(tiny, clock, monkeypatch):
    """Opens the tiny study with five seeds; its runs move the clock."""
    from studykit.study.trials import Trials

    execute = Trials._execute

    def timed(self, planned):
        before = planned.state
        run = execute(self, planned)
        clock.now[0] += 0 if before == "done" else run.config["training"]["steps"]
        return run

    monkeypatch.setattr(Trials, "_execute", timed)
    return lambda: tiny(seeds=[0, 1, 2, 3, 4])


def run(study):
    """Tunes (4 runs of 2 steps, 8 s) and runs both arms (8 s a seed); gives the runs."""
    tuned = study.tune_all(two_arms(study))
    return study.run_all([arm for arm, _ in tuned])


def test_time_buys_whole_seeds_in_order(study, clock, capsys):
    clock(45 / 60)  # 36 s for trainings: 8 of tuning, 24 of three seeds
    opened = study()
    runs = run(opened)
    assert opened.seeds == (0, 1, 2)
    assert [len(own) for own in runs.values()] == [3, 3]
    assert {r.state for own in runs.values() for r in own} == {"done"}
    said = capsys.readouterr().out
    assert "0.8 minutes, 0.6 of them for training: tuning about 0.1, all 5 seeds about 0.7" in said
    assert "3 of 5 seeds fit, the others do not" in said
    assert "seed 3 is not begun" in said


@pytest.mark.parametrize(("seconds", "waves"), [(600, [[0, 1], [2, 3], [4]]), (20, [[0, 1], [2]])])
def test_seeds_are_begun_together_where_the_machine_bears_them(study, clock, monkeypatch, seconds, waves):
    """Of three workers, two seeds of two arms keep all busy; the last seed that fits is begun alone."""
    from studykit.study.trials import Trials

    made = []
    monkeypatch.setattr(Trials, "at_once", lambda self, todo: 3 if todo else 1)
    monkeypatch.setattr("studykit.study.trials.work_side_by_side", lambda runs, workers: made.append(runs))
    clock(seconds / 0.8 / 60)
    opened = study()
    arms = [arm.at_rate(1e-3) for arm in two_arms(opened)]
    opened.trials.arms |= {arm.name: arm for arm in arms}
    runs = opened.run_all(arms)
    begun = [[opened.trials.whose[run.key][1] for run in own] for own in made]
    assert begun == [[seed for seed in wave for _ in arms] for wave in waves]
    assert opened.seeds == tuple(seed for wave in waves for seed in wave)
    assert {run.state for own in runs.values() for run in own} == {"done"}


def test_nothing_was_begun_of_the_seeds_that_do_not_fit(study, clock):
    clock(45 / 60)
    opened = study()
    run(opened)
    arms = list(opened.arms.values())
    assert [r.state for r in opened.trials.runs_of(arms, (3, 4))] == [None] * 4


def test_another_call_goes_on_with_the_next_seeds(study, clock, capsys):
    clock(45 / 60)
    first = run(study())
    clock(45 / 60)  # 36 s again: nothing of tuning, two more seeds are 16 s
    opened = study()
    runs = run(opened)
    assert opened.seeds == (0, 1, 2, 3, 4)
    assert "they fit" in capsys.readouterr().out
    for name, own in first.items():
        assert [r.key for r in runs[name][:3]] == [r.key for r in own]


def test_a_call_without_time_concludes_with_what_is_done(study, clock):
    clock(10)
    run(study())
    clock(1 / 60)
    opened = study()
    opened.arm("never run", "mae", training={"lr": 1e-3}, embed_dim=48, depth=1, num_heads=2)
    run(opened)
    assert opened.seeds == (0, 1, 2, 3, 4)


def test_one_seed_is_no_study(study, clock):
    clock(22 / 60)  # 17.6 s: tuning at one rate, and one seed
    with pytest.raises(OutOfTime, match="1 of 5 seeds are whole; another call goes on"):
        run(study())


def test_tuning_takes_the_rates_that_fit_into_its_share_and_another_call_keeps_to_them(study, clock, capsys):
    clock(30 / 60)  # 24 s for trainings, 6 of them for tuning: one rate of two arms is 4
    opened = study()
    tables = [table for _, table in opened.tune_all(two_arms(opened))]
    assert [len(table) for table in tables] == [1, 1]
    said = capsys.readouterr().out
    for name in opened.arms:
        assert f"{name}: tuned at 1 of its learning rates" in said
    first = opened.run_all()
    assert opened.seeds == (0, 1)
    clock(10)
    again = study()
    runs = run(again)
    assert again.seeds == (0, 1, 2, 3, 4)
    for name, own in first.items():
        assert [r.key for r in runs[name][:2]] == [r.key for r in own]


def test_tuning_without_time_for_one_rate_says_so(study, clock):
    clock(15 / 60)  # 12 s for trainings, 3 of them for tuning
    opened = study()
    with pytest.raises(
        OutOfTime, match=r"one learning rate of 2 arms takes 0\.1 minutes, 0\.1 are left for tun"
    ):
        opened.tune_all(two_arms(opened))
    assert not any(r.state for own in opened.arms.values() for r in opened.trials.runs_of([own], [0]))


def test_a_study_beside_it_at_the_same_seeds_is_reckoned_with(study, clock):
    clock(45 / 60)
    one, other = study(), study()
    other.arm("another MAE", "mae", training={"lr": 1e-3}, embed_dim=48, depth=1, num_heads=2)
    run(one)  # 28 s are left after tuning: a seed of three arms takes 12
    assert one.seeds == other.seeds == (0, 1)
    assert len(other.run_all()["another MAE"]) == 2


def test_a_verdict_of_too_few_seeds_says_so_by_the_rule(tiny, study, clock):
    from studykit.claims.estimate import Estimate

    clock(45 / 60)
    opened = tiny("laptop", seeds=[0, 1, 2, 3, 4])
    run(opened)
    assert opened.seeds == (0, 1, 2)
    estimate = Estimate(2.0, 1.5, 2.5, n=len(opened.seeds), kind="reduced-scale", unit="×")
    opened.conclude(CLAIM, estimate)
    [record] = read_verdicts(opened.folder)
    assert record.verdict.status == "not evaluated"
    assert record.verdict.reason == "The rule needs 5 repetitions, there are 3."


def test_seeds_that_are_asked_for_are_made(study, clock):
    clock(1 / 60)
    opened = study()
    arms = two_arms(opened)
    assert len(opened.run_all(arms, seeds=[4])["MAE-ViT"]) == 1
    assert opened.seeds == (0, 1, 2, 3, 4)


def test_without_an_end_nothing_is_limited(tiny, capsys, monkeypatch):
    monkeypatch.delenv(home.UNTIL, raising=False)
    module.budget.cache_clear()
    opened = tiny()
    opened.run_all(two_arms(opened))
    assert opened.seeds == (0, 1) and "minutes" not in capsys.readouterr().out


def test_the_pace_of_a_run_counts_its_start(tiny):
    opened = tiny()
    done = opened.run(two_arms(opened)[0])
    last = done.metrics.iloc[-1]
    assert module.pace_of(done) >= last["seconds"] / last["step"] > 0
    assert module.pace_of(opened.trials.runs_of([opened.arms["BertsWin"]], [1])[0]) == 0
