"""``verdict.json``: the verdicts of one study at one profile, with what each rests on.

Layout, schema 2; every key is always there::

    {"schema": 2, "study": "bertswin-convergence", "profile": "laptop",
     "verdicts": [{"verdict":    {...},                 Verdict.to_dict()
                   "first":      {"claim", "status", "reason", "estimate", "profile"},   or null
                   "provenance": {...},                 studykit.runs.provenance.provenance()
                   "cost":       {"cpu_hours", "gpu_hours", "flops"},
                   "data":       "sample-heads: 8 training, 2 held-out subjects",
                   "n_cases":    2,                     held-out cases behind the estimate, or null
                   "figures":    [["curves.svg", "what it shows, in a sentence"]],
                   "tables":     ["speedup.csv"],
                   "notebook":   "01_bertswin_convergence.ipynb"}]}           or null

``first`` is the verdict as the protocol of 2026-11-20 gave it, for evidence that is as old; a record. Files
of that time (schema 1) are read too: their verdicts then wait for ``studykit judge``.
Files are named relative to the folder and lie in it. The order of verdicts is that of their first writing.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from studykit import atomic
from studykit.claims.verdict import NOT_EVALUATED, Verdict
from studykit.runs.cost import Cost

FILE = "verdict.json"
FIRST_SCHEMA, SCHEMA = 1, 2
WAITING = "Judged by the first protocol; studykit judge decides it again."


@dataclass(frozen=True)
class Record:
    """One verdict and what it rests on; ``figures`` are pairs of file and description, in order of weight.

    ``first`` is the verdict by the first protocol, where there was one.
    """

    verdict: Verdict
    provenance: dict[str, Any]
    cost: Cost = field(default_factory=Cost)
    data: str = ""
    n_cases: int | None = None
    figures: tuple[tuple[str, str], ...] = ()
    tables: tuple[str, ...] = ()
    notebook: str | None = None
    first: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        for file in (*(file for file, _ in self.figures), *self.tables, *filter(None, [self.notebook])):
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", file):
                raise ValueError(f"a record names files in its own folder, got {file!r}")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return values | {"verdict": self.verdict.to_dict(), "cost": asdict(self.cost)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Record":
        """The inverse of :meth:`to_dict`; a missing or unknown key is a ValueError."""
        known = [item.name for item in fields(cls)]
        if sorted(values) != sorted(known):
            raise ValueError(f"a record has the keys {', '.join(known)}; got {', '.join(values)}")
        if not isinstance(values["provenance"], dict):
            raise ValueError(f"provenance must be an object, got {values['provenance']!r}")
        return cls(
            verdict=Verdict.from_dict(values["verdict"]),
            provenance=values["provenance"],
            cost=Cost(**values["cost"]),
            data=str(values["data"]),
            n_cases=values["n_cases"],
            figures=tuple((str(file), str(words)) for file, words in values["figures"]),
            tables=tuple(values["tables"]),
            notebook=values["notebook"],
            first=values["first"],
        )


def write_verdicts(folder: str | Path, study: str, profile: str, records: Iterable[Record]) -> Path:
    """Write ``<folder>/verdict.json``; replacing verdicts on the same claims and keeping others.

    Raises:
        ValueError: the file there is broken or of another study or profile, or a verdict of another profile.
    """
    path = Path(folder) / FILE
    merged = {}
    if path.exists():
        merged = {record.verdict.claim: record for record in read_verdicts(folder, study, profile)}
    for record in records:
        if record.verdict.profile != profile:
            raise ValueError(
                f"the verdict on {record.verdict.claim} was reached at profile {record.verdict.profile!r}, "
                f"and cannot stand in {profile!r}"
            )
        merged[record.verdict.claim] = record
    verdicts = [record.to_dict() for record in merged.values()]
    atomic.write_json(path, {"schema": SCHEMA, "study": study, "profile": profile, "verdicts": verdicts})
    return path


def read_verdicts(
    folder: str | Path, study: str | None = None, profile: str | None = None
) -> tuple[Record, ...]:
    """The records of ``<folder>/verdict.json``, checked against ``study`` and ``profile`` where given.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not what this module writes; the message names the file and the reason.
    """
    path = Path(folder) / FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["schema"] not in (FIRST_SCHEMA, SCHEMA):
            raise ValueError(f"schema {content['schema']!r}, this version reads {FIRST_SCHEMA} and {SCHEMA}")
        for key, wanted in (("study", study), ("profile", profile)):
            if wanted is not None and content[key] != wanted:
                raise ValueError(f"it is of {key} {content[key]!r}, expected {wanted!r}")
        known = _brought_forward if content["schema"] == FIRST_SCHEMA else dict
        records = tuple(Record.from_dict(known(values)) for values in content["verdicts"])
        claims = [record.verdict.claim for record in records]
        if len(set(claims)) != len(claims):
            raise ValueError(f"a claim has two verdicts: {', '.join(claims)}")
        for record in records:
            if record.verdict.profile != content["profile"]:
                raise ValueError(f"{record.verdict.claim} is of profile {record.verdict.profile!r}")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"missing key {error}" if isinstance(error, KeyError) else error
        raise ValueError(
            f"{path} cannot be read: {reason}. Remove it and conclude its study again."
        ) from error
    return records


def _brought_forward(values: dict[str, Any]) -> dict[str, Any]:
    """A record of schema 1 as one of schema 2: its verdict becomes ``first``, and another is waited for."""
    first = values["verdict"]
    kept = {key: first[key] for key in ("claim", "estimate", "profile")}
    nothing = {"finding": None, "size": None, "depends_on": "", "gates": [], "sensitivity": []}
    return {
        **values,
        "verdict": {**kept, **nothing, "status": NOT_EVALUATED, "reason": WAITING},
        "first": first,
    }
