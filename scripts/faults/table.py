"""What a kind of fault came to: how many were made, how many were survived, and what was seen."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Row:
    """One line of the table.

    Attributes:
        fault: what was done.
        holds: what counts as survived.
        made, survived: how many.
        seen: figures worth telling, at most a sentence.
        losses: what went wrong, one a fault that was not survived.
    """

    fault: str
    holds: str
    made: int = 0
    survived: int = 0
    seen: str = ""
    losses: list[str] = field(default_factory=list)

    def count(self, loss: str) -> None:
        """One more fault, survived if there is no ``loss`` to tell."""
        self.made += 1
        self.survived += not loss
        if loss:
            self.losses.append(loss)


def markdown(rows: Iterable[Row], facts: str) -> str:
    """The table, with what was lost below it."""
    rows = list(rows)
    made, survived = sum(row.made for row in rows), sum(row.survived for row in rows)
    lines = [
        "# Faults",
        "",
        f"{survived} of {made} faults were survived. Written by `make faults`; {facts}.",
        "",
        "| fault | survived means | made | survived | seen |",
        "|---|---|---:|---:|---|",
        *(f"| {row.fault} | {row.holds} | {row.made} | {row.survived} | {row.seen} |" for row in rows),
    ]
    lost = [f"- {row.fault}: {loss}" for row in rows for loss in row.losses]
    return "\n".join([*lines, *(["", "Not survived:", "", *lost] if lost else [])]) + "\n"


def write(path: Path, text: str) -> None:
    from studykit import atomic

    atomic.write_text(path, text)
