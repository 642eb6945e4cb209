"""Papers and their claims: what is asserted, what would settle it, and what changed since it was written."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from studykit.claims.reading import Reading
from studykit.claims.rule import Rule

SOURCES = ("paper", "abstract", "second-hand summary", "released code")

NUMBER, DIRECTION, ARITHMETIC = (
    "a reported number checked",
    "an effect's direction checked",
    "arithmetic checked",
)
CHECKS = (NUMBER, DIRECTION, ARITHMETIC)
"""Kinds of claim, which are never counted together."""


@dataclass(frozen=True)
class Reported:
    """A number that the source gives, its unit ('' for a pure number) and the place where it stands."""

    name: str
    value: float
    unit: str
    place: str


@dataclass(frozen=True)
class Deviation:
    """A change of a claim's rule, study, set-up or data after it was first written.

    Attributes:
        date: of the change.
        commit: the last commit at which the claim read as before.
        what: what was changed, and why.
        results_known: whether its results were known then; the verdict is exploratory if so.
        before: the status by what stood before, or None where nothing was judged.
        after: the status after it, or None.
    """

    date: date
    commit: str
    what: str
    results_known: bool
    before: str | None
    after: str | None


@dataclass(frozen=True)
class FirstProtocol:
    """A claim's rule and status under the protocol of 2026-11-20, kept as a record.

    ``rule`` is the table as it stood in ``paper.toml``; ``status`` is None where nothing was judged.
    """

    rule: Mapping[str, Any]
    status: str | None


@dataclass(frozen=True)
class Claim:
    """One assertion of a paper, the study that can settle it, and the rule it is settled by.

    ``figure`` names the figure of its notebook that shows the answer, without its ending; None for the first.
    ``readings`` say where its numbers stand in the committed tables. ``sources`` are those of its paper.
    """

    paper: str
    id: str
    sentence: str
    study: str
    notebook: str
    reported: tuple[Reported, ...]
    unknown: tuple[str, ...]
    rule: Rule
    figure: str | None = None
    sources: tuple[str, ...] = ()
    readings: tuple[Reading, ...] = ()
    deviations: tuple[Deviation, ...] = ()
    first: FirstProtocol | None = field(default=None, compare=False)

    @property
    def key(self) -> str:
        """``paper/id``, unique over all papers."""
        return f"{self.paper}/{self.id}"

    @property
    def checks(self) -> str:
        """Which kind of claim it is, one of :data:`CHECKS`."""
        if self.rule.counted:
            return ARITHMETIC
        return DIRECTION if self.rule.reported is None else NUMBER

    @property
    def exploratory(self) -> bool:
        """Whether something was changed when its results were known; what is counted leaves no choice."""
        return not self.rule.counted and any(deviation.results_known for deviation in self.deviations)


@dataclass(frozen=True)
class Related:
    """A work that a paper builds on and that its claims cannot be read without."""

    title: str
    arxiv: str | None
    code: str | None
    licence: str | None


@dataclass(frozen=True)
class Paper:
    """A source and its claims. ``authors`` is ``("unknown",)`` where our copy of the source names none."""

    name: str
    title: str
    authors: tuple[str, ...]
    year: int
    arxiv: str | None
    url: str | None
    code: str | None
    licence: str | None
    sources: tuple[str, ...]
    related: tuple[Related, ...]
    claims: tuple[Claim, ...]

    def claim(self, id: str) -> Claim:
        """The claim of that id.

        Raises:
            ValueError: there is none; the message lists the known ids.
        """
        for claim in self.claims:
            if claim.id == id:
                return claim
        known = ", ".join(claim.id for claim in self.claims)
        raise ValueError(f"unknown claim {id!r} of {self.name}; known claims: {known}")
