"""Which evidence speaks for each claim: the strongest profile at hand, read from ``results/``."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from studykit.claims.claim import Claim, Paper
from studykit.claims.finding import NEGLIGIBLE, NOT_STATED, SUPPORTED, UNINFORMATIVE, directions_of
from studykit.claims.multiplicity import holm
from studykit.claims.power import p_value
from studykit.claims.verdict import NOT_EVALUATED, judge
from studykit.claims.words import ABSENT, as_written, estimate_in_words
from studykit.report.record import FILE, Record, read_verdicts
from studykit.report.rerun import Comparison, compared, rates_that_turned

if TYPE_CHECKING:
    from pandas import DataFrame

EVIDENCE_PROFILES = ("paper", "gpu", "laptop")
"""Profiles whose results are evidence, strongest first; smoke only exercises the code."""


@dataclass(frozen=True)
class Evidence:
    """A claim and the record that speaks for it, None where none does.

    ``survives`` says whether a supported finding stands after Holm's correction over its family; None where
    the question does not arise. ``others`` are the verdicts of other profiles, never pooled with it, and
    ``reruns`` hold the same study run again against it, by name.
    """

    claim: Claim
    record: Record | None
    survives: bool | None = None
    others: tuple[Record, ...] = ()
    reruns: tuple[tuple[str, Comparison], ...] = ()

    @property
    def status(self) -> str:
        return NOT_EVALUATED if self.record is None else self.record.verdict.status

    @property
    def finding(self) -> str:
        """The finding, or a dash."""
        return (self.record and self.record.verdict.finding) or ABSENT

    @property
    def size(self) -> str:
        """How large it is beside the reported number, or a dash where none is reported."""
        size = self.record and self.record.verdict.size
        return ABSENT if size in (None, NOT_STATED) else size

    @property
    def marks(self) -> tuple[str, ...]:
        """What goes with the verdict: exploratory, what turns it, and whether it survives Holm."""
        marks = []
        if self.record is None or self.status == NOT_EVALUATED:
            return ()
        if self.claim.exploratory:
            marks.append("exploratory")
        if self.record.verdict.depends_on:
            varies = (part.partition(" (")[0] for part in self.record.verdict.depends_on.split("); "))
            marks.append(f"depends on {' and '.join(varies)}")
        if self.survives is False:
            marks.append("does not survive Holm's correction")
        own = directions_of(self.finding)
        opposed = [r.verdict for r in self.others if own.isdisjoint(directions_of(r.verdict.finding))]
        if opposed:
            marks.append(f"heterogeneous ({', '.join(f'{v.finding} at {v.profile}' for v in opposed)})")
        marks += [f"turned in rerun {name}" for name, comparison in self.reruns if comparison.turned]
        return tuple(marks)

    @property
    def first(self) -> tuple[str, str] | None:
        """Status and reason by the first protocol; a claim whose runs were replaced keeps the status."""
        if self.record is not None and self.record.first is not None:
            return self.record.first["status"], self.record.first["reason"]
        if self.claim.first is None or self.claim.first.status is None:
            return None
        return self.claim.first.status, "Its runs were replaced since, and the reason went with them."

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
        """Our value with its interval and unit, or the bound on it, or a dash."""
        estimate = None if self.record is None else self.record.verdict.estimate
        return ABSENT if estimate is None else estimate_in_words(estimate)

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

    An informative profile goes before one that is not, one that was judged before one that was not, then the
    stronger goes first; the others stand beside it. A study run
    again lies in ``<study>/<profile>-rerun-<name>`` and is held against the first, never pooled with it.
    Verdicts on a paper that is not among ``papers``, as its file cannot be read, are passed over.

    Raises:
        ValueError: a ``verdict.json`` is broken, names a claim that its paper has not or another study's, or
            states a verdict that its claim's rule does not give for its estimate.
    """
    claims = {claim.key: claim for paper in papers.values() for claim in paper.claims}
    found: dict[str, list[Record]] = {key: [] for key in claims}
    for profile in EVIDENCE_PROFILES:
        for path in sorted(Path(results).glob(f"*/{profile}/{FILE}")):
            for record in _checked(path, claims):
                found[record.verdict.claim].append(record)
    return _corrected(
        _evidence(claim, _by_weight(found[key]), Path(results)) for key, claim in claims.items()
    )


