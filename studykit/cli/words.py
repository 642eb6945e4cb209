"""What the verbs say and are told: columns, short paths, a parameter's value."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def value_of(name: str, text: str) -> Any:
    """A parameter's value: JSON, or else text; a relative data folder is taken from where the user is."""
    from studykit.data.sources import own_path

    try:
        value = json.loads(text)
    except ValueError:
        value = text
    if name == "data" and isinstance(value, str):
        path = own_path(value)
        return value if path is None else f"{value.partition(':')[0]}:{path}"
    return value


def short(path: Path, root: Path) -> str:
    """A path as seen from ``root``, where it is below it."""
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def print_columns(lines: Sequence[Sequence[str]]) -> None:
    """Cells in columns, as wide as the widest of each."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]) - 1)]
    for line in lines:
        print("  ".join([*(cell.ljust(w) for cell, w in zip(line, widths, strict=False)), line[-1]]))
