"""Reading ``papers/<paper>/paper.toml`` and, beside it, ``protocol_v1.toml``.

A claim's rule is written before any run. Reading is strict: a misspelt key, a missing one, a repeated claim
or a rule that contradicts itself is refused with the file and the key, because a rule read wrongly would
earn a wrong verdict in silence.
"""

import re
import tomllib
from pathlib import Path
from typing import Any

from studykit.claims.claim import SOURCES, Claim, Deviation, FirstProtocol, Paper, Related, Reported
from studykit.claims.reading import MAIN, Reading
from studykit.claims.rule import KEYS, KINDS, OPTIONAL, Alternative, Gate, Rule
from studykit.claims.table import Table

FIRST = "protocol_v1.toml"

_CITATION = ("arxiv", "url", "code", "licence")
_TEXT_KEYS = {"metric", "direction", "scale", "units", "family"}


def read_paper(file: Path) -> Paper:
    """The paper of one file.

    Raises:
        ValueError: the file is malformed; the message names it and the key.
    """
    table, name = Table(str(file), _toml(file)), file.parent.name
    citation = {
        "title": table.take("title", str),
        "authors": table.texts("authors"),
        "year": table.take("year", int),
        "sources": table.texts("sources"),
    }
    citation |= {key: table.take(key, str, optional=True) for key in _CITATION}
    if unknown := sorted(set(citation["sources"]) - set(SOURCES)):
        raise ValueError(f"{file}: key 'sources' has {', '.join(unknown)}; known: {', '.join(SOURCES)}")
    related = tuple(_read_related(entry) for entry in table.tables("related", optional=True))
    first = _read_first(file.with_name(FIRST))
    claims = tuple(_read_claim(entry, name, citation["sources"], first) for entry in table.tables("claims"))
    table.done()
    ids = [claim.id for claim in claims]
    repeated = sorted({id for id in ids if ids.count(id) > 1})
    if repeated:
        raise ValueError(f"{file}: claims: duplicate id {', '.join(map(repr, repeated))}")
    for claim in claims:
        if strangers := set(claim.rule.derived_from) - (set(ids) - {claim.id}):
            raise ValueError(f"{file}: {claim.id}: derived_from names {', '.join(sorted(strangers))}")
    if gone := set(first) - set(ids):
        raise ValueError(f"{file.with_name(FIRST)}: no claim {', '.join(sorted(gone))}")
    return Paper(name=name, related=related, claims=claims, **citation)


def _toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{file}: not valid TOML: {error}") from error


def _read_related(table: Table) -> Related:
    fields = {"title": table.take("title", str)}
    fields |= {key: table.take(key, str, optional=True) for key in ("arxiv", "code", "licence")}
    table.done()
    return Related(**fields)


def _read_first(file: Path) -> dict[str, FirstProtocol]:
    if not file.is_file():
        return {}
    table = Table(str(file), _toml(file))
    found = {}
    for entry in table.tables("claims"):
        rule, status = entry.take("rule", dict), entry.take("status", str, optional=True)
        found[entry.slug("id")] = FirstProtocol(rule, status)
        entry.done()
    table.done()
    return found


def _read_claim(table: Table, paper: str, sources: tuple[str, ...], first: dict[str, FirstProtocol]) -> Claim:
    id = table.slug("id")
    table.where += f" {id!r}"
    study = table.slug("study")
    notebook = table.take("notebook", str)
    if not re.fullmatch(r"\d\d_" + study.replace("-", "_"), notebook):
        expected = f"NN_{study.replace('-', '_')}"
        raise ValueError(f"{table.where}: key 'notebook' must be {expected} for the study, got {notebook!r}")
    rule = _read_rule(Table(f"{table.where}: rule", table.take("rule", dict)))
    named = {MAIN, *(beside.name for beside in (*rule.gates, *rule.sensitivity))}
    claim = Claim(
        paper=paper,
        id=id,
        sentence=table.take("sentence", str),
        study=study,
        notebook=notebook,
        reported=tuple(_read_reported(entry) for entry in table.tables("reported", optional=True)),
        unknown=table.texts("unknown"),
        rule=rule,
        figure=table.take("figure", str, optional=True),
        sources=sources,
        readings=tuple(
            _read_reading(entry, rule, named) for entry in table.tables("readings", optional=True)
        ),
        deviations=tuple(_read_deviation(entry) for entry in table.tables("deviations", optional=True)),
        first=first.get(id),
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
    if kind not in KINDS:
        raise ValueError(f"{table.where}: key 'kind' is {kind!r}; known kinds: {', '.join(KINDS)}")
    values: dict[str, Any] = {}
    for key in KEYS[kind]:
        wanted = str if key in _TEXT_KEYS else int if key == "repetitions" else float
        values[key] = table.take(key, wanted, optional=key in OPTIONAL and kind != "count")
    gates, alternatives = table.tables("gates", optional=True), table.tables("sensitivity", optional=True)
    derived = table.texts("derived_from", optional=True)
    table.done()
    try:
        return Rule(
            kind=kind,
            gates=tuple(_read_gate(entry) for entry in gates),
            sensitivity=tuple(_read_alternative(entry) for entry in alternatives),
            derived_from=derived,
            **values,
        )
    except ValueError as error:
        if str(error).startswith(table.where):
            raise
        raise ValueError(f"{table.where}: key {error}") from error


def _read_gate(table: Table) -> Gate:
    name = table.take("name", str)
    bounds = {side: table.take(side, float, optional=True) for side in ("above", "below")}
    table.done()
    return Gate(name, **bounds)


def _read_alternative(table: Table) -> Alternative:
    alternative = Alternative(table.take("name", str), table.take("varies", str))
    table.done()
    return alternative


def _read_reading(table: Table, rule: Rule, named: set[str]) -> Reading:
    of = table.take("of", str)
    if of not in named:
        raise ValueError(f"{table.where}: key 'of' is {of!r}; known: {', '.join(sorted(named))}")
    texts = (
        "table",
        "value",
        "against",
        "study",
        "by",
        "across",
        "scale",
        "how",
        "unit",
        "place",
        "clock",
        "depth",
    )
    values = {key: table.take(key, str, optional=True) for key in texts}
    values |= {key: table.take(key, str, optional=True) for key in ("low", "high", "n", "censored")}
    values |= {key: table.take(key, float, optional=True) for key in ("plus", "bound", "counted")}
    values |= {key: table.rows(key) for key in ("where", "over")}
    values["together"] = table.truth("together", optional=True)
    table.done()
    given = {key: value for key, value in values.items() if value not in (None, ())}
    try:
        return Reading(of=of, **{"scale": rule.scale or "difference"} | given)
    except ValueError as error:
        raise ValueError(f"{table.where}: {error}") from error


def _read_deviation(table: Table) -> Deviation:
    deviation = Deviation(
        date=table.date("date"),
        commit=table.take("commit", str),
        what=table.take("what", str),
        results_known=table.truth("results_known"),
        before=table.take("before", str, optional=True),
        after=table.take("after", str, optional=True),
    )
    table.done()
    return deviation
