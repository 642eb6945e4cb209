"""Cost of attention on the smooth band: closed form, operations as they happen, and a measured step."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from studykit.layers.wave_block import WaveBlock
from studykit.studies.waveformer_efficiency.attention_cost import (
    block_operations,
    measure_block,
    transform_operations,
)

SIZES = [((8, 4, 12), 0, 384), ((8, 4, 12), 1, 48), ((9, 5, 7), 2, 12)]


@pytest.mark.parametrize(("size", "level", "tokens"), SIZES)
def test_products_equal_their_closed_form(size, level, tokens):
    places, dim = size[0] * size[1] * size[2], 24
    found = block_operations(size, dim, 2, level=level)
    assert (found.places, found.tokens) == (places, tokens)
    assert found.parts["projections"] == 8 * tokens * dim**2
    assert found.parts["attention"] == 4 * tokens**2 * dim
    assert found.parts["MLP"] == 16 * places * dim**2
    assert found.total == sum(found.parts.values())


def test_on_an_even_map_a_level_leaves_an_eighth_of_the_places():
    found = block_operations((6, 8, 10), 12, 2)
    assert found.places == 8 * found.tokens


class Sums(TorchDispatchMode):
    """Counts the numbers that come out of sums, differences and products."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        if function.overloadpacket.__name__ in ("add", "sub", "mul", "mul_"):
            self.count += out.numel()
        return out


class CountedBlock(WaveBlock):
    """Counts what its transforms do, and one product for each detail that passes its gate."""

    def _transform(self, x):
        with self.sums:
            return super()._transform(x)

    def _inverse(self, low, high):
        self.sums.count += sum(h.numel() for h in high if h is not None)
        with self.sums:
            return super()._inverse(low, high)


@pytest.mark.parametrize("details", ["identity", "gate", "off"])
@pytest.mark.parametrize(("size", "level"), [((8, 4, 6), 1), ((7, 5, 4), 1), ((8, 4, 6), 2), ((7, 9, 5), 2)])
def test_transforms_are_counted_as_they_happen(size, level, details):
    block = CountedBlock(size, 6, 1, level=level, details=details)
    block.sums = Sums()
    with torch.no_grad():
        block(torch.zeros(1, 6, *size))
    assert block.sums.count == 6 * transform_operations(size, level, details)


def test_at_level_0_there_is_nothing_to_transform():
    assert transform_operations((8, 8, 8), 0) == 0


def test_a_measured_step_holds_the_hidden_layer_at_least():
    cost = measure_block((16, 16, 16))
    assert cost.peak_bytes > 4 * 16**3 * 4 * 48
    assert cost.seconds > 0
