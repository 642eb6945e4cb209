"""Masks: exact counts, seeded, uniform over patches, and aligned to their voxels."""

import pytest
import torch

from studykit.masking import (
    draw_patch_masks,
    hide_first,
    hierarchical_counts,
    hierarchical_mask,
    inside_field_of_view,
    mask_on,
    num_masked,
    patch_noise,
    random_patch_mask,
    upsample_mask,
    weighted_order,
)


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


def test_noise_is_uniform_seeded_and_apart_for_each_sample():
    noise = patch_noise((4, 3, 5), 200, torch.Generator().manual_seed(0))
    assert noise.shape == (200, 4, 3, 5) and noise.min() >= 0 and noise.max() < 1
    assert abs(noise.mean() - 0.5) < 0.02 and abs(noise.std() - 12**-0.5) < 0.02
    assert torch.equal(noise, patch_noise((4, 3, 5), 200, torch.Generator().manual_seed(0)))
    assert not torch.equal(noise[0], noise[1])


def test_what_comes_first_is_hidden():
    order = torch.tensor([[3.0, -1.0, 2.0, 7.0, 5.0, 4.0, 0.5, 6.0], range(8)]).view(2, 2, 2, 2)
    assert hide_first(order, 0.5).flatten(1).int().tolist() == [[1, 1, 1, 0, 0, 0, 1, 0], [1] * 4 + [0] * 4]
    assert torch.equal(hide_first(order, 0.5), hide_first(10 * order - 3, 0.5))


def test_rows_of_a_batch_are_drawn_as_if_all_were():
    def drawn(rows, volumes=None):
        generator = torch.Generator().manual_seed(0)
        masks = draw_patch_masks((3, 4, 2), 0.5, 6, generator, volumes, rows)
        return masks, torch.rand(1, generator=generator)

    whole, after = drawn(slice(None))
    assert torch.equal(whole, random_patch_mask((3, 4, 2), 0.5, 6, torch.Generator().manual_seed(0)))
    part, after_part = drawn(slice(2, 4), torch.empty(2, 1, 6, 8, 4))
    assert torch.equal(part, whole[2:4]) and torch.equal(after, after_part)
    assert drawn(slice(None), torch.empty(6, 1, 6, 8, 4, device="meta"))[0].is_meta


def test_equal_places_still_hide_the_right_number():
    assert hide_first(torch.zeros(3, 2, 2, 4), 0.75).flatten(1).sum(1).tolist() == [12] * 3


def background(*inside):
    """A (1, 1, 8, 8, 8) volume at -2, with noise above it in the given boxes of voxels."""
    volume = torch.full((1, 1, 8, 8, 8), -2.0)
    for box in inside:
        noise = torch.rand(volume[0, 0][box].shape, generator=torch.Generator().manual_seed(0))
        volume[0, 0][box] = noise - 1.9
    return volume


def test_patches_inside_the_field_of_view():
    volume = background(slice(0, 4))
    inside = inside_field_of_view(volume, 4)
    assert inside.shape == (1, 2, 2, 2) and inside.dtype == torch.bool
    assert inside[0, 0].all() and not inside[0, 1].any()


@pytest.mark.parametrize(("planes", "inside"), [(3, False), (4, True)])
def test_a_patch_is_inside_when_more_than_the_share_of_it_is(planes, inside):
    volume = background(slice(0, planes))
    assert inside_field_of_view(volume, 4, share=0.75)[0, 0].all() == inside


def test_intensity_units_and_channels_do_not_decide():
    one = background((slice(0, 4), slice(0, 4)))
    two = torch.cat([one, background((slice(4, 8), slice(4, 8)))], dim=1)
    expected = inside_field_of_view(one, 4)
    assert torch.equal(inside_field_of_view(30 * one + 700, 4), expected)
    both = inside_field_of_view(two, 4)
    assert both[0, 0, 0].all() and both[0, 1, 1].all() and both.sum() == 2 * expected.sum()


def test_each_sample_has_a_background_of_its_own():
    volume = torch.cat([background(slice(0, 4)), background(slice(4, 8)) + 5])
    inside = inside_field_of_view(volume, 4)
    assert inside.flatten(2).all(2).tolist() == [[True, False], [False, True]]


def nested(seed=0, grid=(4, 8, 4), block=(2, 4, 2), ratios=(0.75, 0.8), batch=6):
    return hierarchical_mask(grid, block, *ratios, batch, torch.Generator().manual_seed(seed))


