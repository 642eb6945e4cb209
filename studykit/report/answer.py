"""What came out for a paper, in plain words: ``papers/<paper>/answer.toml``, held to the verdict files.

Sentences are the answer; points are what to know besides, before a verdict is quoted. Neither carries a
number of its own: ``{claim}`` becomes our value for that claim with its interval, ``{claim.reported}`` the
paper's number. Words stand only ``when`` their claims have the verdicts, or the findings, that they were
written for; once one of them moves, the verdicts themselves take their place until somebody writes them anew.
"""

import re
import tomllib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from studykit import home
from studykit.claims.table import Table
from studykit.claims.verdict import NOT_EVALUATED, STATUSES
from studykit.report.evidence import Evidence

FILE = "answer.toml"
_NUMBER = re.compile(r"\{([a-z0-9-]+)(\.reported)?\}")


@dataclass(frozen=True)
class Sentence:
    """Words with places for numbers, and the verdicts, findings or marks that the claims behind them have."""

    words: str
    when: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Point:
    """What to know before a verdict is quoted, as Markdown with links relative to ``results/``.

    ``when`` holds its words to verdicts as a sentence's; without it they speak of no verdict.
    """

    claims: tuple[str, ...]
    words: str
    when: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """The answer on one paper. ``figure`` is the claim whose figure shows it best, or None."""

    sentences: tuple[Sentence, ...] = ()
    points: tuple[Point, ...] = ()
    figure: str | None = None


def load_answers(folder: Path | None = None, *, strict: bool = False) -> dict[str, Answer]:
    """The answers below ``folder`` (default: the checkout's ``papers/``), by paper; a paper may have none.

    One that cannot be read is left out with a warning, or else is refused.

    Raises:
        ValueError: ``strict``, and a file is malformed; the message names it and the key.
    """
    folder = home.papers_dir() if folder is None else Path(folder)
    answers = {}
    for path in sorted(folder.glob(f"*/{FILE}")):
        try:
            answers[path.parent.name] = _read(path)
        except ValueError as error:
            if strict:
                raise
            warnings.warn(f"{error}; the verdicts speak in its place", stacklevel=2)
    return answers


def short_answer(answer: Answer, rows: Sequence[Evidence]) -> str:
    """The answer on a paper whose claims are ``rows``, every number from their verdicts.

    Raises:
        ValueError: a sentence names a claim that is not among them.
    """
    return " ".join(" ".join(sentence) for sentence in _sentences(answer, rows))


def headline(answer: Answer, rows: Sequence[Evidence]) -> str:
    """The first sentence of :func:`short_answer`, or the first verdict that has taken its place.

    Raises:
        ValueError: as :func:`short_answer`.
    """
    return _sentences(answer, rows)[0][0]


def concerned(part: Sentence | Point) -> set[str]:
    """The claims that a sentence or a point speaks of: named with it, or by their numbers."""
    named = part.claims if isinstance(part, Point) else ()
    return {*named, *part.when, *(claim for claim, _ in _NUMBER.findall(part.words))}


def named(point: Point) -> str:
    """The claims of a point as code, in Markdown."""
    return ", ".join(f"`{claim}`" for claim in point.claims)


def in_words(part: Sentence | Point, rows: Sequence[Evidence]) -> str:
    """A sentence or a point with its numbers, or the verdicts that it no longer agrees with.

    Raises:
        ValueError: it names a claim that is not among ``rows``.
    """
    return " ".join(_said(part, rows))


def as_judged(evidence: Evidence) -> str:
    """A claim, its verdict and its number, where nobody has put them in plainer words."""
    reported = f" against {evidence.reported} reported" if evidence.claim.rule.reported is not None else ""
    return f"“{evidence.claim.sentence}” {evidence.status.capitalize()}: {evidence.ours}{reported}."


def outdated(answer: Answer, rows: Sequence[Evidence]) -> list[str]:
    """Claims whose verdict is no longer the one that words were written for, with both."""
    found = {evidence.claim.id: evidence for evidence in rows}
    return [
        f"{claim}: written for {wanted!r}, now {found[claim].status!r} ({found[claim].finding})"
        for part in (*answer.sentences, *answer.points)
        for claim, held in part.when.items()
        for wanted in held
        if wanted not in _known_of(found[claim])
    ]


def pictured(answer: Answer, rows: Sequence[Evidence]) -> Evidence | None:
    """The evidence whose figure stands for the paper: the answer's own, else that of a telling claim."""
    drawn = [evidence for evidence in rows if evidence.figure]
    own = [evidence for evidence in drawn if evidence.claim.id == answer.figure]
    return next(iter(own + _telling(drawn)), None)


def _sentences(answer: Answer, rows: Sequence[Evidence]) -> list[list[str]]:
    """What is said for each sentence of the answer: itself, or the verdicts that have taken its place."""
    judged = [evidence for evidence in rows if evidence.status != NOT_EVALUATED]
    if judged:
        said = [_said(sentence, rows) for sentence in answer.sentences]
        return said or [[as_judged(evidence) for evidence in _telling(judged)[:3]]]
    if not rows:
        return [["It has no claims yet."]]
    many = f"Its {len(rows)} claims are" if len(rows) > 1 else "Its claim is"
    run = "not yet judged" if any(evidence.record for evidence in rows) else "not yet run"
    return [[f"{many} written and {run}."]]


def _said(part: Sentence | Point, rows: Sequence[Evidence]) -> list[str]:
    found = {evidence.claim.id: evidence for evidence in rows}
    if strangers := sorted(concerned(part) - set(found)):
        raise ValueError(f"an answer names {', '.join(strangers)}; known claims: {', '.join(found)}")
    if not all(set(held) <= set(_known_of(found[claim])) for claim, held in part.when.items()):
        return [as_judged(found[claim]) for claim in part.when]
    filled = _NUMBER.sub(
        lambda match: found[match[1]].reported if match[2] else found[match[1]].ours, part.words
    )
    return [filled]


def _known_of(evidence: Evidence) -> tuple[str, ...]:
    return (evidence.status, evidence.finding, *evidence.marks)


def _telling(rows: Sequence[Evidence]) -> list[Evidence]:
    """Those that check a reported number first, then those with a plain finding; derived ones last."""
    plain = STATUSES[:3]

    def order(evidence: Evidence) -> tuple[bool, bool, bool]:
        rule = evidence.claim.rule
        return bool(rule.derived_from), rule.reported is None, evidence.status not in plain

    return sorted(rows, key=order)


def _read(path: Path) -> Answer:
    try:
        table = Table(str(path), tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not valid TOML: {error}") from error
    figure = table.take("figure", str, optional=True)
    sentences = tuple(_read_sentence(entry) for entry in table.tables("sentences", optional=True))
    points = tuple(_read_point(entry) for entry in table.tables("points", optional=True))
    table.done()
    return Answer(sentences, points, figure)


def _read_sentence(table: Table) -> Sentence:
    sentence = Sentence(table.take("words", str), _held(table, table.take("when", dict)))
    table.done()
    return sentence


def _read_point(table: Table) -> Point:
    claims, words, when = (
        table.texts("claims"),
        table.take("words", str),
        table.take("when", dict, optional=True),
    )
    point = Point(claims, words, _held(table, when) if when is not None else {})
    table.done()
    return point


def _held(table: Table, when: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    held = {claim: tuple(words) if isinstance(words, list) else (words,) for claim, words in when.items()}
    if not held or not all(isinstance(word, str) for words in held.values() for word in words):
        raise ValueError(f"{table.where}: key 'when' must give claims verdicts, got {when!r}")
    return held
