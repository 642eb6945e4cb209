"""A paper of four claims and the records that speak for them, made by hand."""

from types import SimpleNamespace

import pytest
from toy_paper import COUNT, FACTS, make_claim

from studykit.claims.estimate import Estimate
from studykit.claims.paper import Paper
from studykit.claims.verdict import judge
from studykit.report.record import Record, write_verdicts
from studykit.runs.cost import Cost


@pytest.fixture
def papers():
    claims = (
        make_claim("steps"),
        make_claim("flops"),
        make_claim("count", COUNT, "cost"),
        make_claim("late"),
    )
    paper = Paper(
        "toy",
        "A <toy> paper",
        ("A. Author",),
        2025,
        "2512.00000",
        None,
        None,
        None,
        ("abstract",),
        (),
        claims,
    )
    return {"toy": paper}


@pytest.fixture
def conclude(tmp_path, papers):
    """Writes one record into ``results/<study>/<profile>`` and gives it back."""

    def write(claim: str, profile: str, estimate: Estimate | None, beside=None, **rest) -> Record:
        found = papers["toy"].claim(claim)
        rest = {"figures": (("curves.svg", 'Error of "both" arms'),), "notebook": "01_speed.ipynb"} | rest
        record = Record(
            judge(found, estimate, profile=profile, beside=beside),
            FACTS,
            Cost(1.5, 0, 2e15),
            "10 heads",
            **rest,
        )
        write_verdicts(results / found.study / profile, found.study, profile, [record])
        return record

    results = tmp_path / "results"
    return SimpleNamespace(write=write, results=results)
