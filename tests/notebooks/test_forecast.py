"""How long a batch will take: by what notebooks tell, what they took before, and the others of the batch."""

from types import SimpleNamespace

import pytest

from studykit import home
from studykit.notebooks import forecast as forecasts
from studykit.notebooks.forecast import Forecast
from studykit.runs.store import STATUS

STEMS = ("01_bertswin_convergence", "02_bertswin_compute", "99_summary")
SMOKE = {stem: {"profile": "smoke"} for stem in STEMS}


@pytest.fixture
def clock(monkeypatch, results):
    """Time that passes only when a test says so; no results are at hand."""
    now = SimpleNamespace(seconds=1000.0)
    monkeypatch.setattr(forecasts.time, "monotonic", lambda: now.seconds)
    return now


def execute(forecast, clock, stem, seconds, failed=False):
    forecast.begin(stem)
    clock.seconds += seconds
    forecast.end(stem, failed=failed)


def test_the_first_time_others_are_expected_to_take_as_long_as_those_of_the_batch(clock):
    forecast = Forecast(SMOKE, jobs=1, cores=2)
    assert forecast.line({}) == "0 of 3 notebooks done", "nothing is known"
    forecast.begin(STEMS[0])
    clock.seconds += 10
    assert forecast.left({STEMS[0]: None}) is None, "it has not begun to train"
    # 10 s gone and 20 s told: 30 s, and the two others as long.
    assert forecast.left({STEMS[0]: 20.0}) == 80.0
    clock.seconds += 30
    forecast.end(STEMS[0], failed=False)
    assert forecast.line({}) == "1 of 3 notebooks done, about 80 s to go"


def test_side_by_side_they_take_less_but_never_less_than_the_longest(clock):
    forecast = Forecast(SMOKE, jobs=2, cores=2)
    for stem in STEMS[:2]:
        forecast.begin(stem)
    assert forecast.left({STEMS[0]: 30.0, STEMS[1]: 30.0}) == 45.0
    assert forecast.left({STEMS[0]: 100.0, STEMS[1]: 2.0}) == 100.0


def test_what_a_notebook_took_is_remembered_with_its_parameters_and_held_against_what_it_takes(clock):
    first = Forecast(SMOKE, jobs=1, cores=2)
    execute(first, clock, STEMS[0], 60)
    execute(first, clock, STEMS[1], 30)
    execute(first, clock, STEMS[2], 9, failed=True)
    again = Forecast(SMOKE, jobs=1, cores=2)
    assert again.left({}) == 60 + 30 + 45, "of the one that failed nothing is remembered"
    execute(again, clock, STEMS[0], 6)
    assert again.left({}) == pytest.approx(3 + 4.5), "its runs were done: a tenth of what was expected"
    other = Forecast({STEMS[0]: {"profile": "smoke", "seeds": 9}}, jobs=1, cores=2)
    assert other.left({}) is None


def test_a_notebook_of_which_nothing_is_remembered_takes_what_its_evidence_did(clock, monkeypatch):
    stem, runs = STEMS[0], ["a", "b", "c", "d"]
    own = home.evidence_dir("bertswin-convergence", "laptop", own=False)
    own.mkdir(parents=True)
    own.joinpath(forecasts.FILE).touch()
    costs = [SimpleNamespace(cost=SimpleNamespace(cpu_hours=hours, gpu_hours=0.0)) for hours in (0.5, 1.0)]
    monkeypatch.setattr(forecasts, "read_verdicts", lambda folder: costs)
    monkeypatch.setattr(forecasts, "read_run_table", lambda folder: [{"run": key} for key in runs])
    whole = Forecast({stem: {"profile": "laptop"}}, jobs=1, cores=2)
    assert whole.left({}) == 1800, "one core-hour on two cores"
    assert whole.line({}) == "0 of 1 notebooks done, about 30 min to go"
    home.runs_dir().joinpath("a").mkdir(parents=True)
    home.runs_dir().joinpath("a", STATUS).touch()
    assert Forecast({stem: {"profile": "laptop"}}, jobs=1, cores=2).left({}) == 1350, "a quarter is done"
    assert Forecast({stem: {"profile": "laptop", "seeds": [7]}}, jobs=1, cores=2).left({}) is None
    costs[0].cost.gpu_hours = 0.1
    assert Forecast({stem: {"profile": "laptop"}}, jobs=1, cores=2).left({}) is None


def test_a_memory_that_is_damaged_or_cannot_be_kept_stops_nothing(clock):
    home.runs_dir().mkdir(parents=True)
    folder = home.runs_dir() / forecasts.NOW
    folder.write_text("a file where the folder should be")
    execute(Forecast(SMOKE, jobs=1, cores=2), clock, STEMS[0], 60)
    folder.unlink()
    folder.mkdir()
    folder.joinpath(forecasts.TOOK).write_text("[1]")
    assert Forecast(SMOKE, jobs=1, cores=2).left({}) is None
