"""A conclusion writes every run beside its verdict, and the verdict follows from that folder alone."""

from dataclasses import replace

import pytest
from tiny_study import two_arms

from studykit.claims.estimate import Estimate
from studykit.claims.paper import find_claim
from studykit.report.judging import judge_record
from studykit.report.record import read_verdicts
from studykit.runs.run_table import FILE, curves_by_seed, read_run_table

CLAIM = "bertswin/convergence-speedup"


@pytest.fixture
def concluded(tiny):
    study = tiny("laptop")
    arms = [study.tune(arm)[0] for arm in two_arms(study)]
    runs = study.run_all(arms)
    study.conclude(CLAIM, Estimate(2.4, 1.8, 3.1, 5, "reduced-scale", unit="×"))
    return study, runs


def test_every_run_stands_beside_the_verdict(concluded):
    study, runs = concluded
    rows = read_run_table(study.folder)
    whose = {(row["arm"], row["repetition"]) for row in rows}
    assert whose == {(arm, r) for arm in runs for r in ("tuning", *map(str, study.seeds))}
    for arm, own in runs.items():
        for clock in ("steps", "flops", "seconds"):
            kept = curves_by_seed(rows, arm, clock, {"error": 1.0})
            for seed, curve in zip(study.seeds, study.curves(arm, own, clock), strict=True):
                assert kept[str(seed)].x == pytest.approx(curve.x, rel=1e-5)
                assert kept[str(seed)].error == pytest.approx(curve.error, rel=1e-5)
    (record,) = read_verdicts(study.folder)
    assert FILE in record.tables


def test_the_verdict_follows_from_its_folder(concluded):
    study, _runs = concluded
    (record,) = read_verdicts(study.folder)
    claim = find_claim(CLAIM)
    assert judge_record(claim, record, study.folder) == record.verdict
    other = replace(claim, rule=replace(claim.rule, repetitions=2))
    assert judge_record(other, record, study.folder).status != "not evaluated"


def test_the_table_is_written_again_only_where_a_run_came_in(concluded):
    study, _runs = concluded
    path = study.folder / FILE
    before = path.stat().st_mtime_ns
    study.conclude("bertswin/monotone-convergence", Estimate(0.1, 0.0, 0.2, 5, "reduced-scale"))
    assert path.stat().st_mtime_ns == before
    study.run(study.arm("another", "mae", **{"embed_dim": 24, "depth": 1, "num_heads": 2, "mlp_dim": 24,
        "decoder_dim": 24, "decoder_depth": 1, "decoder_num_heads": 2, "decoder_mlp_dim": 24}))  # fmt: skip
    study.conclude("bertswin/monotone-convergence", Estimate(0.1, 0.0, 0.2, 5, "reduced-scale"))
    assert path.stat().st_mtime_ns != before


def test_what_is_read_from_runs_is_evidence_of_the_profiles_kind(concluded):
    study, _runs = concluded
    estimate = study.conclude(CLAIM, None).estimate
    assert estimate is not None and estimate.kind == study.profile.evidence == "reduced-scale"
