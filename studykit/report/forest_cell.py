"""One row of a forest: ours with its interval and the reported number, in units of the least that counts.

All rows have the same axis, so a table of them is a forest that filters and sorts. The axis is linear up to
the least effect and logarithmic beyond, as :func:`studykit.figures.forest.verdict_forest` has it.
"""

import math
from html import escape

from studykit.claims.rule import Rule
from studykit.report.evidence import Evidence

WIDTH, HEIGHT = 170, 26
FARTHEST = 40.0
LINEAR = 0.6
"""What the way from no effect to the least one takes, in decades of the rest."""


def effect(rule: Rule, value: float) -> float:
    """``value`` in units of the least effect that counts: 0 is none, 1 the least; NaN where it is no effect.

    For non-inferiority 0 is the margin and 1 no loss. Positive is the claimed direction.

    >>> of = {"null": 0.0, "least_effect": 0.02, "repetitions": 5, "units": "seeds"}
    >>> effect(Rule("effect", "Dice", "higher", "difference", **of), 0.03)
    1.5
    """
    if not rule.levels or math.isnan(value) or (rule.scale == "ratio" and value < 0):
        return math.nan
    place = rule.place(value)
    return place / rule.bar if rule.kind == "effect" else (place + rule.bar) / rule.bar


def measured(evidence: Evidence) -> float:
    """Our value as an effect, NaN where there is none: what a forest is sorted by."""
    estimate = evidence.record.verdict.estimate if evidence.record else None
    return math.nan if estimate is None else effect(evidence.claim.rule, estimate.value)


def forest_cell(evidence: Evidence) -> str:
    """The drawing for a table's cell; '' where nothing can be placed, as for what is counted.

    An end beyond the axis, or that nothing bounds, is an arrow.
    """
    rule = evidence.claim.rule
    reported = math.nan if rule.reported is None else effect(rule, rule.reported)
    marks = [_interval(evidence)] if not math.isnan(measured(evidence)) else []
    if not math.isnan(reported):
        marks.append(f'<path class="reported" d="M{_x(reported) - 5:g} {HEIGHT // 2}l5 -5l5 5l-5 5z"/>')
    if not marks:
        return ""
    said = escape(f"ours {evidence.ours}, reported {evidence.reported}")
    axis = f'<path class="axis" d="M{_x(0):g} 0V{HEIGHT}"/><path class="level" d="M{_x(1):g} 0V{HEIGHT}"/>'
    look = evidence.status.replace(" ", "-")
    return (
        f'<svg class="forest {look}" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{said}">'
        f"{axis}{''.join(marks)}</svg>"
    )


def _interval(evidence: Evidence) -> str:
    estimate, rule, y = evidence.record.verdict.estimate, evidence.claim.rule, HEIGHT // 2
    low, high = sorted((effect(rule, estimate.low), effect(rule, estimate.high)))
    start, end = _x(low), _x(high)
    left = f"m5 -4l-5 4l5 4M{start:g} {y}" if low < -FARTHEST else ""
    right = "m-5 -4l5 4l-5 4" if high > FARTHEST else ""
    line = f'<path class="interval" d="M{start:g} {y}{left}H{end:g}{right}"/>'
    return f'{line}<circle cx="{_x(measured(evidence)):g}" cy="{y}" r="4"/>'


def _x(number: float) -> float:
    """Where an effect stands, in units of the drawing; beyond the axis it stands at its end."""
    number = max(-FARTHEST, min(FARTHEST, number))
    size = abs(number)
    along = LINEAR * size if size <= 1 else LINEAR + math.log10(size)
    most = LINEAR + math.log10(FARTHEST)
    return round(WIDTH / 2 + math.copysign(along / most, number) * (WIDTH / 2 - 7), 1)
