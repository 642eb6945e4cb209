"""The evidence of a study: verdicts with what they rest on, and none of another study's claims."""

import pandas as pd
import pytest
from tiny_study import STUDY, two_arms

from studykit.claims.estimate import Estimate
from studykit.claims.paper import load_papers
from studykit.report.record import read_verdicts

CLAIM = "bertswin/convergence-speedup"


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
    assert record.figures == (("curve.svg", "A line."),) and record.tables == ("errors.csv", "runs.csv.gz")
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