def test_the_fine_mask_lies_inside_the_coarse_one_with_the_same_counts_in_each_sample():
    coarse, fine = nested()
    assert coarse.shape == fine.shape == (6, 4, 8, 4) and coarse.dtype == fine.dtype == torch.bool
    assert not (fine & ~coarse).any()
    counts = hierarchical_counts((4, 8, 4), (2, 4, 2), 0.75, 0.8)
    assert counts == (96, 77)
    assert coarse.flatten(1).sum(1).tolist() == [96] * 6 and fine.flatten(1).sum(1).tolist() == [77] * 6


def test_the_coarse_mask_is_made_of_whole_blocks():
    coarse = nested().coarse
    blocks = coarse[:, ::2, ::4, ::2]
    assert torch.equal(upsample_mask(blocks, (2, 4, 2))[:, 0], coarse)


def test_both_levels_are_uniform_and_follow_the_seed():
    assert torch.equal(nested().fine, nested().fine)
    assert not torch.equal(nested(0).coarse, nested(1).coarse)
    coarse, fine = nested(grid=(2, 2, 2), block=1, ratios=(0.5, 0.5), batch=4000)
    for mask, share in ((coarse, 1 / 2), (fine, 1 / 4)):
        deviation = (share * (1 - share) / 4000) ** 0.5
        assert (mask.float().mean(0) - share).abs().max() < 5 * deviation


def test_blocks_that_do_not_divide_the_grid_are_refused():
    with pytest.raises(ValueError, match=r"\(4, 8, 4\) patches does not divide into blocks of \(3, 3, 3\)"):
        nested(block=3)
    with pytest.raises(ValueError, match="mask_ratio must lie"):
        nested(ratios=(0.5, 1.0))


def weighted(weights, mask_ratio, generator, strength=1.0):
    noise = patch_noise(weights.shape[1:], len(weights), generator)
    return hide_first(weighted_order(noise, weights, strength), mask_ratio)


def test_weights_decide_how_often_a_patch_is_hidden():
    weights = (
        torch.tensor([1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 9.0]).view(1, 2, 2, 2).expand(20000, -1, -1, -1)
    )
    draw = lambda strength: weighted(  # noqa: E731
        weights, 1 / 8, torch.Generator().manual_seed(0), strength
    )
    often = [draw(strength).float().mean(0).flatten()[7].item() for strength in (0.0, 1.0, 2.0)]
    assert often == pytest.approx([1 / 8, 9 / 16, 81 / 88], abs=0.015)
    assert draw(1.0).flatten(1).sum(1).unique().tolist() == [1]


def test_successive_draws_follow_the_weights_that_are_left():
    """Two of three: the probability that a patch is left out is a sum over orders, worked out by hand."""
    weights = torch.tensor([1.0, 2.0, 5.0]).view(1, 1, 1, 3).expand(20000, -1, -1, -1)
    masks = weighted(weights, 2 / 3, torch.Generator().manual_seed(0))
    last = 1 - masks.float().mean(0).flatten()
    expected = [2 / 8 * 5 / 6 + 5 / 8 * 2 / 3, 1 / 8 * 5 / 7 + 5 / 8 * 1 / 3, 1 / 8 * 2 / 7 + 2 / 8 * 1 / 6]
    assert last.tolist() == pytest.approx(expected, abs=0.015)


def test_scale_does_not_matter_and_without_any_weight_all_patches_are_alike():
    weights = torch.rand(5, 2, 3, 4, generator=torch.Generator().manual_seed(1))
    draw = lambda w: weighted(w, 0.5, torch.Generator().manual_seed(0))  # noqa: E731
    assert torch.equal(draw(weights), draw(1e6 * weights))
    assert torch.equal(draw(torch.zeros(5, 2, 3, 4)), draw(torch.ones(5, 2, 3, 4)))
    rare = torch.zeros(4000, 2, 2, 2)
    rare[:, 0, 0, 0] = 1
    assert draw(rare)[:, 1, 1, 1].any() and not draw(rare)[:, 1, 1, 1].all()


def test_a_mask_on_finer_and_coarser_grids():
    mask = random_patch_mask((4, 2, 6), 0.3, 2, torch.Generator().manual_seed(0))
    assert torch.equal(mask_on(mask, (4, 2, 6)), mask)
    assert torch.equal(mask_on(mask, (8, 6, 6)), upsample_mask(mask, (2, 3, 1))[:, 0])
    coarse = mask_on(mask, (2, 1, 2))
    for index in torch.cartesian_prod(torch.arange(2), torch.arange(2), torch.arange(1), torch.arange(2)):
        b, d, h, w = index.tolist()
        assert coarse[b, d, h, w] == mask[b, 2 * d : 2 * d + 2, 2 * h : 2 * h + 2, 3 * w : 3 * w + 3].any()
    with pytest.raises(ValueError, match="does not fit a feature map"):
        mask_on(mask, (3, 2, 6))
