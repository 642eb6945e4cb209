"""What tables say of a folder's subjects: sex, and disease against healthy.

Known tables, the first that lies in the folder: ``participants.tsv`` (BIDS), ``traits.csv`` (one's own,
with a column ``subject``), ``IXI.csv`` or ``IXI.xls`` (IXI), ``oasis_cross-sectional.csv`` (OASIS-1). Sex is
a column ``sex``, ``gender``, ``M/F`` or ``SEX_ID (1=m,2=f)``; disease one of ``diagnosis``, ``dx``,
``group``, or ``CDR``, where 0 is healthy and more is not. Mild cognitive impairment is neither and is left
out.
"""

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from studykit.data.files.text import read_text

SEX, DISEASE = "sex", "disease"
VALUES: Mapping[str, tuple[str, str]] = {SEX: ("male", "female"), DISEASE: ("healthy", "disease")}
"""Trait → its two words; the second one counts as positive."""

TABLES = ("participants.tsv", "traits.csv", "IXI.csv", "IXI.xls", "IXI.xlsx", "oasis_cross-sectional.csv")
ID_COLUMNS = ("participant_id", "subject", "subject_id", "ixi_id", "id")
COLUMNS = {SEX: ("sex", "gender", "m/f", "sex_id"), DISEASE: ("diagnosis", "dx", "group", "cdr")}

_SEX_WORDS = {
    "letters": {"m": "male", "f": "female"},
    "words": {"male": "male", "female": "female", "man": "male", "woman": "female"},
    "numbers": {"1": "male", "2": "female"},
}
_HEALTHY = frozenset("cn hc nc nl con control controls healthy normal hv".split())
_DISEASE = frozenset("ad dementia demented disease patient patients case alzheimer alzheimers".split())
_NEITHER = frozenset("mci emci lmci smc scd sci".split())
_ABSENT = frozenset(["", "n/a", "na", "nan", "none", "unknown", "-"])


@dataclass(frozen=True)
class Traits:
    """Two-valued labels of a source's subjects.

    Attributes:
        values: trait → its two words; the second one counts as positive.
        of: subject → trait → word. A subject without a trait's key has no such label.
        scanner, template: of each subject of a cohort; empty for other sources.
        notes: who has no label, and why.
    """

    values: Mapping[str, tuple[str, str]]
    of: Mapping[str, Mapping[str, str]]
    scanner: Mapping[str, str] = field(default_factory=dict)
    template: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.values)

    def having(self, trait: str, ids: Iterable[str]) -> tuple[str, ...]:
        """Those of some subjects that have a label, in their order, each once."""
        self._known(trait)
        return tuple(i for i in dict.fromkeys(ids) if trait in self.of.get(i, {}))

    def numbers(self, trait: str, ids: Iterable[str]) -> tuple[int, ...]:
        """0 or 1 for each subject: 1 has the second of ``values[trait]``.

        Raises:
            ValueError: an unknown trait, a subject without a label, or one class only.
        """
        self._known(trait)
        ids = list(ids)
        if without := [i for i in ids if trait not in self.of.get(i, {})]:
            raise ValueError(f"{len(without)} of {len(ids)} subjects have no {trait}: {_some(without)}")
        numbers = tuple(self.values[trait].index(self.of[i][trait]) for i in ids)
        if len(set(numbers)) < 2:
            seen = self.values[trait][numbers[0]] if numbers else "nobody"
            raise ValueError(f"{trait} has one class only among {len(ids)} subjects: {seen}")
        return numbers

    def _known(self, trait: str) -> None:
        if trait not in self.values:
            raise ValueError(f"unknown trait {trait!r}; known: {', '.join(self.values)}")


def folder_traits(root: Path, subjects: Iterable[str]) -> Traits:
    """Traits of the subjects of a folder, from the table that lies in it.

    Ids agree where letters and digits do, without ``sub-``: ``sub-ADNI002`` is ``ADNI002``.

    Raises:
        ValueError: no table, a table without its columns, a subject that it does not have, one that it has
            twice with different words, words that are not known, or two encodings of sex in one column.
    """
    subjects = list(dict.fromkeys(subjects))
    table = next((root / name for name in TABLES if (root / name).is_file()), None)
    if table is None:
        raise ValueError(f"{root} has no table of its subjects; looked for {', '.join(TABLES)}")
    rows = _read(table)
    columns = list(rows[0]) if rows else []
    key = _column(columns, ID_COLUMNS)
    if key is None:
        raise ValueError(f"{table} has no column of ids, such as {ID_COLUMNS[0]}; it has {_some(columns)}")
    chosen = {trait: _column(columns, names) for trait, names in COLUMNS.items()}
    if not any(chosen.values()):
        wanted = "; ".join(f"{trait}: {', '.join(names)}" for trait, names in COLUMNS.items())
        raise ValueError(f"{table} has no column of a trait ({wanted}); it has {_some(columns)}")
    of: dict[str, dict[str, str]] = {subject: {} for subject in subjects}
    notes, place = [], {_plain(subject): subject for subject in subjects}
    ids = [_plain(_table_id(row[key], key)) for row in rows]
    if absent := [subject for plain, subject in place.items() if plain not in set(ids)]:
        raise ValueError(
            f"{table} lacks {len(absent)} of {len(subjects)} subjects: {_some(absent)}; add a row for "
            "each, with n/a where nothing is known"
        )
    for trait, column in chosen.items():
        if column is None:
            continue
        own = [(place[i], row[column]) for i, row in zip(ids, rows, strict=True) if i in place]
        words = _words(trait, column, [text for _, text in own], table)
        for subject, text in own:
            word = words[_folded(text)]
            if of[subject].setdefault(trait, word) != word:
                raise ValueError(
                    f"{table} has {subject} twice, with different {column}: {_texts(own, subject)}"
                )
        of = {subject: {t: w for t, w in traits.items() if w} for subject, traits in of.items()}
        if left := [f"{s} ({t.strip() or 'empty'})" for s, t in dict(own).items() if trait not in of[s]]:
            notes.append(
                f"{len(left)} of {len(subjects)} subjects have no {trait} by {column}: {_some(left)}"
            )
    return Traits({t: VALUES[t] for t, c in chosen.items() if c}, of, notes=tuple(notes))


