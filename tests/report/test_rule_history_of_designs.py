"""No size of a study was changed after its first run without its claims saying so."""

import pytest
from design_history import changed_since, design_at, precedes

from studykit import home
from studykit.claims.paper import claims_of_study
from studykit.report.record import read_verdicts
from studykit.runs.provenance import ROOT

EVIDENCE = sorted(path.parent for path in (home.home() / "results").glob("*/laptop/verdict.json"))


def first_commit(records) -> str | None:
    """The oldest commit that a run of some verdicts was made with."""
    commits = {run["commit"] for record in records for run in record.provenance.get("runs", ())}
    oldest = [c for c in commits if all(precedes(c, other) for other in commits)]
    return oldest[0] if oldest else None


@pytest.mark.parametrize("folder", EVIDENCE, ids=lambda folder: folder.parent.name)
def test_what_was_changed_after_the_first_run_stands_with_each_claim(folder):
    study, records = folder.parent.name, read_verdicts(folder)
    commit = first_commit(records)
    if commit is None:
        pytest.skip("no run was trained for these verdicts, or git does not know its commit")
    verdicts = [record.verdict for record in records]
    judged = {v.claim for v in verdicts if v.estimate is not None and v.estimate.kind != "exact"}
    for name, (then, now) in changed_since(commit, study, "laptop").items():
        for claim in claims_of_study(study):
            if claim.key in judged:
                told = " ".join(deviation.what for deviation in claim.deviations)
                assert f"`{name}`" in told, f"{claim.key} does not say that {name} went from {then} to {now}"


def test_a_design_of_before_is_that_of_its_own_code():
    """08 trained its detectors for 400 steps before it trained them for 1600."""
    before = design_at("83d22a290aed", "mim-masking", "laptop", ROOT)
    if before is None:
        pytest.skip("no git history here")
    assert before["steps"] == 400 and before["source"] == "angio:mra:{n}"
    assert changed_since("83d22a290aed", "mim-masking", "laptop")["steps"] == (400, 1600)
    assert design_at("0" * 40, "mim-masking", "laptop") is None
    with pytest.raises(RuntimeError, match="no profile 'desk'"):
        design_at("HEAD", "mim-masking", "desk")
