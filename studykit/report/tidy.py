"""Results as tidy tables, one observation a row, for a spreadsheet, R or pandas.

estimates   a row for each number behind a verdict: the estimate itself, its gates, its alternatives
curves      a row for each run, step and metric on this machine
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studykit.claims.claim import Claim, Paper
from studykit.claims.estimate import Estimate
from studykit.report.record import FILE, Record, read_verdicts
from studykit.runs.store import RunStore
from studykit.training.records import METRICS, read_records

if TYPE_CHECKING:
    from pandas import DataFrame

ESTIMATE = ("value", "low", "high", "confidence", "n", "censored", "unit", "kind", "method")
ESTIMATES = (
    "paper", "claim", "study", "folder", "profile", "status", "finding", "size", "depends_on", "role", "name",
    "says", *ESTIMATE, "reported", "null", "least_effect", "direction", "data", "commit", "cpu_hours",
    "gpu_hours", "flops",
)  # fmt: skip
"""Columns of :func:`estimates_frame`."""
CURVES = ("run", "label", "method", "seed", "state", "step", "metric", "value")
"""Columns of :func:`curves_frame`."""


def estimates_frame(results: str | Path, papers: Mapping[str, Paper]) -> "DataFrame":
    """Every number behind every stored verdict, in every profile and rerun: columns :data:`ESTIMATES`.

    ``role`` is ``estimate``, ``gate`` or ``sensitivity``, ``name`` the gate's or alternative's, and ``says``
    what it was judged. What is not at hand is empty; an interval's end may be infinite.

    Raises:
        ValueError: a ``verdict.json`` is broken; the message names it.
    """
    import pandas as pd

    claims = {claim.key: claim for paper in papers.values() for claim in paper.claims}
    rows = [
        row
        for path in sorted(Path(results).glob(f"*/*/{FILE}"))
        for record in read_verdicts(path.parent)
        for row in _of_record(record, path.parent, claims)
    ]
    return pd.DataFrame(rows, columns=list(ESTIMATES))


def curves_frame(runs: str | Path) -> "DataFrame":
    """Every metric of every run below a folder of runs, over its steps: columns :data:`CURVES`."""
    import pandas as pd

    rows = []
    for run in RunStore(runs).list():
        shared = (
            run.key,
            run.label,
            run.config["method"]["name"],
            run.config["seeds"]["training"],
            run.state,
        )
        rows += [
            (*shared, record["step"], name, value)
            for record in read_records(run.folder / METRICS)
            for name, value in record.items()
            if name != "step"
        ]
    return pd.DataFrame(rows, columns=list(CURVES))


def _of_record(record: Record, folder: Path, claims: Mapping[str, Claim]) -> Iterator[dict[str, Any]]:
    verdict, claim = record.verdict, claims.get(record.verdict.claim)
    paper, _, own = verdict.claim.partition("/")
    shared = {
        "paper": paper,
        "claim": own,
        "study": folder.parent.name,
        "folder": folder.name,
        "profile": verdict.profile,
        "status": verdict.status,
        "finding": verdict.finding,
        "size": verdict.size,
        "depends_on": verdict.depends_on,
        "data": record.data,
        "commit": record.provenance.get("commit"),
        "cpu_hours": record.cost.cpu_hours,
        "gpu_hours": record.cost.gpu_hours,
        "flops": record.cost.flops,
    }
    if claim is not None:
        rule = claim.rule
        words = ("reported", "null", "least_effect", "direction")
        shared |= {word: getattr(rule, word) for word in words}
    yield shared | {"role": "estimate", "says": verdict.finding} | _of_estimate(verdict.estimate)
    for role, entries in (("gate", verdict.gates), ("sensitivity", verdict.sensitivity)):
        for entry in entries:
            yield (
                shared
                | {"role": role, "name": entry.name, "says": entry.finding}
                | _of_estimate(entry.estimate)
            )


def _of_estimate(estimate: Estimate | None) -> dict[str, Any]:
    return {} if estimate is None else {name: getattr(estimate, name) for name in ESTIMATE}
