"""Masks: exact counts, seeded, uniform over patches, and aligned to their voxels."""

import pytest
import torch

from studykit.masking import num_masked, random_patch_mask, upsample_mask


def test_each_sample_hides_the_same_number_and_the_seed_decides_which():
    draw = lambda seed: random_patch_mask((4, 3, 5), 0.75, 6, torch.Generator().manual_seed(seed))  # noqa: E731
    assert draw(0).flatten(1).sum(1).tolist() == [45] * 6
    assert torch.equal(draw(0), draw(0))
    assert not torch.equal(draw(0), draw(1))
    assert not torch.equal(draw(0)[0], draw(0)[1])


def test_every_patch_is_hidden_about_equally_often():
    masks = random_patch_mask((3, 3, 3), 1 / 3, 4000, torch.Generator().manual_seed(0)).float().mean(0)
    assert (masks - 1 / 3).abs().max() < 5 * (2 / 9 / 4000) ** 0.5


@pytest.mark.parametrize("ratio", [0.0, 1.0, -0.1, 1.5])
def test_ratio_outside_the_open_interval_is_refused(ratio):
    with pytest.raises(ValueError, match="mask_ratio"):
        num_masked((2, 2, 2), ratio)


def test_never_none_and_never_all():
    assert num_masked((2, 2, 2), 0.01) == 1
    assert num_masked((2, 2, 2), 0.99) == 7
    with pytest.raises(ValueError, match="too small"):
        num_masked((1, 1, 1), 0.5)


def test_upsampling_repeats_each_flag_over_its_voxels():
    mask = random_patch_mask((2, 3, 4), 0.5, 2, torch.Generator().manual_seed(0))
    voxels = upsample_mask(mask, (2, 3, 1))
    assert voxels.shape == (2, 1, 4, 9, 4)
    for d in range(4):
        for h in range(9):
            assert torch.equal(voxels[:, 0, d, h], mask[:, d // 2, h // 3])
