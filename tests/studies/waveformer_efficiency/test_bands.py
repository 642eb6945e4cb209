"""Bands of volumes whose detail is known, and what the inverse gives back."""

import pytest
import torch

from studykit.studies.waveformer_efficiency.bands import (
    bands_of,
    by_details,
    residual,
    share_of_detail,
    shares_of,
    white_noise,
)


def test_a_letter_names_the_axis_that_changes():
    x = torch.zeros(1, 1, 4, 4, 4, dtype=torch.float64)
    x[..., ::2] = 1.0
    energy = {name: float(band.square().sum()) for name, band in bands_of(x).items()}
    assert {name for name, own in energy.items() if own > 1e-12} == {"LLL", "LLH"}, "left and right differ"


def test_shares_add_up_and_are_an_eighth_each_in_noise():
    x = white_noise(1, 1, 32, 32, 32)
    shares = shares_of(x)
    assert sum(shares.values()) == pytest.approx(1) and shares["HHH"] == pytest.approx(1 / 8, rel=0.1)
    row = by_details(x)
    assert (
        row["1 H"] + row["2 H"] + row["3 H"] == pytest.approx(row["details"]) == pytest.approx(1 - row["LLL"])
    )
    assert row["2 H"] == pytest.approx(3 / 8, rel=0.1)


def test_little_is_lost_on_the_way_and_less_in_double():
    assert residual((7, 9, 5), 2) < 1e-12 < residual((7, 9, 5), 2, single=True) < 1e-5


def test_odd_sides_have_less_detail_than_seven_eighths():
    assert share_of_detail((4, 4, 4)) == 7 / 8 == share_of_detail((3, 4, 4)), "padded to even, then halved"
