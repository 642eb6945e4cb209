"""Numbers in words: digits, powers of ten, open ends, units."""

import math

import pytest

from studykit.claims.words import as_written, format_interval, format_number


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.123456, "0.123"),
        (12.3456, "12.3"),
        (123456.7, "123,457"),
        (5.38e11, "5.38 × 10¹¹"),
        (1.2e-7, "1.20 × 10⁻⁷"),
        (-2.5, "−2.50"),
        (0.0, "0.00"),
        (999.9, "1,000"),
        (99.96, "100"),
        (9.99996e11, "1.00 × 10¹²"),
        (math.nan, "–"),
        (-math.inf, "−∞"),
        (None, "–"),
        (12345, "12,345"),
        ("text", "text"),
    ],
)
def test_numbers_in_words(value, words):
    assert format_number(value) == words


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ((1.9234, 1.2123, 3.0512), "1.92 [1.21, 3.05]"),
        ((5.8, 4.1, 8.2), "5.8 [4.1, 8.2]"),
        ((0.5, 0.4987, 0.5013), "0.5000 [0.4987, 0.5013]"),
        ((1512.3, 1200.0, 1800.0), "1,512 [1,200, 1,800]"),
        ((5.382e11, 5.3e11, 5.46e11), "5.382 [5.300, 5.460] × 10¹¹"),
        ((1.9, 1.2, math.inf), "1.90 [1.20, ∞)"),
        ((1.9, -math.inf, math.inf), "1.90 (−∞, ∞)"),
        ((-0.02, -0.05, 0.01), "−0.020 [−0.050, 0.010]"),
        ((223.8, 223.8, 223.8), "223.8"),
        ((2.5, math.nan, math.nan), "2.500"),
        ((math.nan, 1.0, 2.0), "–"),
    ],
)
def test_intervals_in_words(numbers, words):
    assert format_interval(*numbers) == words


def test_units_stand_where_they_are_read():
    assert format_interval(1.9, 1.2, 3.0, "×") == "1.90× [1.20, 3.00]"
    assert format_interval(1.9, 1.2, 3.0, "mm") == "1.90 [1.20, 3.00] mm"
    assert format_interval(538.2, 538.2, 538.2, "GFLOP") == "538.2 GFLOP"
    assert as_written(5.8, "×") == "5.8×" and as_written(198000.0, "steps") == "198,000 steps"
