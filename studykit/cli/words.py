"""What the verbs say and are told: columns, short paths, the value of a parameter, help at its end."""

import argparse
import codecs
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from io import TextIOWrapper
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


def extend_help(verb: argparse.ArgumentParser, lines: Callable[[], Iterable[str]]) -> None:
    """Lines at the end of a verb's help, worked out when it is asked for."""
    usual = verb.format_help
    verb.format_help = lambda: "\n".join([usual(), *lines()]) + "\n"


def known_studies(**_: object) -> list[str]:
    """Names that a study may be called by, for completion in a shell."""
    from studykit.notebooks import notebooks, study_of

    return [study_of(stem) for stem in notebooks()]


def claimed_studies(**_: object) -> list[str]:
    """Names of the studies that a paper has claims for, their notebooks written or not, for completion."""
    from studykit.claims.paper import load_papers

    return list(dict.fromkeys(claim.study for paper in load_papers().values() for claim in paper.claims))


def begun_claims(**_: object) -> list[str]:
    """Beginnings of a claim's name, one a paper, for completion."""
    from studykit.claims.paper import load_papers

    return [f"{name}/" for name in load_papers()]


def known_sources(**_: object) -> list[str]:
    """Names of sources of volumes, as far as they are whole names, for completion."""
    from studykit.data.sources import sample_sources

    return list(sample_sources())


def known_states(**_: object) -> list[str]:
    """States that a run may be in, for completion."""
    from studykit.runs.store import STATES

    return list(STATES)


def known_profiles(**_: object) -> list[str]:
    """Names of profiles, for completion in a shell."""
    from studykit.arms.profiles import PROFILES

    return list(PROFILES)


def short(path: Path, root: Path) -> str:
    """A path as seen from ``root``, where it is below it."""
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


PLAIN = {"×": "x", "…": "...", "–": "-", "µ": "u", "≤": "<=", "→": "->"}


def plain(error: UnicodeError) -> tuple[str, int]:
    """What stands for letters that a terminal or a log has not, see :func:`codecs.register_error`."""
    letters = error.object[error.start : error.end]
    return "".join(PLAIN.get(letter, "?") for letter in letters), error.end


def speak_plainly() -> None:
    """A stream that lacks a letter gets another one in its place, and no table ends in an error."""
    codecs.register_error("plain", plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="plain")


def print_columns(lines: Sequence[Sequence[str]]) -> None:
    """Cells in columns, as wide as the widest of each."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]) - 1)]
    for line in lines:
        print("  ".join([*(cell.ljust(w) for cell, w in zip(line, widths, strict=False)), line[-1]]))
