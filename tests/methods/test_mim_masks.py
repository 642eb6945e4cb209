"""Maskings by name: their counts, their rows, and what vesselness does."""

import pytest
import torch

from studykit.masking import random_patch_mask
from studykit.methods.mim_masks import MASKINGS, NestedMasks, RandomMasks, ThreeLevels, VesselMasks

GRID = (4, 4, 4)


def draw(masking, seed=0, batch=4, volumes=None, rows=slice(None)):
    return masking.draw(GRID, batch, torch.Generator().manual_seed(seed), volumes, rows)


@pytest.mark.parametrize("name", sorted(MASKINGS))
def test_rows_are_those_of_the_whole_batch_and_the_generator_moves_on_alike(name):
    masking = MASKINGS[name]()
    volumes = torch.rand(4, 2, 16, 16, 16, generator=torch.Generator().manual_seed(2))
    whole = draw(masking, volumes=volumes)
    assert whole.dtype == torch.bool and len(whole) == 4
    assert torch.equal(draw(masking, volumes=volumes[1:3], rows=slice(1, 3)), whole[1:3])
    ends = []
    for given, rows in ((volumes, slice(None)), (volumes[:1], slice(0, 1)), (None, slice(None))):
        generator = torch.Generator().manual_seed(0)
        masking.draw(GRID, 4, generator, given, rows)
        ends.append(generator.get_state())
    assert all(torch.equal(end, ends[0]) for end in ends)


def test_random_masks_are_those_that_every_method_draws():
    expected = random_patch_mask(GRID, 0.6, 4, torch.Generator().manual_seed(0))
    assert torch.equal(draw(RandomMasks(0.6)), expected)
    assert torch.equal(draw(VesselMasks(0.6)), expected)


def test_nested_masks_hide_as_much_as_random_ones_by_default():
    assert NestedMasks().hidden(GRID) == RandomMasks().hidden(GRID) == VesselMasks().hidden(GRID) == 38
    coarse, fine = draw(NestedMasks()).unbind(1)
    assert fine.flatten(1).sum(1).tolist() == [38] * 4 and not (fine & ~coarse).any()


def test_counts_of_the_three_levels():
    masking = ThreeLevels()
    packed = draw(masking)
    assert masking.mids == 4 and packed.shape == (4, 25, 4, 4, 4)
    counts = packed.flatten(2).sum(2)
    up, mid, down = masking.hidden(GRID)
    assert counts.tolist() == [[up, *[mid] * 4, *[4] * 4, *[down] * 16]] * 4


def test_patches_with_vessels_are_hidden_more_often():
    volumes = torch.zeros(500, 2, 8, 8, 8)
    volumes[:, 1, :2, :2, :2] = 1
    volumes[:, 0, 6:, 6:, 6:] = 1
    share = lambda strength: draw(VesselMasks(0.3, strength), batch=500, volumes=volumes).float().mean(0)  # noqa: E731
    assert share(1.0)[0, 0, 0] > 0.99 and share(1.0)[3, 3, 3] < 0.4
    assert 0.2 < share(0.0)[0, 0, 0] < 0.4


def test_what_cannot_work_is_refused():
    with pytest.raises(ValueError, match="image and vesselness, got"):
        draw(VesselMasks(), volumes=torch.zeros(4, 1, 16, 16, 16))
    with pytest.raises(ValueError, match="strength must not be negative"):
        VesselMasks(strength=-1).check(GRID)
    with pytest.raises(ValueError, match="does not divide into blocks"):
        NestedMasks(coarse_block=3).check(GRID)
    with pytest.raises(ValueError, match="has no octants"):
        ThreeLevels().check((3, 4, 4))
