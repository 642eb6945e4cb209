"""Packing takes the visible patches out and puts them back; windows are what a padded volume holds there."""

import pytest
import torch
import torch.nn.functional as F

from studykit.layers.packed_patches import PackedPatches, patch_size, take_windows
from studykit.masking import upsample_mask

GRID = (3, 2, 4)


def ragged(seed=0):
    """Three samples: some patches visible, none, all."""
    visible = torch.rand(3, *GRID, generator=torch.Generator().manual_seed(seed)) < 0.4
    visible[1], visible[2] = False, True
    return visible


def volume(patch, channels=2, seed=0):
    size = [g * p for g, p in zip(GRID, patch, strict=True)]
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(3, channels, *size, generator=generator, dtype=torch.float64)


def test_patches_come_in_raster_order_and_go_back_to_their_places():
    visible, x = ragged(), volume((4, 2, 6))
    packed = PackedPatches(visible)
    values = packed.pack(x)
    expected = [
        x[b, :, 4 * i : 4 * i + 4, 2 * j : 2 * j + 2, 6 * k : 6 * k + 6]
        for b, i, j, k in visible.nonzero().tolist()
    ]
    assert torch.equal(values, torch.stack(expected))
    assert torch.equal(packed.samples, visible.nonzero()[:, 0])
    assert torch.equal(packed.unpack(values), x * upsample_mask(visible, (4, 2, 6)))


def test_with_the_number_known_nothing_is_counted_and_all_is_the_same():
    visible = ragged()
    one, two = PackedPatches(visible), PackedPatches(visible, int(visible.sum()))
    assert all(map(torch.equal, one.cells, two.cells)) and torch.equal(one.samples, two.samples)
    with pytest.raises(ValueError, match=f"{visible.sum()} patches are visible, 3 were expected"):
        PackedPatches(visible, 3)


def test_packing_reads_no_hidden_voxel():
    visible = ragged()
    spoilt = volume((2, 2, 2)).masked_fill(~upsample_mask(visible, 2), float("nan"))
    assert PackedPatches(visible).pack(spoilt).isfinite().all()


@pytest.mark.parametrize("patch", [(1, 1, 1), (2, 4, 1)])
@pytest.mark.parametrize(("kernel_size", "stride"), [(1, 1), (3, 1), (5, 1), (3, 2)])
def test_windows_are_cut_from_the_padded_volume(patch, kernel_size, stride):
    if stride == 2:
        patch = tuple(2 * p for p in patch)
    visible, x = ragged(), volume(patch)
    packed = PackedPatches(visible)
    windows = take_windows(packed.pack(x), packed.window_rows(patch, kernel_size, stride))
    half = kernel_size // 2
    padded = F.pad(x * upsample_mask(visible, patch), (half,) * 6)
    for window, (b, *place) in zip(windows, visible.nonzero().tolist(), strict=True):
        cut = padded[b]
        for axis, (i, p) in enumerate(zip(place, patch, strict=True), start=1):
            cut = cut.narrow(axis, i * p, p + kernel_size - stride)
        assert torch.equal(window, cut)


def test_gradients_are_those_of_a_copy():
    packed = PackedPatches(ragged())
    x = volume((2, 1, 2), channels=1).requires_grad_()
    values = packed.pack(x).detach().requires_grad_()
    assert torch.autograd.gradcheck(packed.pack, x)
    assert torch.autograd.gradcheck(packed.unpack, values)


def test_sample_means_ignore_samples_without_patches():
    packed = PackedPatches(ragged())
    values = torch.randn(len(packed), 5, dtype=torch.float64)
    means = packed.sample_means(values)
    torch.testing.assert_close(means[0], values[packed.samples == 0].mean(dim=0))
    torch.testing.assert_close(means[2], values[packed.samples == 2].mean(dim=0))
    assert means[1].eq(0).all()


def test_bad_input_is_named():
    with pytest.raises(ValueError, match=r"bool \(B, d, h, w\), got torch.float32"):
        PackedPatches(torch.ones(1, 2, 2, 2))
    visible = ragged()
    with pytest.raises(ValueError, match=r"\(3, 2, 4\) patches does not divide a volume of \(6, 5, 8\)"):
        patch_size(torch.zeros(3, 1, 6, 5, 8), visible)
    with pytest.raises(ValueError, match="batch of 3"):
        PackedPatches(visible).pack(torch.zeros(2, 1, 6, 4, 8))
