"""Claims in a terminal: how studies stand, one claim with all that is known of it, designs, reruns."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from studykit.claims.claim import Paper
from studykit.claims.paper import claims_of_study
from studykit.claims.rule_words import kind_in_words, rule_in_words
from studykit.report.cards import deviation_in_words
from studykit.report.design import HEAD, looks_in_words, sights
from studykit.report.evidence import Evidence
from studykit.report.rerun import compare, comparison_in_words, evidence_of, rates_that_turned
from studykit.report.rule_history import rule_commit
from studykit.runs.provenance import in_words


def studies_table(found: Iterable[Evidence], notebooks: Mapping[str, str]) -> list[list[str]]:
    """A head and one row for each study and kind of claim, which are never counted together.

    The sources are those that were read of the claims' papers.

    ``notebooks`` names the notebook of each study that has one.
    """
    rows: dict[str, dict[str, list[Evidence]]] = {}
    for evidence in found:
        kind = evidence.claim.checks.removesuffix(" checked")
        kind += ", derived" if evidence.claim.rule.derived_from else ""
        rows.setdefault(evidence.claim.study, {}).setdefault(kind, []).append(evidence)
    lines = [["study", "notebook", "sources read", "what is checked", "claims", "verdicts"]]
    for study, kinds in rows.items():
        for kind, own in kinds.items():
            statuses = [evidence.status for evidence in own]
            sources = ", ".join(dict.fromkeys(source for e in own for source in e.claim.sources))
            counts = [f"{statuses.count(status)} {status}" for status in dict.fromkeys(statuses)]
            notebook = notebooks.get(study, "not written yet")
            lines.append([study, notebook, sources, kind, str(len(statuses)), ", ".join(counts)])
    return lines


def claim_lines(evidence: Evidence) -> Iterator[str]:
    """A claim with its sentence, sources, rule and changes, and the verdict with its reason and run."""
    claim = evidence.claim
    yield "; ".join((f"{claim.key}: {evidence.status}", *evidence.marks))
    yield f"  {claim.sentence}"
    yield f"  kind: {kind_in_words(claim)}; sources read: {', '.join(claim.sources)}"
    for number in claim.reported:
        yield f"  reported: {number.name} {number.value:g} {number.unit} ({number.place})"
    for unknown in claim.unknown:
        yield f"  unknown: {unknown}"
    yield f"  rule ({claim.rule.kind}): {rule_in_words(claim.rule)}"
    for deviation in claim.deviations:
        yield f"  changed: {deviation_in_words(deviation)}"
    if since := rule_commit(claim):
        yield f"  rule unchanged since commit {since.commit[:12]}, {since.written:%Y-%m-%d %H:%M}"
    if evidence.record is not None:
        yield from _verdict_lines(evidence)


def _verdict_lines(evidence: Evidence) -> Iterator[str]:
    record, profile = evidence.record, evidence.profile
    verdict, facts = record.verdict, record.provenance
    yield f"  {profile}, {verdict.finding or verdict.status}: {verdict.reason}"
    if verdict.depends_on:
        yield f"  {profile}, depends on: {verdict.depends_on}"
    if evidence.first is not None:
        yield f"  {profile}, first protocol, {': '.join(evidence.first)}"
    for other in (record.verdict for record in evidence.others):
        yield f"  {other.profile}, {other.finding or other.status}: {other.reason}"
    for name, comparison in evidence.reruns:
        yield f"  {profile}, rerun {name}: {comparison_in_words(comparison)}"
    yield f"  {profile}, concluded {facts['started'][:16].replace('T', ' ')}, {in_words(facts)}"


def power_lines(results: Path, study: str, profile: str) -> tuple[list[list[str]], str]:
    """A head and one row a claim: what its design can see; and how to look twice."""
    rows = [list(vars(sight).values()) for sight in sights(results, study, profile)]
    planned = [c.rule.repetitions for c in claims_of_study(study) if not c.rule.counted]
    remark = looks_in_words(max(planned)) if planned else "Everything in this study is counted."
    return [list(HEAD), *rows], remark


def comparison_lines(papers: Mapping[str, Paper], results: Path, rerun: Path) -> Iterator[str]:
    """Each claim of a rerun beside the evidence of its study and profile, then the rates that turned."""
    claims = {claim.key: claim for paper in papers.values() for claim in paper.claims}
    first = evidence_of(claims, results, rerun)
    for comparison in compare(claims, first, rerun):
        yield f"{comparison.claim}: {comparison_in_words(comparison)}"
    for turned in rates_that_turned(first, rerun):
        yield f"another learning rate: {turned}"
