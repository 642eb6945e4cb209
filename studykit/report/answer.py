"""What came out for a paper, in plain words: ``papers/<paper>/answer.toml``, held to the verdict files.

A sentence carries no number of its own: ``{claim}`` becomes our value for that claim with its interval,
``{claim.reported}`` the paper's number. It stands only ``when`` its claims have the verdicts, or the
findings, that it was written for; once one of them moves, the verdicts themselves take its place until
somebody writes it anew.
"""

import re
import tomllib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

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
    """What to know before a verdict is quoted, as Markdown with links relative to ``results/``."""

    claims: tuple[str, ...]
    words: str


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
    found = {evidence.claim.id: evidence for evidence in rows}
    judged = [evidence for evidence in rows if evidence.status != NOT_EVALUATED]
    if not judged:
        many = f"None of its {len(rows)} claims has" if len(rows) > 1 else "Its claim has not"
        return f"{many} been judged yet." if rows else "It has no claims yet."
    said = [_said(sentence, found) for sentence in answer.sentences]
    return " ".join(said) or " ".join(_as_judged(evidence) for evidence in _telling(judged)[:3])


def outdated(answer: Answer, rows: Sequence[Evidence]) -> list[str]:
    """Claims whose verdict is no longer the one that a sentence was written for, with both."""
    found = {evidence.claim.id: evidence for evidence in rows}
    return [
        f"{claim}: written for {wanted!r}, now {found[claim].status!r} ({found[claim].finding})"
        for sentence in answer.sentences
        for claim, held in sentence.when.items()
        for wanted in held
        if wanted not in _known_of(found[claim])
    ]


def pictured(answer: Answer, rows: Sequence[Evidence]) -> Evidence | None:
    """The evidence whose figure stands for the paper: the answer's own, else that of a telling claim."""
    drawn = [evidence for evidence in rows if evidence.figure]
    own = [evidence for evidence in drawn if evidence.claim.id == answer.figure]
    return next(iter(own + _telling(drawn)), None)


def _said(sentence: Sentence, found: Mapping[str, Evidence]) -> str:
    named = {*sentence.when, *(name for name, _ in _NUMBER.findall(sentence.words))}
    if strangers := sorted(named - set(found)):
        raise ValueError(f"an answer names {', '.join(strangers)}; known claims: {', '.join(found)}")
    if not all(set(held) <= set(_known_of(found[claim])) for claim, held in sentence.when.items()):
        return " ".join(_as_judged(found[claim]) for claim in sentence.when)
    return _NUMBER.sub(
        lambda match: found[match[1]].reported if match[2] else found[match[1]].ours, sentence.words
    )


def _known_of(evidence: Evidence) -> tuple[str, ...]:
    return (evidence.status, evidence.finding, *evidence.marks)


def _as_judged(evidence: Evidence) -> str:
    reported = f" against {evidence.reported} reported" if evidence.claim.rule.reported is not None else ""
    return f"“{evidence.claim.sentence}” {evidence.status.capitalize()}: {evidence.ours}{reported}."


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
    words, table_when = table.take("words", str), table.take("when", dict)
    table.done()
    when = {claim: tuple(held) if isinstance(held, list) else (held,) for claim, held in table_when.items()}
    if not when or not all(isinstance(word, str) for words in when.values() for word in words):
        raise ValueError(f"{table.where}: key 'when' must give claims verdicts, got {table_when!r}")
    return Sentence(words, when)


def _read_point(table: Table) -> Point:
    point = Point(table.texts("claims"), table.take("words", str))
    table.done()
    return point
