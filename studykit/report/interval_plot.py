"""Intervals of one claim under each other, against no effect, the least that matters and what is reported."""

import math
from collections.abc import Sequence
from html import escape

from studykit.claims.estimate import Estimate
from studykit.claims.rule import Rule
from studykit.claims.words import as_written, value_in_words

WIDTH, LEFT, ROW = 460, 8, 46


def interval_plot(rule: Rule, rows: Sequence[tuple[str, Estimate]]) -> str:
    """The estimates as a drawing for a page, each with its name and its value; '' where none can be placed.

    An end that nothing bounds runs to the edge with an arrow. Ratios stand on a logarithmic axis.
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

    def across(value: float) -> float:
        share = (_place(rule, value) - low + margin) / (high - low + 2 * margin)
        return round(LEFT + share * (WIDTH - LEFT), 1)

    top = 20 * len(levels) + 6
    height = top + ROW * len(rows) + 6
    said = f"{rows[0][0]}: {value_in_words(rows[0][1])}"
    parts = [f'<svg class="plot" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(said)}">']
    for line, (name, value) in enumerate(levels.items()):
        x, anchor = across(value), "end" if across(value) > (LEFT + WIDTH) / 2 else "start"
        parts.append(f'<path class="level" d="M{x} {20 * line + 18}V{height}"/>')
        words = escape(f"{name} {as_written(value)}")
        parts.append(
            f'<text class="quiet" x="{x}" y="{20 * line + 14}" text-anchor="{anchor}">{words}</text>'
        )
    for line, (name, estimate) in enumerate(rows):
        parts.append(_drawn(name, estimate, top + ROW * line + 34, rule, across))
    return "".join([*parts, "</svg>"])


def _drawn(name: str, estimate: Estimate, y: int, rule: Rule, across) -> str:
    start, end, arrow, tip = LEFT, WIDTH - 2, f"m7 -5l-7 5l7 5M{LEFT} {y}", "m-7 -5l7 5l-7 5"
    if _placed(rule, estimate.low):
        start, arrow = across(estimate.low), ""
    if _placed(rule, estimate.high):
        end, tip = across(estimate.high), ""
    said = value_in_words(estimate)
    room = 66 - len(said)
    short = name if len(name) <= room else f"{name[: room - 1]}…"
    return (
        f'<text x="0" y="{y - 12}"><title>{escape(name)}</title>{escape(short)}'
        f'<tspan class="quiet number" dx="8">{escape(said)}</tspan></text>'
        f'<path d="M{start} {y}{arrow}H{end}{tip}"/><circle cx="{across(estimate.value)}" cy="{y}" r="5"/>'
    )


def _placed(rule: Rule, value: float) -> bool:
    return math.isfinite(value) and (rule.scale != "ratio" or value > 0)


def _place(rule: Rule, value: float) -> float:
    return math.log(value) if rule.scale == "ratio" else value
