"""Losses over nested masks: the blueprint's does not know its second level, ours know both."""

import pytest
import torch

from studykit.losses.nested import block_mean_error, blueprint_loss
from studykit.masking import HierarchicalMask, hierarchical_mask, upsample_mask


def example(batch=2, channels=2):
    generator = torch.Generator().manual_seed(0)
    prediction, volume = torch.randn(2, batch, channels, 16, 16, 16, generator=generator)
    return prediction, volume, hierarchical_mask((4, 4, 4), 2, 0.5, 0.75, batch, generator)


def test_the_blueprints_loss_is_the_error_over_the_union_of_both_masks():
    prediction, volume, masks = example()
    union = upsample_mask(masks.coarse | masks.fine, 4).expand_as(volume)
    expected = (prediction - volume)[union].square().mean()
    torch.testing.assert_close(blueprint_loss(prediction, volume, *masks), expected)


def test_the_blueprints_second_level_has_no_effect():
    prediction, volume, masks = example()
    without = blueprint_loss(prediction, volume, masks.coarse, torch.zeros_like(masks.fine))
    assert blueprint_loss(prediction, volume, *masks) == without
    first = HierarchicalMask(~masks.coarse, masks.fine)
    assert blueprint_loss(prediction, volume, *first) != without


def test_a_blocks_error_is_that_of_its_mean():
    prediction, volume, masks = example()
    blocks = masks.coarse[:, ::2, ::2, ::2]
    errors = []
    for b, d, h, w in blocks.nonzero().tolist():
        box = (b, slice(None), slice(8 * d, 8 * d + 8), slice(8 * h, 8 * h + 8), slice(8 * w, 8 * w + 8))
        errors.append((prediction[box].mean((1, 2, 3)) - volume[box].mean((1, 2, 3))).square().mean())
    error = block_mean_error(prediction, volume, masks.coarse, 2)
    torch.testing.assert_close(error, torch.stack(errors).mean())


def test_detail_inside_a_block_does_not_count_its_level_does():
    _, volume, masks = example()
    detail = torch.randn(volume.shape, generator=torch.Generator().manual_seed(3)).unflatten(2, (2, 8))
    detail = (detail - detail.mean()).flatten(2, 3)
    blocks = torch.nn.functional.avg_pool3d(detail, 8)
    detail -= torch.nn.functional.interpolate(blocks, scale_factor=8)
    assert block_mean_error(volume + detail, volume, masks.coarse, 2) < 1e-10
    assert block_mean_error(volume + 3, volume, masks.coarse, (2, 2, 2)) == pytest.approx(9, rel=1e-5)


def test_blocks_outside_the_coarse_mask_do_not_count():
    _, volume, masks = example()
    outside = upsample_mask(~masks.coarse, 4) * 100.0
    assert block_mean_error(volume + outside, volume, masks.coarse, 2) == 0
