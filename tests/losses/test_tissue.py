"""Tissue masks against scipy's morphology and on shapes whose surface is known."""

import pytest
import torch
from scipy import ndimage

from studykit.losses.tissue import patch_flags, tissue_masks


def random_hu(*shape, seed=0):
    """Blobs of air, soft tissue and bone."""
    noise = torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).numpy()
    return torch.from_numpy(ndimage.gaussian_filter(noise, (0,) * (len(shape) - 3) + (2, 2, 2))) * 6000


def test_soft_tissue_lies_strictly_inside_its_range():
    hu = torch.tensor([-1000.0, -300.0, -299.9, 0.0, 299.9, 300.0, 2000.0]).view(1, 1, 7)
    soft, _ = tissue_masks(hu)
    assert soft.flatten().tolist() == [False, False, True, True, True, False, False]


@pytest.mark.parametrize(("dilate", "erode"), [(4, 2), (1, 1), (2, 0), (0, 2)])
def test_surface_agrees_with_scipy(dilate, erode):
    hu = random_hu(2, 1, 20, 24, 28)
    _, surface = tissue_masks(hu, dilate=dilate, erode=erode)
    cube = ndimage.generate_binary_structure(3, 3)
    for sample, found in zip(hu[:, 0], surface[:, 0], strict=True):
        bone = sample.numpy() >= 300
        assert 0.05 < bone.mean() < 0.6
        grown = ndimage.binary_dilation(bone, cube, iterations=dilate) if dilate else bone
        core = ndimage.binary_erosion(bone, cube, iterations=erode, border_value=1) if erode else bone
        assert torch.equal(found, torch.from_numpy(grown & ~core))


def test_the_surface_of_a_slab_is_a_band_on_either_side():
    hu = torch.full((1, 1, 6, 6, 40), -1000.0)
    hu[..., 15:25] = 800
    _, surface = tissue_masks(hu)
    inside = sorted(set(surface.nonzero()[:, 4].tolist()))
    assert inside == [11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28]
    assert torch.equal(surface, surface[:, :, :1, :1].expand_as(surface))


def test_the_border_of_the_volume_is_no_surface():
    _, surface = tissue_masks(torch.full((1, 1, 8, 8, 8), 1000.0))
    assert not surface.any()


def test_margins_may_exceed_the_volume():
    hu = torch.full((3, 3, 3), -1000.0)
    hu[0, 0, 0] = 1000
    assert tissue_masks(hu, dilate=9, erode=9)[1].all()


def test_the_input_stays_as_it_was():
    hu = random_hu(8, 8, 8)
    before = hu.clone()
    tissue_masks(hu)
    assert torch.equal(hu, before)


def test_a_patch_needs_more_than_half_of_its_voxels():
    mask = torch.zeros(2, 1, 4, 4, 8, dtype=torch.bool)
    mask[0, 0, :2, :, :4] = True
    mask[1, 0, :2, :, 4:] = True
    mask[1, 0, 3, 3, 7] = True
    flags = patch_flags(mask, 4)
    assert flags.dtype == torch.bool and flags.tolist() == [[[[False, False]]], [[[False, True]]]]


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match=r"\(..., D, H, W\), got shape \(4, 4\)"):
        tissue_masks(torch.zeros(4, 4))
    with pytest.raises(ValueError, match="from 0, got -1 and 2"):
        tissue_masks(torch.zeros(4, 4, 4), dilate=-1)
    for shape in [(1, 1, 4, 4, 6), (1, 2, 4, 4, 4), (4, 4, 4)]:
        with pytest.raises(ValueError, match="divide into patches of 4³"):
            patch_flags(torch.zeros(shape, dtype=torch.bool), 4)
