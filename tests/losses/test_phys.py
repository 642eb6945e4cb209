"""PhysLoss on volumes whose soft tissue and bone are placed by hand."""

import pytest
import torch

from studykit.data.volumes.volumes import HU_DEVIATION, HU_MEAN
from studykit.layers.patches import patchify, take_tokens
from studykit.losses import build_loss
from studykit.losses.mvc import MVCLoss
from studykit.losses.phys import PhysLoss

MEAN, DEVIATION, PATCH = -20.0, 500.0, 4
AIR, SOFT, BONE = -1000.0, 40.0, 1200.0


def scene(hu, dtype=torch.float32):
    """Volume of one patch row along W: HU of each patch, standardised, with a prediction of noise."""
    columns = torch.tensor(hu, dtype=dtype).repeat_interleave(PATCH)
    volume = ((columns - MEAN) / DEVIATION).expand(1, 1, PATCH, PATCH, -1).contiguous()
    hidden = torch.arange(len(hu))[None]
    target = take_tokens(patchify(volume, PATCH), hidden)
    noise = torch.randn(target.shape, generator=torch.Generator().manual_seed(0), dtype=dtype)
    scale = 1 + torch.arange(len(hu), dtype=dtype)[:, None, None, None, None]
    return (target + scale * noise).requires_grad_(), target, volume, hidden


def phys(**options):
    return PhysLoss(MEAN, DEVIATION, dilate=3, erode=1, **options)


def test_each_set_is_the_mvc_of_its_patches():
    prediction, target, volume, hidden = scene([AIR, AIR, SOFT, SOFT, BONE, BONE, BONE, BONE])
    terms = phys()(prediction, target, volume, hidden)
    by_patch = MVCLoss().by_patch(prediction, target)[0]
    assert list(terms) == ["all", "soft_tissue", "surface"]
    torch.testing.assert_close(terms["all"], 0.3 * by_patch.mean())
    torch.testing.assert_close(terms["soft_tissue"], 0.5 * by_patch[[2, 3]].mean())
    # The band reaches 3 voxels of the patch before the bone, and 1 voxel, so a quarter, of the first in it.
    torch.testing.assert_close(terms["surface"], 0.2 * by_patch[3])


def test_only_hidden_patches_count():
    prediction, target, volume, _ = scene([AIR, AIR, SOFT, SOFT, BONE, BONE, BONE, BONE])
    chosen = torch.tensor([[5, 2]])
    parts = (take_tokens(prediction, chosen), take_tokens(target, chosen))
    terms = phys()(*parts, volume, chosen)
    by_patch = MVCLoss().by_patch(*parts)[0]
    torch.testing.assert_close(terms["all"], 0.3 * by_patch.mean())
    torch.testing.assert_close(terms["soft_tissue"], 0.5 * by_patch[1])
    assert terms["surface"] == 0


def test_an_empty_set_adds_zero_with_a_graph():
    prediction, target, volume, hidden = scene([AIR, AIR, AIR, AIR])
    terms = phys(structure="correlation")(prediction, target, volume, hidden)
    assert terms["soft_tissue"] == 0 and terms["surface"] == 0
    (gradient,) = torch.autograd.grad(terms["soft_tissue"] + terms["surface"], prediction)
    assert gradient.abs().max() == 0
    torch.testing.assert_close(terms["all"], 0.3 * MVCLoss(structure="correlation").by_patch(
        prediction, target).mean())  # fmt: skip


def test_options_reach_the_mvc_and_the_regions():
    prediction, target, volume, hidden = scene([SOFT, SOFT])
    options = {"mvc_weights": (1, 0, 0), "structure": "correlation", "sub_patch": 2, "weights": (0, 2, 0)}
    terms = phys(**options)(prediction, target, volume, hidden)
    expected = sum(MVCLoss((1, 0, 0), "correlation", 2)(prediction, target).values())
    torch.testing.assert_close(terms["soft_tissue"], 2 * expected)
    assert terms["all"] == 0


def test_a_batch_has_its_own_flags_in_each_sample():
    first, second = scene([AIR, SOFT]), scene([SOFT, AIR])
    prediction, target, volume, hidden = (torch.cat(pair) for pair in zip(first, second, strict=True))
    terms = phys()(prediction, target, volume, hidden)
    by_patch = MVCLoss().by_patch(prediction, target)
    torch.testing.assert_close(terms["soft_tissue"], 0.5 * (by_patch[0, 1] + by_patch[1, 0]) / 2)


def test_the_defaults_read_volumes_prepared_in_hu():
    hu = torch.tensor([-400.0, 0.0]).repeat_interleave(PATCH).expand(1, 1, PATCH, PATCH, -1)
    volume = ((hu - HU_MEAN) / HU_DEVIATION).contiguous()
    hidden = torch.arange(2)[None]
    target = take_tokens(patchify(volume, PATCH), hidden)
    prediction = target + torch.randn(target.shape, generator=torch.Generator().manual_seed(0))
    by_patch = MVCLoss().by_patch(prediction, target)[0]
    terms = build_loss("phys")(prediction, target, volume, hidden)
    torch.testing.assert_close(terms["soft_tissue"], 0.5 * by_patch[1])


def test_bad_options_are_refused():
    with pytest.raises(ValueError, match="positive number of HU, got 0"):
        build_loss("phys", hu_mean=0.0, hu_deviation=0.0)
    with pytest.raises(ValueError, match="soft tissue and surface"):
        build_loss("phys", hu_mean=0.0, hu_deviation=1.0, weights=(1, 1))
