"""Counts of one network at one size, against the closed form; and a step that would not fit is not run."""

from functools import partial

import pytest

from studykit.metrics.compute import count_parameters
from studykit.models import build_model
from studykit.studies.bertswin_compute import counting
from studykit.studies.bertswin_compute.cost_model import bertswin_operations
from studykit.studies.bertswin_compute.monai_mae import monai_autoencoder

BERTSWIN = partial(build_model, "bertswin")


def test_counts_are_those_of_the_closed_form():
    row = counting.counted(BERTSWIN, 32, 16)
    derived = bertswin_operations(2, 16)
    assert row["parts"] == derived.parts and row["training"] == derived.training
    assert (row["side"], row["patch"]) == (32, 16) and row["kept"] > 0
    assert row["parameters"] == count_parameters(BERTSWIN(img_size=32, patch_size=16))


def test_a_network_that_draws_its_own_mask_is_given_none():
    assert counting.counted(monai_autoencoder, 32, 16, own_mask=True)["training"] > 0
    with pytest.raises(TypeError, match="mask"):
        counting.counted(monai_autoencoder, 32, 16)


def test_a_step_is_timed_only_where_it_fits(monkeypatch):
    small = partial(BERTSWIN, embed_dim=192, depth=1, num_heads=2)
    cost = counting.timed(small, 32, "cpu")
    assert cost["seconds"] > 0 and cost["peak (GB)"] > 0 and cost["counted (GB)"] > 0
    monkeypatch.setattr(counting, "available_bytes", lambda device: 1000)
    none = counting.timed(small, 32, "cpu")
    assert none["counted (GB)"] == cost["counted (GB)"] and none["seconds"] is none["peak (GB)"] is None
