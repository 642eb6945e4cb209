"""A study run again: its estimates, rates and findings held against those of the first run.

Another processor sums in another order, so a rerun from the same seeds is not bit-equal, and a tuning can
turn. What chance allows is the prediction interval; what lies outside it, or turns a finding, is told.
"""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from studykit.claims.claim import Claim
from studykit.claims.prediction import agree, predicted
from studykit.claims.words import ABSENT, estimate_in_words, format_number
from studykit.report.record import Record, read_verdicts

RATES = "learning_rates.csv"


@dataclass(frozen=True)
class Comparison:
    """One claim in both runs.

    Attributes:
        claim: its key.
        first: estimate of the first run in words; rerun: that of the rerun.
        expected: where the rerun's value was to be expected, by the first.
        agrees: whether each lies in the other's prediction interval; None where one has no estimate.
        finding: the finding, or how it turned.
        turned: whether it did.
        rates: arms of the study that chose another learning rate in the rerun, in words.
    """

    claim: str
    first: str
    rerun: str
    expected: str
    agrees: bool | None
    finding: str
    turned: bool
    rates: tuple[str, ...] = ()


def evidence_of(claims: Mapping[str, Claim], results: Path, rerun: Path) -> Path:
    """The folder of the evidence that a rerun's folder repeats: its study's, at its profile.

    Raises:
        FileNotFoundError: the rerun has no ``verdict.json``.
        ValueError: it is broken, or none of its claims is known.
    """
    for record in read_verdicts(rerun):
        if record.verdict.claim in claims:
            return Path(results) / claims[record.verdict.claim].study / str(record.verdict.profile)
    raise ValueError(f"{rerun} has no claim of any paper")


def compare(claims: Mapping[str, Claim], first: Path, rerun: Path) -> list[Comparison]:
    """Every claim that both folders have a verdict on, in the first's order.

    Raises:
        FileNotFoundError: a folder has no ``verdict.json``.
        ValueError: one is broken, they are of different studies, or share no claim.
    """
    others = {record.verdict.claim: record for record in read_verdicts(rerun)}
    pairs = [(record, others[record.verdict.claim]) for record in read_verdicts(first)
             if record.verdict.claim in others and record.verdict.claim in claims]  # fmt: skip
    if not pairs:
        raise ValueError(f"{first} and {rerun} share no claim")
    return [compared(claims[one.verdict.claim], one, other) for one, other in pairs]


def compared(claim: Claim, first: Record, rerun: Record) -> Comparison:
    """One claim of two records."""
    one, other = first.verdict, rerun.verdict
    words = [ABSENT if v.estimate is None else estimate_in_words(v.estimate) for v in (one, other)]
    agrees, expected = None, ABSENT
    if one.estimate and other.estimate:
        if claim.rule.counted:
            agrees, expected = one.estimate.value == other.estimate.value, words[0]
        else:
            agrees = agree(claim.rule, one.estimate, other.estimate)
            ends = predicted(claim.rule, one.estimate, other.estimate.n)
            expected = " to ".join(format_number(float(end)) for end in ends)
    findings = [v.finding or v.status for v in (one, other)]
    turned = findings[0] != findings[1]
    finding = " → ".join(findings) if turned else findings[0]
    return Comparison(claim.key, *words, expected, agrees, finding, turned)


def comparison_in_words(comparison: Comparison) -> str:
    """Both numbers, where the second was to be expected, the finding, and rates that turned with it."""
    said = {True: "as expected", False: "NOT as expected", None: "not comparable"}[comparison.agrees]
    mark = "finding turned: " if comparison.turned else ""
    expected = f"expected {comparison.expected}"
    rates = f"; another learning rate: {', '.join(comparison.rates)}" if comparison.rates else ""
    numbers = f"{comparison.first}, then {comparison.rerun} ({said}: {expected})"
    return f"{numbers}; {mark}{comparison.finding}{rates}"


def rates_that_turned(first: Path, rerun: Path) -> Iterator[str]:
    """Arms that chose another learning rate in the rerun, in words; none where a folder has no such table."""
    one, other = _chosen(first / RATES), _chosen(rerun / RATES)
    for arm, rate in one.items():
        if other.get(arm, rate) != rate:
            yield f"{arm}: {one[arm]:g} → {other[arm]:g}"


def _chosen(path: Path) -> dict[str, float]:
    """The rate of each arm. ``chosen`` holds it, or says of a row whether it is the one."""
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    found = {}
    for row in rows:
        chosen = row.get("chosen", "False")
        arm = f"{row['arm']} on {row['source']}" if row.get("source") else row["arm"]
        if chosen == "True":
            found[arm] = float(row["learning rate"])
        elif chosen != "False":
            found[arm] = float(chosen)
    return found
