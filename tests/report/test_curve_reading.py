"""Speed-ups from a table of runs: at any depth, by any clock, and judged again from that table alone."""

from dataclasses import replace

import numpy as np
import pytest
from toy_paper import ratio

from studykit.claims.reading import Reading
from studykit.metrics.convergence import Curve, speedup_over_range, speedup_profile
from studykit.report.curve_reading import depth, read_rise, read_speedup, weights
from studykit.report.judging import judge_again
from studykit.runs.run_table import write_run_table

RATES = {"slow": (0.010, 0.011, 0.009, 0.012, 0.010), "fast": (0.03, 0.031, 0.029, 0.03, 0.028)}
STEPS = np.arange(0, 401, 20)


def rows():
    """Five seeds of two arms whose errors fall at known rates; a step of the fast one costs twice as much."""
    for arm, rates in RATES.items():
        for seed, rate in enumerate(rates):
            head = {"run": f"{arm}{seed}", "arm": arm, "repetition": str(seed), "state": "done"}
            for measure, value in (("budget", "400"), ("operations", "2" if arm == "fast" else "1")):
                yield head | {"measure": measure, "value": value}
            for step in STEPS:
                at = {"step": str(step), "seconds": str(0.1 * step), "measure": "error"}
                yield head | at | {"value": f"{np.exp(-rate * step):.9g}"}


def curves(arm, scale=1.0):
    return [Curve(STEPS * scale, np.exp(-rate * STEPS)) for rate in RATES[arm]]


def reading(**changed):
    sides = {"where": ({"arm": "fast"},), "over": ({"arm": "slow"},)}
    shape = {"table": "runs.csv.gz", "value": "error", "how": "speed-up", "scale": "ratio"}
    return Reading(**{"of": "estimate", **shape, **sides, **changed})


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "results" / "speed" / "laptop"
    write_run_table(folder, rows())
    return folder


def test_it_is_the_speed_up_of_the_curves(folder):
    found = read_speedup(reading(), folder, "reduced-scale")
    own = speedup_over_range(curves("slow"), curves("fast")).estimate
    assert (found.value, found.low, found.high) == pytest.approx((own.value, own.low, own.high))
    deep = read_speedup(reading(depth="1"), folder, "reduced-scale")
    assert deep.value == pytest.approx(
        speedup_profile(curves("slow"), curves("fast"), (1.0,))[0].estimate.value
    )
    assert deep.value != pytest.approx(found.value)


def test_a_rise_is_held_against_that_of_the_other_arm(tmp_path):
    rising = {("fast", "0"): 0.9, ("fast", "2"): 0.4, ("slow", "1"): 0.3}

    def bumped():
        for row in rows():
            top = rising.get((row["arm"], row["repetition"]))
            yield row | ({"value": str(top)} if top and row.get("step") == "400" else {})

    write_run_table(tmp_path, bumped())
    found = read_rise(reading(how="rise", scale="difference"), tmp_path, "reduced-scale")
    falls = {arm: [np.exp(-rate * STEPS) for rate in rates] for arm, rates in RATES.items()}
    for (arm, seed), top in rising.items():
        falls[arm][int(seed)][-1] = top
    rises = {arm: [max(e[-1] - e.min(), 0) / (1 - e.min()) for e in own] for arm, own in falls.items()}
    assert found.value == pytest.approx(np.mean(np.subtract(rises["fast"], rises["slow"])))
    assert found.n == 5 and found.low < found.value < found.high
    assert read_rise(reading(over=({"arm": "other"},)), tmp_path, "reduced-scale") is None


def test_a_dearer_step_shows_by_the_clock_of_operations(folder):
    steps, flops = (
        read_speedup(reading(clock=clock), folder, "reduced-scale") for clock in ("steps", "flops")
    )
    assert steps.value == pytest.approx(2 * flops.value)


def test_without_a_table_or_an_arm_there_is_nothing(folder, tmp_path):
    assert read_speedup(reading(), tmp_path, "reduced-scale") is None
    assert read_speedup(reading(over=({"arm": "other"},)), folder, "reduced-scale") is None


def test_a_verdict_follows_from_the_table_of_runs(conclude, papers, folder):
    claim = papers["toy"].claims[0]
    own = (reading(), reading(of="half way", depth="0.5"))
    papers = {"toy": replace(papers["toy"], claims=(replace(claim, readings=own), *papers["toy"].claims[1:]))}
    conclude.write("steps", "laptop", ratio(1.0, 0.9, 1.1))
    (verdict,) = judge_again(conclude.results, papers)
    assert verdict.finding == "supported" and verdict.estimate.value == pytest.approx(2.9, abs=0.2)
    assert [beside.finding for beside in verdict.sensitivity] == ["supported"]


@pytest.mark.parametrize(
    ("words", "found"),
    [("error", {"error": 1.0}), ("0.3 brightness + 1 structure", {"brightness": 0.3, "structure": 1.0})],
)
def test_weights_are_read_as_written(words, found):
    assert weights(words) == found


def test_what_cannot_be_read_says_how_to_write_it():
    assert depth("0.25 to 0.9") == (0.25, 0.9) and depth("1") == (1.0, 1.0)
    with pytest.raises(ValueError, match=r"write it as 0\.25 to 0\.9"):
        depth("deep")
    with pytest.raises(ValueError, match=r"write it as 0\.3 brightness"):
        weights("brightness*0.3")
