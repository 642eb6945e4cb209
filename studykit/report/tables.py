"""Tables of a study as CSV in full precision, Markdown, and LaTeX with booktabs; and numbers as words."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from studykit import atomic
from studykit.claims.words import ABSENT, SUPERSCRIPTS, format_number

if TYPE_CHECKING:
    from pandas import DataFrame


LONGEST = 300
"""Rows of the longest table that somebody reads; a longer one is data, and CSV alone."""


class Markdown(str):
    """Words in Markdown: a notebook renders them as the last value of a cell, ``print`` gives the letters."""

    def _repr_markdown_(self) -> str:
        return str(self)


def write_table(
    frame: "DataFrame", folder: str | Path, name: str, caption: str = "", digits: int = 3
) -> dict[str, Path]:
    """Write ``<folder>/<name>.csv``, ``.md`` and ``.tex``, each whole or not at all; more than
    :data:`LONGEST` rows as CSV alone.

    Returns:
        the files by kind.

    Args:
        frame: the rows; a named index becomes the first columns, an unnamed one is left out.
        caption: one sentence for Markdown and LaTeX.
        digits: significant digits of a float in Markdown and LaTeX; CSV keeps every digit.

    Raises:
        ValueError: ``name`` is not a plain file stem.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise ValueError(f"a table's name must be letters, digits, '.', '_' or '-', got {name!r}")
    frame = _flat(frame)
    texts = {"csv": frame.to_csv(index=False, lineterminator="\n")}
    if len(frame) <= LONGEST:
        texts |= {"md": markdown(frame, caption, digits), "tex": latex(frame, name, caption, digits)}
    for kind in ("csv", "md", "tex"):
        path = Path(folder) / f"{name}.{kind}"
        if kind in texts:
            atomic.write_text(path, texts[kind])
        else:
            path.unlink(missing_ok=True)
    return {kind: Path(folder) / f"{name}.{kind}" for kind in texts}


def markdown(frame: "DataFrame", caption: str = "", digits: int = 3) -> Markdown:
    """The table in GitHub's Markdown, numbers to the right; a ``|`` in a cell is escaped."""
    head, rows = _cells(frame, digits)
    head, rows = (
        [escape_markdown(cell) for cell in head],
        [[escape_markdown(cell) for cell in row] for row in rows],
    )
    rule = ["---:" if right else "---" for right in _numeric(frame)]
    lines = ["| " + " | ".join(row) + " |" for row in (head, rule, *rows)]
    return Markdown("\n".join(([caption, ""] if caption else []) + lines) + "\n")


def latex(frame: "DataFrame", label: str, caption: str = "", digits: int = 3) -> str:
    """The table as a LaTeX float for ``\\usepackage{booktabs}``, every cell escaped."""
    head, rows = _cells(frame, digits)
    columns = "".join("r" if right else "l" for right in _numeric(frame))
    first, *others = [" & ".join(map(escape_latex, row)) + r" \\" for row in (head, *rows)]
    lines = [
        r"\begin{table}[t]",
        r"\centering",
        *([rf"\caption{{{escape_latex(caption)}}}"] if caption else []),
        rf"\label{{tab:{label}}}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        first,
        r"\midrule",
        *others,
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def escape_latex(text: str) -> str:
    """``text`` such that LaTeX prints it as it stands; the signs this kit writes become their commands."""
    text = re.sub(f"[{SUPERSCRIPTS}]+", lambda run: f"\0{run[0].translate(_LOWERED)}\1", text)
    text = "".join(_LATEX.get(character, character) for character in text)
    return text.replace("\0", "$^{").replace("\1", "}$")


_LOWERED = str.maketrans(SUPERSCRIPTS, "-0123456789")
_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{character: "\\" + character for character in "&%$#_{}"},
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "±": r"$\pm$",
    "−": r"$-$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "≈": r"$\approx$",
    "∞": r"$\infty$",
    "→": r"$\rightarrow$",
    "ρ": r"$\rho$",
    "σ": r"$\sigma$",
    "μ": r"$\mu$",
    "λ": r"$\lambda$",
    "Δ": r"$\Delta$",
    "–": "--",
    "—": "---",
}


def _flat(frame: "DataFrame") -> "DataFrame":
    return frame.reset_index() if any(name is not None for name in frame.index.names) else frame


def _cells(frame: "DataFrame", digits: int) -> tuple[list[str], list[list[str]]]:
    columns = [
        [
            ABSENT if absent else format_number(value, digits)
            for value, absent in zip(frame[name].tolist(), frame[name].isna(), strict=True)
        ]
        for name in frame.columns
    ]
    return [str(name) for name in frame.columns], [list(row) for row in zip(*columns, strict=True)]


def _numeric(frame: "DataFrame") -> list[bool]:
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    return [is_numeric_dtype(kind) and not is_bool_dtype(kind) for kind in frame.dtypes]


def escape_markdown(cell: str) -> str:
    return cell.replace("|", r"\|").replace("\n", " ")
