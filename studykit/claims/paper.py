"""Papers and claims as written in ``papers/<paper>/paper.toml``: what is asserted, what would settle it.

A claim's rule is written before any run. Reading is strict: a misspelt key, a missing one, a repeated claim
or a rule that contradicts itself is refused with the file and the key, because a rule read wrongly would
earn a wrong verdict in silence.
"""

import math
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from studykit import home
from studykit.claims.table import Table

RULE_KINDS = ("effect", "count", "identity")
DIRECTIONS = ("higher", "lower")

_RULE_KEYS = {
    "effect": ("metric", "direction", "null", "least_effect", "repetitions", "reported"),
    "count": ("metric", "reported", "tolerance"),
    "identity": ("metric", "tolerance"),
}
_OPTIONAL_RULE_KEYS = {"effect": {"reported"}, "count": set(), "identity": set()}


@dataclass(frozen=True)
class Reported:
    """A number that the source gives, its unit ('' for a pure number) and the place where it stands."""

    name: str
    value: float
    unit: str
    place: str


@dataclass(frozen=True)
class Rule:
    """What would settle a claim; :func:`studykit.claims.verdict.judge` applies it.

    ``effect``: an estimate with an interval is held against ``null`` (no effect), ``least_effect`` (the
    smallest one that counts) and ``reported`` (None where the source gives no size); ``direction`` says
    which way is better, and at least ``repetitions`` are needed. All three stand on the metric's own scale
    (a ratio's null is 1 and its least effect, say, 1.25).
    ``count``: a counted number agrees with ``reported`` within the relative ``tolerance``.
    ``identity``: a residual is at most the absolute ``tolerance``.

    Raises:
        ValueError: a key is missing, foreign to the kind, or contradicts another; the message names it first.
    """

    kind: str
    metric: str
    direction: str | None = None
    null: float | None = None
    reported: float | None = None
    least_effect: float | None = None
    repetitions: int = 1
    tolerance: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in RULE_KINDS:
            raise ValueError(f"kind: got {self.kind!r}; known kinds: {', '.join(RULE_KINDS)}")
        keys, optional = _RULE_KEYS[self.kind], _OPTIONAL_RULE_KEYS[self.kind]
        for key in ("direction", "null", "reported", "least_effect", "tolerance"):
            value = getattr(self, key)
            if value is None and key in keys and key not in optional:
                raise ValueError(f"{key}: missing, and a rule of kind {self.kind!r} needs it")
            if value is not None and key not in keys:
                raise ValueError(f"{key}: has no meaning in a rule of kind {self.kind!r}")
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"{key}: got {value}, needs a finite number")
        if self.kind == "effect":
            self._check_effect()
        elif self.repetitions != 1:
            raise ValueError(f"repetitions: has no meaning in a rule of kind {self.kind!r}")
        if self.kind == "count" and self.reported == 0:
            raise ValueError("reported: 0 has no relative tolerance; write the rule as an identity")
        if self.tolerance is not None and self.tolerance <= 0:
            raise ValueError(f"tolerance: got {self.tolerance}, needs a number above 0")

    def _check_effect(self) -> None:
        if self.direction not in DIRECTIONS:
            raise ValueError(f"direction: got {self.direction!r}; known directions: {', '.join(DIRECTIONS)}")
        if self.repetitions < 1:
            raise ValueError(f"repetitions: got {self.repetitions}, needs at least 1")
        sign = 1 if self.direction == "higher" else -1
        if sign * self.least_effect <= sign * self.null:
            raise ValueError(
                f"least_effect: {self.least_effect} is not beyond the null {self.null} "
                f"({self.direction} is better)"
            )
        if self.reported is not None and sign * self.reported < sign * self.least_effect:
            raise ValueError(
                f"reported: {self.reported} falls short of the least effect {self.least_effect} "
                f"({self.direction} is better)"
            )


