"""The schedule against values worked out by hand."""

import math

import pytest

from studykit.training.schedules import warmup_cosine

SETTINGS = {"steps": 110, "warmup_steps": 10, "lr": 1.0, "min_lr": 0.2}


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (0, 0.1),
        (4, 0.5),
        (9, 1.0),
        (10, 1.0),
        (35, 0.6 + 0.4 * math.sqrt(0.5)),
        (60, 0.6),
        (85, 0.6 - 0.4 * math.sqrt(0.5)),
        (110, 0.2),
    ],
)
def test_closed_form(step: int, expected: float) -> None:
    assert warmup_cosine(step, **SETTINGS) == pytest.approx(expected, rel=1e-12)


def test_rises_then_falls() -> None:
    rates = [warmup_cosine(step, **SETTINGS) for step in range(110)]
    assert rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert min(rates[10:]) > 0.2


def test_without_warmup_starts_at_the_peak() -> None:
    assert warmup_cosine(0, steps=5, warmup_steps=0, lr=0.3, min_lr=0.0) == 0.3
