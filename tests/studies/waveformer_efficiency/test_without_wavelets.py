"""The block without a wavelet computes what the block with one does."""

from types import SimpleNamespace

import pytest
import torch

from studykit.layers.wave_block import WaveBlock
from studykit.layers.wavelets import BANDS
from studykit.studies.waveformer_efficiency.bands import white_noise
from studykit.studies.waveformer_efficiency.without_wavelets import (
    by_pooling,
    gate_rows,
    largest_gap,
    pooled_and_back,
)


def block(details):
    torch.manual_seed(0)
    return WaveBlock((4, 6, 4), 8, 2, details=details).eval()


@pytest.mark.parametrize(("details", "alike"), [("identity", True), ("off", False)])
def test_only_the_block_that_passes_details_on_is_attention_over_averages(details, alike):
    own, x = block(details), white_noise(1, 8, 4, 6, 4).float()
    assert (largest_gap(own(x), by_pooling(own, x)) < 1e-5) is alike


def test_averages_are_of_two_neighbours_an_axis():
    x = torch.arange(8.0).view(1, 1, 2, 2, 2)
    assert pooled_and_back(x).unique().tolist() == [3.5] and largest_gap(x, pooled_and_back(x)) == 3.5
    assert largest_gap(pooled_and_back(x), x.mean()) == 0


def test_each_gate_gives_a_row_a_band_and_a_block_without_gives_none():
    gate = torch.zeros(1, len(BANDS), 3)
    gate[:, 0], gate[:, -1] = -0.5, 2.0
    encoder = SimpleNamespace(stages=[[SimpleNamespace(gate=None)], [SimpleNamespace(gate=gate)]])
    rows = list(gate_rows(encoder))
    assert len(rows) == len(BANDS) and {row["stage"] for row in rows} == {1}
    assert rows[0] == {"stage": 1, "H in the band": BANDS[0].count("d"), "factor": 0.5}
    assert rows[-1]["H in the band"] == 3 and rows[-1]["factor"] == 2
