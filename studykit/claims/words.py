"""Numbers in words: significant digits, intervals with their unit, and a dash for what does not exist."""

import math
from typing import Any

from studykit.claims.estimate import Estimate

ABSENT = "–"
"""Stands in a cell for a number that does not exist (NaN, None)."""


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


def with_unit(value: float, unit: str) -> str:
    """A number to three significant digits, and its unit."""
    return format_number(float(value)) + _spaced(unit)


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


def value_in_words(estimate: Estimate) -> str:
    """A value with its interval and unit, or the bound that censored repetitions leave of it.

    Where nothing bounds the value it stands alone.
    """
    if estimate.bound:
        end = estimate.high if estimate.bound == "at most" else estimate.low
        never = f"{estimate.censored} of {estimate.n} never arrived"
        return f"{estimate.bound} {with_unit(end, estimate.unit)}, {never}"
    low, high = (math.nan, math.nan) if estimate.open else (estimate.low, estimate.high)
    return format_interval(estimate.value, low, high, estimate.unit)


def estimate_in_words(estimate: Estimate) -> str:
    """The same, with the interval's confidence where it is not the usual 95 %."""
    usual = estimate.kind == "exact" or estimate.open or estimate.confidence == 0.95
    return value_in_words(estimate) + ("" if usual else f" ({estimate.confidence:.0%})")


_ATTACHED = ("×", "%")


def _spaced(unit: str) -> str:
    return unit if unit in ("", *_ATTACHED) else f" {unit}"


SUPERSCRIPTS = "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"
_RAISED = str.maketrans("-0123456789", SUPERSCRIPTS)


def _exponent(numbers: list[float]) -> int:
    """Common power of ten of numbers too large or too small to write out, 0 for all others."""
    largest = float(f"{max(map(abs, numbers), default=0.0):.4g}")
    return math.floor(math.log10(largest)) if largest >= 1e6 or 0 < largest < 1e-3 else 0


def _power(exponent: int) -> str:
    return " × 10" + str(exponent).translate(_RAISED)
