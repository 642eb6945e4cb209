"""Intervals where their numbers put them, on the scale of the rule."""

import re
from dataclasses import replace
from math import inf, log

import pytest
from toy_paper import COUNT, EFFECT, ratio

from studykit.report.html import STYLE
from studykit.report.interval_plot import interval_plot


def spans(drawing):
    found = re.findall(r'<path d="M([\d.]+) \d+.*?H([\d.]+).*?"/><circle cx="([\d.]+)"', drawing)
    return [tuple(map(float, span)) for span in found]


def levels(drawing):
    return [float(x) for x in re.findall(r'class="level" d="M([\d.]+)', drawing)]


def test_ratios_lie_by_their_logarithm():
    drawing = interval_plot(EFFECT, [("ours", ratio(2.4, 1.8, 3.3)), ("half way", ratio(0.5, 0.25, 1.0))])
    (low, high, value), (low2, high2, _) = spans(drawing)
    none, least, reported = levels(drawing)
    assert high2 == none < least < low < value < high < reported
    assert (high - low) / (high2 - low2) == pytest.approx(log(3.3 / 1.8) / log(4), abs=0.01)
    assert "reported 5.8" in drawing and "half way" in drawing and "2.40× [1.80, 3.30]" in drawing


def test_an_end_without_a_bound_runs_to_the_edge():
    drawing = interval_plot(EFFECT, [("ours", ratio(2.4, 0.0, inf)), ("more", ratio(2.4, 1.8, 3.3))])
    (low, high, _), (low2, high2, _) = spans(drawing)
    assert low < low2 and high > high2 and "m7 -5l-7 5l7 5" in drawing and "m-7 -5l7 5l-7 5" in drawing


def test_differences_lie_evenly_and_names_are_escaped():
    rule = replace(EFFECT, scale="difference", null=0.0, least_effect=0.01, reported=None)
    drawing = interval_plot(rule, [("a <b>", ratio(0.0, -0.02, 0.02))])
    ((low, high, value),) = spans(drawing)
    assert value == pytest.approx((low + high) / 2, abs=0.1) == pytest.approx(levels(drawing)[0], abs=0.1)
    assert "<b>" not in drawing


def test_lines_pass_behind_the_words():
    drawing = interval_plot(EFFECT, [("ours", ratio(2.4, 1.8, 3.3)), ("half way", ratio(0.5, 0.25, 1.0))])
    assert drawing.rindex('class="level"') < drawing.index(">ours<")
    assert re.search(r"\.plot text{[^}]*paint-order:stroke;stroke:var\(--paper\)", STYLE)


def test_a_narrow_one_has_each_value_below_its_name_and_no_name_is_cut():
    name = (
        "over mask tokens in place of zeros, and a good many more words than any line of a phone has room for"
    )
    rows = [(name, ratio(2.4, 1.8, 3.3)), ("ours", ratio(2.0, 1.8, 2.2))]
    wide, narrow = (interval_plot(EFFECT, rows, narrow=narrow) for narrow in (False, True))
    assert (
        'class="plot narrow"' in narrow
        and 'x="0" dy="18">2.40×' in narrow
        and 'x="0" dy="18">2.00×' in narrow
    )
    assert '<tspan class="quiet number" dx="8">2.00×' in wide
    for drawing in (wide, narrow):
        width, height = map(int, re.search(r'viewBox="0 0 (\d+) (\d+)"', drawing).groups())
        first, *_ = re.findall(r'<text y="\d+">(.*?)</text>', drawing)
        pieces = re.findall(r'<tspan x="0" dy="\d+">(.*?)</tspan>', first)
        assert " ".join(pieces) == name and len(pieces) > 1 and all(7 * len(p) <= width for p in pieces)
        circles = [int(y) for y in re.findall(r'cy="(\d+)"', drawing)]
        (begin, second) = (int(y) for y in re.findall(r'<text y="(\d+)">', drawing))
        assert begin + 18 * (len(pieces) - 1) < circles[0] < second < circles[1] < height


def test_nothing_to_hold_it_against_is_no_drawing():
    assert interval_plot(COUNT, []) == "" and interval_plot(EFFECT, []) == ""
