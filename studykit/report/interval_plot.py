"""Intervals of one claim under each other, against no effect, the least that matters and what is reported."""

import math
import textwrap
from collections.abc import Callable, Sequence
from html import escape

from studykit.claims.estimate import Estimate
from studykit.claims.rule import Rule
from studykit.claims.words import as_written, value_in_words

LEFT, LINE, LETTER = 8, 18, 7
"""Where the axis begins, and the height of a line and the width of a letter that the page's style gives."""
WIDE, NARROW = 460, 340
"""Width of the drawing on a page, and on a phone, where each value stands on a line of its own."""


def interval_plot(rule: Rule, rows: Sequence[tuple[str, Estimate]], *, narrow: bool = False) -> str:
    """The estimates as a drawing for a page, each with its name and its value; '' where none can be placed.

    An end that nothing bounds runs to the edge with an arrow. Ratios stand on a logarithmic axis. Lines pass
    behind the words. ``narrow`` draws it for a phone; the page's style shows the one or the other.
    """
    levels = rule.levels | ({} if rule.reported is None else {"reported": rule.reported})
    levels = {name: value for name, value in levels.items() if _placed(rule, value)}
    rows = [(name, estimate) for name, estimate in rows if _placed(rule, estimate.value)]
    if not rows or not levels:
        return ""
    ends = [end for _, e in rows for end in (e.low, e.value, e.high) if _placed(rule, end)]
    places = [_place(rule, value) for value in (*ends, *levels.values())]
    low, high = min(places), max(places)
    margin = 0.06 * (high - low) or 1.0
    width = NARROW if narrow else WIDE
    lines = [_lines(name, value_in_words(estimate), width, narrow) for name, estimate in rows]

    def across(value: float) -> float:
        share = (_place(rule, value) - low + margin) / (high - low + 2 * margin)
        return round(LEFT + share * (width - LEFT), 1)

    top = 20 * len(levels) + 6
    height = top + sum(28 + LINE * len(own) for own in lines) + 6
    said = f"{rows[0][0]}: {value_in_words(rows[0][1])}"
    look = "plot narrow" if narrow else "plot"
    parts = [f'<svg class="{look}" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(said)}">']
    for line, (name, value) in enumerate(levels.items()):
        x, anchor = across(value), "end" if across(value) > (LEFT + width) / 2 else "start"
        parts.append(f'<path class="level" d="M{x} {20 * line + 18}V{height}"/>')
        words = escape(f"{name} {as_written(value)}")
        parts.append(
            f'<text class="quiet" x="{x}" y="{20 * line + 14}" text-anchor="{anchor}">{words}</text>'
        )
    y = top - 12
    for own, (_, estimate) in zip(lines, rows, strict=True):
        y += 28 + LINE * len(own)
        words = _words(own, y - 12 - LINE * (len(own) - 1))
        parts += [words, _drawn(estimate, y, rule, across, width)]
    return "".join([*parts, "</svg>"])


def _lines(name: str, value: str, width: int, narrow: bool) -> list[tuple[str, str]]:
    """A name over as many lines as it needs, its value at the end of the last where there is room."""
    *first, last = textwrap.wrap(name, width // LETTER)
    fits = not narrow and len(last) + 2 + len(value) <= width // LETTER
    return [*((line, "") for line in first), *([(last, value)] if fits else [(last, ""), ("", value)])]


def _words(lines: Sequence[tuple[str, str]], y: int) -> str:
    """Name and value above an interval, the first line at height ``y``."""
    parts = []
    for line, (name, value) in enumerate(lines):
        below = f'x="0" dy="{LINE * bool(line)}"'
        parts.append(f"<tspan {below}>{escape(name)}</tspan>" if name else "")
        place = 'dx="8"' if name else below
        parts.append(f'<tspan class="quiet number" {place}>{escape(value)}</tspan>' if value else "")
    return f'<text y="{y}">{"".join(parts)}</text>'


def _drawn(estimate: Estimate, y: int, rule: Rule, across: Callable[[float], float], width: int) -> str:
    start, end, arrow, tip = LEFT, width - 2, f"m7 -5l-7 5l7 5M{LEFT} {y}", "m-7 -5l7 5l-7 5"
    if _placed(rule, estimate.low):
        start, arrow = across(estimate.low), ""
    if _placed(rule, estimate.high):
        end, tip = across(estimate.high), ""
    return f'<path d="M{start} {y}{arrow}H{end}{tip}"/><circle cx="{across(estimate.value)}" cy="{y}" r="5"/>'


def _placed(rule: Rule, value: float) -> bool:
    return math.isfinite(value) and (rule.scale != "ratio" or value > 0)


def _place(rule: Rule, value: float) -> float:
    return math.log(value) if rule.scale == "ratio" else value
