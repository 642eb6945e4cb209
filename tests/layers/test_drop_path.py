"""Stochastic depth: whole samples, the right share of them, the mean kept, and nothing in evaluation."""

import pytest
import torch

from studykit.layers.drop_path import DropPath
from studykit.layers.window_attention import SwinBlock
from studykit.layers.windows import Windows


def test_a_sample_is_dropped_as_a_whole_and_the_mean_stays():
    torch.manual_seed(0)
    dropped = DropPath(0.25)(torch.ones(4000, 2, 3))
    assert torch.equal(dropped, dropped[:, :1, :1].expand_as(dropped))
    assert dropped.unique().tolist() == pytest.approx([0.0, 4 / 3])
    assert float((dropped[:, 0, 0] == 0).float().mean()) == pytest.approx(0.25, abs=0.03)


def test_torch_generator_decides():
    def drawn(seed):
        torch.manual_seed(seed)
        return DropPath(0.5)(torch.ones(64, 1))

    assert torch.equal(drawn(0), drawn(0))
    assert not torch.equal(drawn(0), drawn(1))


@pytest.mark.parametrize("layer", [DropPath(0.5).eval(), DropPath(0.0)])
def test_nothing_happens_in_evaluation_or_without_a_rate(layer):
    x, before = torch.ones(8, 1), torch.get_rng_state()
    assert layer(x) is x
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("rate", [-0.1, 1.0])
def test_a_rate_outside_its_range_is_refused(rate):
    with pytest.raises(ValueError, match=f"got {rate}"):
        DropPath(rate)


def test_a_block_without_its_branches_passes_a_sample_on():
    torch.manual_seed(0)
    block = SwinBlock(6, 1, Windows((2, 2, 2), (2, 2, 2)), drop_path=0.5)
    x = torch.randn(32, 2, 2, 2, 6)
    untouched = (block(x) == x).flatten(1).all(dim=1)
    assert 0 < int(untouched.sum()) < 32
    assert not (block.eval()(x) == x).flatten(1).all(dim=1).any()
