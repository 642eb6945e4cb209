"""What is told of studies and their claims: list, show, status, judge, power, compare."""

import itertools

from tiny_study import STUDY

from studykit import home
from studykit.claims.estimate import Estimate
from studykit.claims.paper import load_papers
from studykit.data.sources import DEFAULT_SOURCE

CLAIM = "bertswin/convergence-speedup"


def test_list_names_every_study_and_keeps_kinds_of_claim_apart(call):
    said = call("list")
    assert said.status == 0
    names = [line.split()[0] for line in said.out.splitlines()[1:]]
    assert [name for name, _ in itertools.groupby(names)] == list(
        dict.fromkeys(c.study for p in load_papers().values() for c in p.claims)
    )
    line = next(line for line in said.out.splitlines() if line.startswith(STUDY))
    assert "01_bertswin_convergence" in line and "not evaluated" in line
    kinds = [line for line in said.out.splitlines() if line.startswith("bertswin-compute")]
    assert all("abstract, second-hand summary, released code" in line for line in kinds)
    assert len(kinds) == 2 and "arithmetic  " in kinds[0] and "arithmetic, derived" in kinds[1]
    unwritten = [line for line in said.out.splitlines() if line.startswith("spine-ablation")]
    assert "not written yet" in unwritten[0] or (home.notebooks_dir() / "11_spine_ablation.ipynb").exists()


def test_show_prints_claims_with_what_is_unknown_and_the_verdict(call, tiny):
    tiny("laptop", data=DEFAULT_SOURCE).conclude(
        "bertswin/convergence-speedup", Estimate(2.4, 1.8, 3.1, 5, "reduced-scale", unit="×")
    )
    said = call("show", STUDY)
    assert said.status == 0
    assert "notebooks/01_bertswin_convergence.ipynb" in said.out
    assert "bertswin/convergence-speedup: partially reproduced" in said.out
    assert "bertswin/monotone-convergence: not evaluated" in said.out
    for word in (
        "reported: speed-up 5.79 ×",
        "unknown: Number of seeds",
        "rule (effect): Optimizer steps",
        "laptop, supported: At reduced",
        "sources read: abstract, second-hand summary, released code",
        "changed: 2026-11-27, after d1af215 (results known",
    ):
        assert word in said.out


def test_show_of_an_unknown_study_lists_the_known_ones(call):
    said = call("show", "convergence")
    assert said.status == 2 and f"Unknown study 'convergence'. Known: {STUDY}" in said.err


def test_status_says_what_changed_since_the_evidence_and_what_a_refresh_costs(call, tiny):
    tiny("laptop", data=DEFAULT_SOURCE).conclude(CLAIM, Estimate(2.4, 1.8, 3.1, 5, "reduced-scale", unit="×"))
    said = call("status", STUDY)
    assert said.status == 0
    head, row = said.out.splitlines()[:2]
    assert head.split()[:4] == ["study", "profile", "claims", "rule"] and "cost of a refresh" in head
    assert row.split()[:3] == [STUDY, "laptop", "1"] and "no compute" in row
    assert "no evidence yet" in call("status").out
    wrong = call("status", "convergence")
    assert wrong.status == 2 and f"Known: {STUDY}" in wrong.err


def test_judge_decides_again_from_the_tables_and_needs_a_verdict(call, tiny):
    empty = call("judge", STUDY)
    assert empty.status == 2 and f"{STUDY} has no verdict" in empty.err
    tiny("laptop", data=DEFAULT_SOURCE).conclude(
        "bertswin/convergence-speedup", Estimate(2.4, 1.8, 3.1, 5, "reduced-scale", unit="×")
    )
    said = call("judge", STUDY)
    assert said.status == 0 and "bertswin/convergence-speedup: partially reproduced** (supported)" in said.out


def test_power_says_what_a_design_sees_and_compare_holds_a_rerun_against_it(call, tiny):
    study = tiny("laptop", data=DEFAULT_SOURCE)
    study.conclude("bertswin/convergence-speedup", Estimate(2.4, 1.8, 3.1, 5, "reduced-scale", unit="×"))
    said = call("power", STUDY)
    assert said.status == 0 and "no runs at hand" in said.out and "O'Brien and Fleming" in said.out
    row = next(line for line in said.out.splitlines() if line.startswith("convergence-speedup "))
    assert row.split()[1] == "1.25" and row.split()[3] == "5"
    said = call("compare", str(study.folder))
    assert said.status == 0 and "convergence-speedup: 2.40× [1.80, 3.10], then 2.40×" in said.out
    missing = call("compare", str(study.folder / "nowhere"))
    assert missing.status == 2 and "verdict.json" in missing.err