def summary_frame(results: str | Path, papers: Mapping[str, Paper], beside: str | None = None) -> "DataFrame":
    """One row a claim: paper, claim, reported, ours, n, evidence, profile, finding, verdict, all as words.

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
            "finding": evidence.finding,
            "verdict": evidence.status,
        }
        for evidence in gather(results, papers)
    ]
    frame = pd.DataFrame(rows)
    if beside is not None:
        run = _numbers_of(Path(results), papers, beside)
        frame["this run"] = [run.get(f"{row['paper']}/{row['claim']}", ABSENT) for row in rows]
    return frame


def _corrected(found: Iterable[Evidence]) -> tuple[Evidence, ...]:
    """Holm's correction within each paper's families; what is not informative enters with p = 1."""
    found = tuple(found)
    families: dict[tuple[str, str], dict[str, float]] = {}
    for evidence in found:
        claim = evidence.claim
        if claim.rule.family:
            families.setdefault((claim.paper, claim.rule.family), {})[claim.key] = _p_value(evidence)
    survives = {key: stands for family in families.values() for key, stands in holm(family).items()}
    supported = (SUPPORTED, NEGLIGIBLE)
    return tuple(
        replace(evidence, survives=survives.get(evidence.claim.key))
        if evidence.finding in supported
        else evidence
        for evidence in found
    )


def _p_value(evidence: Evidence) -> float:
    verdict = evidence.record.verdict if evidence.record else None
    if verdict is None or verdict.finding in (None, UNINFORMATIVE):
        return 1.0
    return p_value(evidence.claim.rule, verdict.estimate)


def _checked(path: Path, claims: Mapping[str, Claim]) -> tuple[Record, ...]:
    study, profile = path.parent.parent.name, path.parent.name
    papers = {claim.paper for claim in claims.values()}
    records = tuple(
        record
        for record in read_verdicts(path.parent, study, profile)
        if record.verdict.claim.partition("/")[0] in papers
    )
    for record in records:
        verdict = record.verdict
        claim = claims.get(verdict.claim)
        if claim is None:
            raise ValueError(f"{path}: no paper has the claim {verdict.claim!r}; known: {', '.join(claims)}")
        if claim.study != study:
            raise ValueError(f"{path}: {claim.key} is settled by the study {claim.study!r}, not {study!r}")
        beside = {
            b.name: b.estimate for b in (*verdict.gates, *verdict.sensitivity) if b.estimate is not None
        }
        known = {entry.name for entry in (*claim.rule.gates, *claim.rule.sensitivity)}
        kept = {name: estimate for name, estimate in beside.items() if name in known}
        given = judge(claim, verdict.estimate, profile=profile, beside=kept)
        said, rule = ((v.status, v.finding, v.size, v.depends_on) for v in (verdict, given))
        if said != rule:
            raise ValueError(
                f"{path}: says {claim.key} is {verdict.status!r} ({verdict.finding}), but its rule gives "
                f"{given.status!r} ({given.finding}) for the estimates there: the rule or the file was "
                f"changed since. Run studykit judge {study}, or conclude the study again."
            )
    return records


def _evidence(claim: Claim, records: Sequence[Record], results: Path) -> Evidence:
    first = next(iter(records), None)
    others = tuple(r for r in records[1:] if r.verdict.status != NOT_EVALUATED)
    return Evidence(claim, first, others=others, reruns=tuple(_reruns(results, claim, first)))


def _by_weight(records: Iterable[Record]) -> list[Record]:
    """Informative ones first, then those that were judged at all, each in their order."""
    order = {UNINFORMATIVE: 1, NOT_EVALUATED: 2}
    return sorted(records, key=lambda record: order.get(record.verdict.status, 0))


def _reruns(results: Path, claim: Claim, record: Record | None) -> Iterator[tuple[str, Comparison]]:
    """Comparisons with the study's folders ``<profile>-rerun-<name>``."""
    if record is None:
        return
    lead = f"{record.verdict.profile}-rerun-"
    for path in sorted(results.glob(f"{claim.study}/{lead}*/{FILE}")):
        rates = tuple(rates_that_turned(results / claim.study / record.verdict.profile, path.parent))
        for other in read_verdicts(path.parent, claim.study):
            if other.verdict.claim == claim.key:
                found = compared(claim, record, other)
                yield path.parent.name.removeprefix(lead), replace(found, rates=rates)


def _numbers_of(results: Path, papers: Mapping[str, Paper], profile: str) -> dict[str, str]:
    claims = {claim.key: claim for paper in papers.values() for claim in paper.claims}
    paths = sorted(results.glob(f"*/{profile}/{FILE}"))
    records = [record for path in paths for record in _checked(path, claims)]
    return {r.verdict.claim: Evidence(claims[r.verdict.claim], r).ours for r in records}
