"""A volume and its tiles."""

import pytest
import torch

from studykit.layers.patches import tile, untile


@pytest.mark.parametrize("shape", [(8, 8, 8), (5, 9, 12), (1, 4, 7)])
def test_tiles_give_the_volume_back(shape):
    volume = torch.arange(2 * shape[0] * shape[1] * shape[2]).view(2, *shape)
    tiles = tile(volume, 4, -1)
    assert tiles.shape[1:] == (2, 4, 4, 4)
    assert torch.equal(untile(tiles, shape), volume)
    assert int((tiles != -1).sum()) == volume.numel()


def test_the_volume_lies_in_the_middle():
    tiles = tile(torch.ones(1, 4, 4, 2), 4, 0.0)
    assert tiles.shape[0] == 1
    assert tiles[0, 0, 0, 0].tolist() == [0.0, 1.0, 1.0, 0.0]
