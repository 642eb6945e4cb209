"""Which evidence speaks for each claim: the strongest profile at hand, read from ``results/``."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from studykit.claims.paper import Claim, Paper
from studykit.claims.verdict import NOT_EVALUATED, judge
from studykit.claims.words import ABSENT, as_written, format_interval
from studykit.report.record import FILE, Record, read_verdicts

if TYPE_CHECKING:
    from pandas import DataFrame

EVIDENCE_PROFILES = ("paper", "gpu", "laptop")
"""Profiles whose results are evidence, strongest first; smoke only exercises the code."""


@dataclass(frozen=True)
class Evidence:
    """A claim and the record that speaks for it, None where none does."""

    claim: Claim
    record: Record | None

    @property
    def status(self) -> str:
        return NOT_EVALUATED if self.record is None else self.record.verdict.status

    @property
    def profile(self) -> str:
        return ABSENT if self.record is None else str(self.record.verdict.profile)

    @property
    def reported(self) -> str:
        """The number that the rule holds the estimate against, with its unit, or a dash."""
        rule = self.claim.rule
        if rule.reported is None:
            return ABSENT
        units = {number.unit for number in self.claim.reported if number.value == rule.reported}
        return as_written(rule.reported, units.pop() if len(units) == 1 else "")

    @property
    def ours(self) -> str:
        """Our value with its interval and unit, or a dash."""
        estimate = None if self.record is None else self.record.verdict.estimate
        if estimate is None:
            return ABSENT
        words = format_interval(estimate.value, estimate.low, estimate.high, estimate.unit)
        usual = estimate.kind == "exact" or estimate.confidence == 0.95
        return words if usual else f"{words} ({estimate.confidence:.0%})"

    @property
    def n(self) -> str:
        estimate = None if self.record is None else self.record.verdict.estimate
        return ABSENT if estimate is None or estimate.kind == "exact" else str(estimate.n)

    @property
    def kind(self) -> str:
        estimate = None if self.record is None else self.record.verdict.estimate
        return ABSENT if estimate is None else estimate.kind

    @property
    def figure(self) -> str | None:
        """File of the figure that shows the answer: the claim's own, else the record's first, or None."""
        files = [file for file, _ in self.record.figures] if self.record else []
        own = [file for file in files if file.rpartition(".")[0] == self.claim.figure]
        return next(iter(own + files), None)

    def file(self, name: str) -> str:
        """Path of one of the record's files, relative to ``results/``, with forward slashes."""
        return f"{self.claim.study}/{self.profile}/{name}"


def gather(results: str | Path, papers: Mapping[str, Paper]) -> tuple[Evidence, ...]:
    """Every claim of every paper with its strongest evidence, in the papers' order.

    A profile that came to a verdict goes before one that did not, then the stronger goes first.

    Raises:
        ValueError: a ``verdict.json`` is broken, names a claim that no paper has or that is another study's,
            or states a verdict that its claim's rule does not give for its estimate.
    """
    claims = {claim.key: claim for paper in papers.values() for claim in paper.claims}
    found: dict[str, list[Record]] = {key: [] for key in claims}
    for profile in EVIDENCE_PROFILES:
        for path in sorted(Path(results).glob(f"*/{profile}/{FILE}")):
            for record in _checked(path, claims):
                found[record.verdict.claim].append(record)
    return tuple(Evidence(claim, _strongest(found[key])) for key, claim in claims.items())


def summary_frame(results: str | Path, papers: Mapping[str, Paper], beside: str | None = None) -> "DataFrame":
    """One row a claim: paper, claim, reported, ours, n, evidence, profile, verdict, all as words.

    Args:
        results: the folder of results.
        papers: as :func:`studykit.claims.paper.load_papers` gives them.
        beside: a profile, such as ``smoke``, whose own numbers stand in one more column, ``this run``.

    Raises:
        ValueError: as :func:`gather`.
    """
    import pandas as pd

    rows = [
        {
            "paper": evidence.claim.paper,
            "claim": evidence.claim.id,
            "reported": evidence.reported,
            "ours": evidence.ours,
            "n": evidence.n,
            "evidence": evidence.kind,
            "profile": evidence.profile,
            "verdict": evidence.status,
        }
        for evidence in gather(results, papers)
    ]
    frame = pd.DataFrame(rows)
    if beside is not None:
        run = _numbers_of(Path(results), papers, beside)
        frame["this run"] = [run.get(f"{row['paper']}/{row['claim']}", ABSENT) for row in rows]
    return frame


def _checked(path: Path, claims: Mapping[str, Claim]) -> tuple[Record, ...]:
    study, profile = path.parent.parent.name, path.parent.name
    records = read_verdicts(path.parent, study, profile)
    for record in records:
        verdict = record.verdict
        claim = claims.get(verdict.claim)
        if claim is None:
            raise ValueError(f"{path}: no paper has the claim {verdict.claim!r}; known: {', '.join(claims)}")
        if claim.study != study:
            raise ValueError(f"{path}: {claim.key} is settled by the study {claim.study!r}, not {study!r}")
        given = judge(claim, verdict.estimate, profile=profile).status
        if given != verdict.status:
            raise ValueError(
                f"{path}: says {claim.key} is {verdict.status!r}, but its rule gives {given!r} for the "
                "estimate there: the rule or the file was changed since. Conclude the study again."
            )
    return records


def _strongest(records: list[Record]) -> Record | None:
    judged = [record for record in records if record.verdict.status != NOT_EVALUATED]
    return next(iter(judged or records), None)


def _numbers_of(results: Path, papers: Mapping[str, Paper], profile: str) -> dict[str, str]:
    claims = {claim.key: claim for paper in papers.values() for claim in paper.claims}
    paths = sorted(results.glob(f"*/{profile}/{FILE}"))
    records = [record for path in paths for record in _checked(path, claims)]
    return {r.verdict.claim: Evidence(claims[r.verdict.claim], r).ours for r in records}
