"""Patches: order, inverse, and the split into visible and hidden."""

import pytest
import torch

from studykit.layers.patches import patchify, split_mask, take_tokens, tile, unpatchify, untile


def test_patches_come_in_raster_order_and_go_back():
    volume = torch.arange(2 * 1 * 4 * 6 * 2, dtype=torch.float32).view(2, 1, 4, 6, 2)
    patches = patchify(volume, 2)
    assert patches.shape == (2, 6, 1, 2, 2, 2)
    assert torch.equal(patches[1, 4, 0], volume[1, 0, 2:4, 2:4, 0:2])
    assert torch.equal(unpatchify(patches, (2, 3, 1)), volume)


def test_indivisible_volume_is_refused():
    with pytest.raises(ValueError, match="does not divide"):
        patchify(torch.zeros(1, 1, 5, 4, 4), 2)


def test_split_gives_each_index_once_and_checks_ragged_masks():
    mask = torch.tensor([[True, False, True, False], [False, False, True, True]]).view(2, 1, 2, 2)
    visible, hidden = split_mask(mask)
    assert visible.tolist() == [[1, 3], [0, 1]]
    assert hidden.tolist() == [[0, 2], [2, 3]]
    assert torch.equal(split_mask(mask, 2)[0], visible)
    mask[0] = True
    with pytest.raises(ValueError, match="same number"):
        split_mask(mask)


def test_take_tokens_keeps_trailing_axes():
    tokens = torch.randn(2, 4, 3, 2, generator=torch.Generator().manual_seed(0))
    taken = take_tokens(tokens, torch.tensor([[3, 0], [1, 1]]))
    assert torch.equal(taken[0, 0], tokens[0, 3])
    assert torch.equal(taken[1], tokens[1, [1, 1]])


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