def _read(table: Path) -> list[dict[str, str]]:
    if table.suffix in (".xls", ".xlsx"):
        import pandas as pd

        try:
            frame = pd.read_excel(table, dtype=str)
        except ImportError as error:
            raise ValueError(
                f"{table} is a spreadsheet, and what reads it is not installed ({error}); save it as "
                f"{table.stem}.csv beside it"
            ) from error
        return frame.fillna("").to_dict("records")
    delimiter = "\t" if table.suffix == ".tsv" else ","
    rows = csv.DictReader(read_text(table).splitlines(), delimiter=delimiter)
    return [{name: row[name] or "" for name in rows.fieldnames or ()} for row in rows]


def _column(columns: Sequence[str], names: Sequence[str]) -> str | None:
    """The first of some columns that a table has, in any letters and without a remark in brackets."""
    bare = {re.sub(r"\s*\(.*\)$", "", column).strip().casefold(): column for column in columns}
    return next((bare[name] for name in names if name in bare), None)


def _table_id(text: str, column: str) -> str:
    """A table's id as file names have it: ``IXI002`` of 2, ``OAS1_0001`` of ``OAS1_0001_MR1``."""
    text = text.strip()
    if column.casefold() == "ixi_id" and re.fullmatch(r"\d+(\.0)?", text):
        return f"IXI{int(float(text)):03d}"
    return re.sub(r"_MR\d+$", "", text)


def _plain(subject: str) -> str:
    return re.sub(r"[^a-z0-9]", "", re.sub(r"^sub-", "", subject.casefold()))


def _folded(text: str) -> str:
    return re.sub(r"\.0+$", "", text.strip().casefold())


def _words(trait: str, column: str, texts: Sequence[str], table: Path) -> dict[str, str]:
    """Text as :func:`_folded` → the trait's word, empty for none."""
    seen = dict.fromkeys(_folded(text) for text in texts)
    words = {text: "" for text in seen if text in _ABSENT}
    rest = [text for text in seen if text not in words]
    if trait == SEX:
        return words | _sexes(column, rest, table)
    if column.casefold() == "cdr":
        if odd := [text for text in rest if not re.fullmatch(r"\d(\.\d+)?", text)]:
            raise ValueError(f"{table}: CDR is a number from 0 to 3, got {_some(odd)}")
        return words | {text: VALUES[DISEASE][float(text) > 0] for text in rest}
    words |= {text: "" for text in rest if text in _NEITHER}
    known = dict.fromkeys(_HEALTHY, "healthy") | dict.fromkeys(_DISEASE, "disease")
    rest = [text for text in rest if text not in words]
    strange = [text for text in rest if text not in known]
    # Beside controls, a single other word is the patients'.
    if len(strange) == 1 and {known.get(text) for text in rest} == {"healthy", None}:
        known[strange[0]] = "disease"
    elif strange:
        raise ValueError(
            f"{table}: unknown words in {column}: {_some(strange)}; healthy are "
            f"{_some(sorted(_HEALTHY), 20)}; ill are {_some(sorted(_DISEASE), 20)}; left out are "
            f"{_some(sorted(_NEITHER), 20)}"
        )
    return words | {text: known[text] for text in rest}


def _sexes(column: str, texts: Sequence[str], table: Path) -> dict[str, str]:
    used = {name: [t for t in texts if t in words] for name, words in _SEX_WORDS.items()}
    used = {name: found for name, found in used.items() if found}
    known = {text: word for words in _SEX_WORDS.values() for text, word in words.items()}
    if strange := [text for text in texts if text not in known]:
        raise ValueError(
            f"{table}: unknown words in {column}: {_some(strange)}; known: M and F, male and female, "
            "or 1 (male) and 2 (female)"
        )
    if len(used) > 1:
        mixed = " beside ".join(_some(found) for found in used.values())
        raise ValueError(f"{table}: {column} has two encodings of sex: {mixed}; use one throughout")
    return {text: known[text] for text in texts}


def _texts(own: Sequence[tuple[str, str]], subject: str) -> str:
    return _some([text for other, text in own if other == subject])


def _some(names: Sequence[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
