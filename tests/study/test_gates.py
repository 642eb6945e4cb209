"""The gate against interpolation: the same crops, masks and error as the runs', and a table of gates."""

import pytest
from tiny_study import two_arms

from studykit.claims.estimate import Estimate
from studykit.metrics.interpolation import interpolate
from studykit.study.gates import OVER_INTERPOLATION, SIGMAS, gates_table, lead_over_interpolation
from studykit.tasks.reconstruction import hidden_error


def test_interpolation_is_held_against_the_error_that_the_runs_record(tiny):
    study = tiny()
    arm, _ = two_arms(study)
    runs = [study.run(arm, seed) for seed in study.seeds]
    crops, masks, _ = study.held_out(study.untrained(arm))

    def error(painted):
        return float(hidden_error(painted, crops, masks).mean())

    at_end = [error(study.method_of(run).reconstruct(crops, masks)) for run in runs]
    recorded = [run.metrics["val/error"].iloc[-1] for run in runs]
    assert recorded == pytest.approx(at_end, rel=1e-3)
    best = min(error(interpolate(crops, masks, sigma)) for sigma in SIGMAS)
    lead = lead_over_interpolation(study, arm, runs)
    assert lead.n == len(runs)
    assert lead.value == pytest.approx(best - sum(recorded) / len(recorded), rel=1e-3, abs=1e-5)


def test_gates_are_a_table_that_readings_can_find():
    table = gates_table({OVER_INTERPOLATION: Estimate(0.2, 0.1, 0.3, 5, "reduced-scale")})
    assert table.to_dict("records") == [
        {"gate": OVER_INTERPOLATION, "value": 0.2, "low": 0.1, "high": 0.3, "n": 5}
    ]
