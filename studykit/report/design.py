"""What a study's design can see, by the spread of the runs at hand: to be read before new ones are made."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from studykit.claims.looks import obrien_fleming
from studykit.claims.paper import claims_of_study
from studykit.claims.power import least_visible, repetitions_for
from studykit.claims.words import ABSENT, as_written, format_number, with_unit
from studykit.report.record import FILE, Record, read_verdicts

if TYPE_CHECKING:
    from pandas import DataFrame

    from studykit.claims.claim import Claim

HEAD = ("claim", "least that matters", "seen in 80 of 100", "repetitions", "needed", "core- or GPU-hours")
UNBOUNDED = "not known: an end is open"


@dataclass(frozen=True)
class Sight:
    """What the design of one claim can see.

    Attributes:
        claim: whose rule asks.
        least: the least effect, or the margin, that the rule cares for.
        visible: the least effect that 80 of 100 studies as large would find.
        n: repetitions that were made.
        needed: repetitions that the rule's least effect takes, or why that is not known.
        hours: core- or GPU-hours that those repetitions would cost, by what the study cost.
    """

    claim: str
    least: str
    visible: str
    n: str
    needed: str
    hours: str


def sights(results: str | Path, study: str, profile: str) -> list[Sight]:
    """One row for each claim of a study that has an interval, by the verdicts of a profile.

    A claim whose runs are not at hand is named too: nothing is known of its spread before a pilot.

    Raises:
        ValueError: unknown study, or a ``verdict.json`` that is broken.
    """
    folder = Path(results) / study / profile
    records = read_verdicts(folder, study, profile) if (folder / FILE).is_file() else ()
    found = {record.verdict.claim: record for record in records}
    claims = [claim for claim in claims_of_study(study) if not claim.rule.counted]
    return [_sight(claim, found.get(claim.key)) for claim in claims]


def looks_in_words(repetitions: int) -> str:
    """How to look at half and at all of the repetitions that are planned."""
    first, second = obrien_fleming((repetitions, 2 * repetitions))
    return (
        f"Two looks, after {repetitions} and {2 * repetitions} repetitions, err at 5 % together where the "
        f"first takes an interval of {1 - first:.2%} and the second one of {1 - second:.2%} (O'Brien and "
        "Fleming); a third is not allowed."
    )


def power_frame(results: str | Path, study: str, profile: str) -> "DataFrame":
    """The same as a table, for a notebook."""
    import pandas as pd

    rows = [vars(sight).values() for sight in sights(results, study, profile)]
    return pd.DataFrame(rows, columns=list(HEAD))


def _sight(claim: "Claim", record: Record | None) -> Sight:
    rule = claim.rule
    least = rule.least_effect if rule.kind == "effect" else rule.value_at(-rule.bar)
    estimate = record and record.verdict.estimate
    if estimate is None:
        return Sight(claim.id, as_written(least), ABSENT, ABSENT, "not known: no runs at hand", ABSENT)
    visible, needed = least_visible(rule, estimate), repetitions_for(rule, estimate)
    if visible is None:
        return Sight(claim.id, as_written(least), ABSENT, str(estimate.n), UNBOUNDED, ABSENT)
    cost = record.cost.cpu_hours + record.cost.gpu_hours
    hours = ABSENT if needed is None else format_number(cost * needed / estimate.n, 2)
    many = "more than 100,000" if needed is None else f"{needed:,}"
    return Sight(claim.id, as_written(least), with_unit(visible, estimate.unit), str(estimate.n), many, hours)
