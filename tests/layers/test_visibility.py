"""Hidden patches on a map: flags, zeros, and statistics of the others alone."""

import pytest
import torch
import torch.nn.functional as F

from studykit.layers.visibility import hide, instance_norm, visible_at


def masked_map(dtype=torch.float64):
    """(2, 3, 4, 6, 8) with NaN in hidden patches of 2³, and bool (2, 2, 3, 4)."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 3, 4, 6, 8, generator=generator, dtype=dtype) * 3 + 1
    visible = torch.rand(2, 2, 3, 4, generator=generator) > 0.5
    return x.masked_fill(~visible_at(visible, x.shape[2:]), float("nan")), visible


def test_a_flag_covers_its_patch():
    visible = torch.zeros(1, 1, 2, 2, dtype=torch.bool)
    visible[0, 0, 1, 0] = True
    places = visible_at(visible, (2, 4, 6))
    assert places.shape == (1, 1, 2, 4, 6)
    assert places[0, 0, :, 2:, :3].all() and places.sum() == 2 * 2 * 3


def test_a_map_that_does_not_divide_is_refused():
    with pytest.raises(ValueError, match=r"\(4, 4, 5\) does not divide into the patch grid \(2, 2, 2\)"):
        visible_at(torch.ones(1, 2, 2, 2, dtype=torch.bool), (4, 4, 5))
    with pytest.raises(ValueError, match="does not divide"):
        visible_at(torch.ones(1, 1, 2, 2, 2, dtype=torch.bool), (4, 4, 4))


def test_hidden_places_become_0_whatever_they_hold():
    x, visible = masked_map()
    kept = hide(x, visible)
    places = visible_at(visible, x.shape[2:]).expand_as(x)
    assert torch.equal(kept[places], x[places])
    assert kept[~places].eq(0).all()
    assert hide(x, None) is x


def test_statistics_are_those_of_the_visible_places():
    x, visible = masked_map()
    normed = instance_norm(x, visible)
    for sample, places in zip(zip(x, normed, strict=True), visible_at(visible, x.shape[2:]), strict=True):
        before, after = (s[places.expand_as(s)].view(1, 3, -1) for s in sample)
        torch.testing.assert_close(after, F.instance_norm(before))
    assert normed[~visible_at(visible, x.shape[2:]).expand_as(x)].eq(0).all()


def test_with_nothing_hidden_the_norm_is_torchs():
    x = masked_map()[0].nan_to_num(0.5)
    everything = torch.ones(2, 2, 3, 4, dtype=torch.bool)
    torch.testing.assert_close(instance_norm(x, everything), F.instance_norm(x))
    assert torch.equal(instance_norm(x), F.instance_norm(x))


def test_a_sample_without_visible_places_is_0_with_finite_gradients():
    x, visible = masked_map()
    visible[0] = False
    x.requires_grad_()
    normed = instance_norm(x, visible)
    normed.square().sum().backward()
    assert normed[0].eq(0).all()
    assert x.grad.isfinite().all()


def test_half_precision_comes_back_as_such():
    x, visible = masked_map(torch.float32)
    out = instance_norm(x.bfloat16(), visible)
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out.float(), instance_norm(x, visible), atol=0.05, rtol=0.05)
