"""Judging from what lies beside a verdict: the tables of its folder, read as its claim says.

Nothing is trained. Whoever doubts a rule changes it and judges again.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

from studykit.claims.claim import Claim, Paper
from studykit.claims.estimate import Estimate
from studykit.claims.reading import MAIN, RISE, SPEED_UP, read_estimate
from studykit.claims.verdict import Verdict, judge
from studykit.report.curve_reading import read_rise, read_speedup
from studykit.report.record import FILE, Record, read_verdicts, write_verdicts

_CURVES = {SPEED_UP: read_speedup, RISE: read_rise}


def measured(
    claim: Claim, folder: Path, kind: str, tables: Collection[str] | None = None
) -> dict[str, Estimate]:
    """What the tables of ``<results>/<study>/<profile>`` say of a claim, its gates and its alternatives.

    Where two readings tell of one number, the later one that finds its table is taken.

    Args:
        claim: whose readings are followed.
        folder: of the claim's study.
        kind: kind of evidence.
        tables: names of the folder's tables to be trusted, all by default.
    """
    found = {}
    for reading in claim.readings:
        if tables is not None and reading.table and not reading.study and reading.table not in tables:
            continue
        estimate = _CURVES.get(reading.how, read_estimate)(reading, folder, kind)
        if estimate is not None:
            found[reading.of] = estimate
    return found


def judge_record(claim: Claim, record: Record, folder: Path) -> Verdict:
    """The verdict that the claim's rule gives for the tables beside a record.

    Where the tables do not hold the rule's own estimate, the one that its study concluded with is taken.
    """
    stored = record.verdict.estimate
    found = measured(claim, folder, stored.kind if stored else "reduced-scale")
    return judge(claim, found.pop(MAIN, stored), profile=record.verdict.profile, beside=found)


def judge_again(results: Path, papers: Mapping[str, Paper], study: str | None = None) -> list[Verdict]:
    """Judge the verdicts of one study, or of all, from their tables, and write those that changed.

    Raises:
        ValueError: no verdict of that study, a ``verdict.json`` that is broken, or a claim that no paper has.
    """
    claims = {claim.key: claim for paper in papers.values() for claim in paper.claims}
    paths = sorted(Path(results).glob(f"{study or '*'}/*/{FILE}"))
    if not paths:
        raise ValueError(f"{study or results} has no verdict to judge again; run its notebook first")
    verdicts = []
    for path in paths:
        folder, changed = path.parent, []
        for record in read_verdicts(folder):
            if record.verdict.claim not in claims:
                raise ValueError(f"{path}: no paper has the claim {record.verdict.claim!r}")
            verdict = judge_record(claims[record.verdict.claim], record, folder)
            verdicts.append(verdict)
            if verdict != record.verdict:
                changed.append(replace(record, verdict=verdict))
        if changed:
            write_verdicts(folder, folder.parent.name, changed[0].verdict.profile, changed)
    return verdicts
