"""Tables of a study as CSV in full precision, Markdown, and LaTeX with booktabs; and numbers as words."""

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studykit import atomic

if TYPE_CHECKING:
    from pandas import DataFrame

ABSENT = "–"
"""Stands in a cell for a number that does not exist (NaN, None)."""


def write_table(
    frame: "DataFrame", folder: str | Path, name: str, caption: str = "", digits: int = 3
) -> dict[str, Path]:
    """Write ``<folder>/<name>.csv``, ``.md`` and ``.tex``, each whole or not at all.

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
    texts = {
        "csv": frame.to_csv(index=False, lineterminator="\n"),
        "md": markdown(frame, caption, digits),
        "tex": latex(frame, name, caption, digits),
    }
    paths = {kind: Path(folder) / f"{name}.{kind}" for kind in texts}
    for kind, path in paths.items():
        atomic.write_text(path, texts[kind])
    return paths


def markdown(frame: "DataFrame", caption: str = "", digits: int = 3) -> str:
    """The table in GitHub's Markdown, numbers to the right; a ``|`` in a cell is escaped."""
    head, rows = _cells(frame, digits)
    head, rows = (
        [escape_markdown(cell) for cell in head],
        [[escape_markdown(cell) for cell in row] for row in rows],
    )
    rule = ["---:" if right else "---" for right in _numeric(frame)]
    lines = ["| " + " | ".join(row) + " |" for row in (head, rule, *rows)]
    return "\n".join(([caption, ""] if caption else []) + lines) + "\n"


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
    text = re.sub(f"[{_SUPERSCRIPTS}]+", lambda run: f"\0{run[0].translate(_LOWERED)}\1", text)
    text = "".join(_LATEX.get(character, character) for character in text)
    return text.replace("\0", "$^{").replace("\1", "}$")


def format_number(value: Any, digits: int = 3) -> str:
    """A cell's value in words: floats to ``digits`` significant digits, absent ones as a dash."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return ABSENT if value is None else str(value)
    if isinstance(value, int):
        return f"{value:,}".replace("-", "−")
    if math.isnan(value):
        return ABSENT
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    exponent = _exponent([value])
    if exponent:
        return format_number(value / 10.0**exponent, digits) + _power(exponent)
    whole = abs(float(f"{value:.{digits}g}")) >= 10 ** (digits - 1)
    text = f"{value:,.0f}" if whole else f"{value:#.{digits}g}"
    return text.replace("-", "−")


def as_written(value: float, unit: str = "") -> str:
    """A number as a paper gives it: no digit added, none dropped."""
    return ABSENT if math.isnan(value) else f"{value:,.12g}".replace("-", "−") + _spaced(unit)


def format_interval(value: float, low: float, high: float, unit: str = "") -> str:
    """``value [low, high]``, to two significant digits of the distance between the value and its bounds.

    An infinite bound shows as an open end, ``1.9 [1.2, ∞)``. Without an interval (NaN bounds, or both equal
    to the value) the value stands alone.
    """
    if math.isnan(value) or math.isnan(low) or math.isnan(high) or low == value == high:
        return format_number(value, 4) + (_spaced(unit) if not math.isnan(value) else "")
    exponent = _exponent([number for number in (value, low, high) if math.isfinite(number)])
    numbers = [number / 10.0**exponent for number in (value, low, high)]
    gaps = [gap for bound in numbers[1:] if 0 < (gap := abs(bound - numbers[0])) < math.inf]
    decimals = min(max(1 - math.floor(math.log10(min(gaps))), 0), 6) if gaps else 2
    one, lower, upper = (
        f"{number:,.{decimals}f}".replace("-", "−").replace("inf", "∞") for number in numbers
    )
    left, right = "(" if math.isinf(low) else "[", ")" if math.isinf(high) else "]"
    power = _power(exponent) if exponent else ""
    if unit in _ATTACHED and not power:
        return f"{one}{unit} {left}{lower}, {upper}{right}"
    return f"{one} {left}{lower}, {upper}{right}{power}{_spaced(unit)}"


_ATTACHED = ("×", "%")


def _spaced(unit: str) -> str:
    return unit if unit in ("", *_ATTACHED) else f" {unit}"


_SUPERSCRIPTS = "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"
_LOWERED = str.maketrans(_SUPERSCRIPTS, "-0123456789")
_RAISED = str.maketrans("-0123456789", _SUPERSCRIPTS)
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


def _exponent(numbers: list[float]) -> int:
    """Common power of ten of numbers too large or too small to write out, 0 for all others."""
    largest = float(f"{max(map(abs, numbers), default=0.0):.4g}")
    return math.floor(math.log10(largest)) if largest >= 1e6 or 0 < largest < 1e-3 else 0


def _power(exponent: int) -> str:
    return " × 10" + str(exponent).translate(_RAISED)