@dataclass(frozen=True)
class Claim:
    """One assertion of a paper, the study that can settle it, and the rule it is settled by.

    ``figure`` names the figure of its notebook that shows the answer, without its ending; None for the first.
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

    @property
    def key(self) -> str:
        """``paper/id``, unique over all papers."""
        return f"{self.paper}/{self.id}"


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


def load_papers(folder: Path | None = None) -> dict[str, Paper]:
    """All papers below ``folder`` (default: the checkout's ``papers/``), by folder name, in its order.

    Raises:
        ValueError: a ``paper.toml`` is malformed; the message names the file and the key.
        FileNotFoundError: a paper's folder has no ``paper.toml``.
    """
    folder = home.papers_dir() if folder is None else Path(folder)
    papers = {}
    for path in sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")):
        file = path / "paper.toml"
        if not file.is_file():
            raise FileNotFoundError(f"{path} has no paper.toml: write one, or move the folder elsewhere")
        papers[path.name] = _read_paper(file)
    return papers


def find_claim(key: str, folder: Path | None = None) -> Claim:
    """The claim of a key such as ``bertswin/convergence-speedup``.

    Raises:
        ValueError: no such paper or claim; the message lists the known ones.
    """
    papers = load_papers(folder)
    name, _, id = key.partition("/")
    if name not in papers:
        raise ValueError(f"unknown paper {name!r} in claim {key!r}; known papers: {', '.join(papers)}")
    return papers[name].claim(id)


def studies() -> tuple[str, ...]:
    """Names of all studies that a claim points to."""
    return tuple(dict.fromkeys(c.study for paper in load_papers().values() for c in paper.claims))


def claims_of_study(study: str, folder: Path | None = None) -> tuple[Claim, ...]:
    """The claims that a study settles, in the order of ``paper.toml``.

    Raises:
        ValueError: no claim names that study; the message lists those that are named.
    """
    claims = [claim for paper in load_papers(folder).values() for claim in paper.claims]
    found = tuple(claim for claim in claims if claim.study == study)
    if not found:
        known = sorted({claim.study for claim in claims})
        raise ValueError(f"no claim names the study {study!r}; studies with claims: {', '.join(known)}")
    return found


def _read_paper(file: Path) -> Paper:
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{file}: not valid TOML: {error}") from error
    table, name = Table(str(file), content), file.parent.name
    citation = {
        "title": table.take("title", str),
        "authors": table.texts("authors"),
        "year": table.take("year", int),
    }
    citation |= {key: table.take(key, str, optional=True) for key in ("arxiv", "url", "code", "licence")}
    related = tuple(_read_related(entry) for entry in table.tables("related", optional=True))
    claims = tuple(_read_claim(entry, name) for entry in table.tables("claims"))
    table.done()
    ids = [claim.id for claim in claims]
    repeated = sorted({id for id in ids if ids.count(id) > 1})
    if repeated:
        raise ValueError(f"{file}: claims: duplicate id {', '.join(map(repr, repeated))}")
    return Paper(name=name, related=related, claims=claims, **citation)


def _read_related(table: Table) -> Related:
    fields = {"title": table.take("title", str)}
    fields |= {key: table.take(key, str, optional=True) for key in ("arxiv", "code", "licence")}
    table.done()
    return Related(**fields)


def _read_claim(table: Table, paper: str) -> Claim:
    id = table.slug("id")
    table.where += f" {id!r}"
    study = table.slug("study")
    notebook = table.take("notebook", str)
    if not re.fullmatch(r"\d\d_" + study.replace("-", "_"), notebook):
        expected = f"NN_{study.replace('-', '_')}"
        raise ValueError(f"{table.where}: key 'notebook' must be {expected} for the study, got {notebook!r}")
    claim = Claim(
        paper=paper,
        id=id,
        sentence=table.take("sentence", str),
        study=study,
        notebook=notebook,
        reported=tuple(_read_reported(entry) for entry in table.tables("reported", optional=True)),
        unknown=table.texts("unknown"),
        rule=_read_rule(Table(f"{table.where}: rule", table.take("rule", dict))),
        figure=table.take("figure", str, optional=True),
    )
    table.done()
    return claim


def _read_reported(table: Table) -> Reported:
    reported = Reported(
        name=table.take("name", str),
        value=table.take("value", float),
        unit=table.take("unit", str),
        place=table.take("place", str),
    )
    table.done()
    return reported


def _read_rule(table: Table) -> Rule:
    kind = table.take("kind", str)
    if kind not in RULE_KINDS:
        raise ValueError(f"{table.where}: key 'kind' is {kind!r}; known kinds: {', '.join(RULE_KINDS)}")
    types = {"metric": str, "direction": str, "repetitions": int}
    values = {
        key: table.take(key, types.get(key, float), optional=key in _OPTIONAL_RULE_KEYS[kind])
        for key in _RULE_KEYS[kind]
    }
    table.done()
    try:
        return Rule(kind=kind, **values)
    except ValueError as error:
        raise ValueError(f"{table.where}: key {error}") from error
