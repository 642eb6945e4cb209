"""Errors by tissue of crops whose patches are air, soft tissue and bone by construction."""

import math

import pytest
import torch

from studykit.data.volumes.volumes import HU_DEVIATION, HU_MEAN
from studykit.studies.mvc_components.tissue_error import (
    TissueError,
    region_shares,
    tissue_errors,
    worst_over_best,
)

PATCH = 4
AIR, SOFT, BONE = -1000.0, 40.0, 1200.0
IN_HU = {"hu_mean": 0.0, "hu_deviation": 1.0, "dilate": 0, "erode": 0}


def row(*hu, dtype=torch.float64) -> torch.Tensor:
    """One row of patches along W, (1, 1, p, p, p·n), each of one HU value."""
    columns = torch.tensor(hu, dtype=dtype).repeat_interleave(PATCH)
    return columns.expand(1, 1, PATCH, PATCH, -1).clone()


def patch(crop: torch.Tensor, index: int) -> torch.Tensor:
    return crop[..., PATCH * index : PATCH * (index + 1)]


def texture(seed=0) -> torch.Tensor:
    """(p, p, p) of mean 0 and deviation 1."""
    x = torch.randn(PATCH, PATCH, PATCH, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (x - x.mean()) / x.std(correction=0)


def everywhere(crop: torch.Tensor) -> torch.Tensor:
    n, _, d, h, w = crop.shape
    return torch.ones(n, d // PATCH, h // PATCH, w // PATCH, dtype=torch.bool)


def test_counts_and_squared_errors_are_exact():
    original = row(AIR, AIR, AIR, SOFT, SOFT, BONE)
    painted = original + row(1, 2, 3, 10, 20, 7)
    found = tissue_errors(painted, original, everywhere(original), PATCH, **IN_HU)
    assert list(found) == ["air", "soft_tissue", "bone", "surface", "soft_tissue_or_surface"]
    assert [error.patches for error in found.values()] == [3, 2, 1, 0, 2]
    assert found["air"].squared_error == pytest.approx((1 + 4 + 9) / 3)
    assert found["soft_tissue"].squared_error == pytest.approx((100 + 400) / 2)
    assert found["bone"] == TissueError(1, 49.0, 0.0)
    assert found["soft_tissue_or_surface"] == found["soft_tissue"]


def test_only_hidden_patches_count():
    original = row(AIR, SOFT, BONE, BONE)
    masks = torch.tensor([False, True, False, True]).view(1, 1, 1, 4)
    painted = original.clone()
    patch(painted, 3).add_(5)
    patch(painted, 0).add_(torch.nan), patch(painted, 2).add_(torch.nan)
    found = tissue_errors(painted, original, masks, PATCH, **IN_HU)
    assert found["soft_tissue"] == TissueError(1, 0.0, 0.0) and found["bone"] == TissueError(1, 25.0, 0.0)


def test_structure_error_is_one_minus_the_correlation():
    first, second = texture(0), texture(1)
    second = second - (first * second).mean() * first
    second = second / second.std(correction=0)
    original = row(SOFT, SOFT, SOFT, SOFT, BONE)
    painted = original.clone()
    wanted = [first, -first, second, 0.6 * first + 0.8 * second, second]
    for index, texture_here in enumerate(wanted):
        patch(original, index).add_(20 * first)
        patch(painted, index).add_(70 * texture_here - 9)
    found = tissue_errors(painted, original, everywhere(original), PATCH, **IN_HU)
    assert found["soft_tissue"].structure_error == pytest.approx((0 + 2 + 1 + 0.4) / 4, abs=1e-6)
    assert found["bone"].structure_error == pytest.approx(1, abs=1e-6)
    same = tissue_errors(original, original, everywhere(original), PATCH, **IN_HU)
    assert same["soft_tissue"].structure_error == pytest.approx(0, abs=1e-6)


def test_sub_patches_of_large_patches_are_weighed_alike():
    generator = torch.Generator().manual_seed(0)
    original = torch.randn(1, 1, 16, 16, 16, generator=generator, dtype=torch.float64)
    painted = original.clone()
    painted[..., :8, :8, :8] *= -1
    painted[..., 8:, 8:, 8:] *= -3
    masks = torch.ones(1, 1, 1, 1, dtype=torch.bool)
    found = tissue_errors(painted, original, masks, 16, **IN_HU)["soft_tissue"]
    assert found.patches == 1 and found.structure_error == pytest.approx(2 * 2 / 8, abs=1e-5)


def test_a_patch_belongs_to_what_over_half_of_its_voxels_are():
    original = row(SOFT, SOFT, SOFT, SOFT)
    patch(original, 0)[..., :2] = AIR
    patch(original, 1)[..., :2] = AIR
    patch(original, 1)[..., 0, 0, 2] = AIR
    patch(original, 2)[..., :1], patch(original, 2)[..., 1:2] = AIR, BONE
    patch(original, 3)[..., :1] = BONE
    found = tissue_errors(original, original, everywhere(original), PATCH, **IN_HU)
    assert [found[name].patches for name in ("air", "soft_tissue", "bone")] == [1, 1, 0]


def test_limits_of_the_ranges():
    original = row(-300.0, -299.9, 299.9, 300.0)
    found = tissue_errors(original, original, everywhere(original), PATCH, **IN_HU)
    assert [found[name].patches for name in ("air", "soft_tissue", "bone")] == [1, 2, 1]


def test_surface_is_that_of_physloss():
    original = row(AIR, AIR, SOFT, BONE, BONE, BONE)
    painted = original + row(1, 2, 3, 4, 5, 6)
    margins = {**IN_HU, "dilate": 3, "erode": 3}
    found = tissue_errors(painted, original, everywhere(original), PATCH, **margins)
    assert found["surface"].patches == 2, "3 voxels of the patch before the bone, 3 of the first in it"
    assert found["surface"].squared_error == pytest.approx((9 + 16) / 2)
    assert found["soft_tissue_or_surface"].patches == 2, "a patch that is both counts once"
    narrow = tissue_errors(painted, original, everywhere(original), PATCH, **{**margins, "dilate": 1})
    assert narrow["surface"] == TissueError(1, 16.0, 0.0)
    assert narrow["soft_tissue_or_surface"].patches == 2


def test_the_context_of_a_surface_may_be_visible():
    original = row(AIR, BONE)
    masks = torch.tensor([True, False]).view(1, 1, 1, 2)
    found = tissue_errors(original, original, masks, PATCH, **{**IN_HU, "dilate": 3})
    assert found["surface"].patches == 1 and found["bone"].patches == 0


def test_standardised_crops_have_the_same_patches_and_structure():
    generator = torch.Generator().manual_seed(0)
    original = row(AIR, SOFT, BONE) + 50 * torch.randn(2, 1, 4, 4, 12, generator=generator)
    painted = original + 30 * torch.randn(2, 1, 4, 4, 12, generator=generator)
    in_hu = tissue_errors(painted, original, everywhere(original), PATCH, **{**IN_HU, "dilate": 1})
    scaled = ((crop - HU_MEAN) / HU_DEVIATION for crop in (painted, original))
    found = tissue_errors(*scaled, everywhere(original), PATCH, dilate=1, erode=0)
    for name, error in found.items():
        assert error.patches == in_hu[name].patches
        if error.patches:
            assert error.squared_error * HU_DEVIATION**2 == pytest.approx(in_hu[name].squared_error)
            assert error.structure_error == pytest.approx(in_hu[name].structure_error, abs=1e-4)


def test_a_tissue_without_a_patch_is_nan_with_count_0():
    original = row(SOFT, SOFT, dtype=torch.float32)
    found = tissue_errors(original, original, everywhere(original), PATCH, **IN_HU)
    for name in ("air", "bone", "surface"):
        assert found[name].patches == 0
        assert math.isnan(found[name].squared_error) and math.isnan(found[name].structure_error)
    none = tissue_errors(original, original, ~everywhere(original), PATCH, **IN_HU)
    assert all(error.patches == 0 and math.isnan(error.squared_error) for error in none.values())


def test_samples_may_hide_different_numbers_of_patches():
    original = torch.cat([row(AIR, SOFT), row(SOFT, BONE)])
    masks = torch.tensor([[True, True], [True, False]]).view(2, 1, 1, 2)
    found = tissue_errors(original, original, masks, PATCH, **IN_HU)
    assert [found[name].patches for name in ("air", "soft_tissue", "bone")] == [1, 2, 0]


def test_bad_input_is_refused():
    crop = row(SOFT, SOFT)
    masks = everywhere(crop)
    with pytest.raises(ValueError, match=r"one shape \(N, 1, D, H, W\)"):
        tissue_errors(crop[..., :4], crop, masks, PATCH, **IN_HU)
    with pytest.raises(ValueError, match="do not divide into patches of 3³"):
        tissue_errors(crop, crop, masks, 3, **IN_HU)
    for wrong in (masks[..., :1], masks.float()):
        with pytest.raises(ValueError, match=r"masks must be bool \(1, 1, 1, 2\), got"):
            tissue_errors(crop, crop, wrong, PATCH, **IN_HU)
    with pytest.raises(ValueError, match="positive number of HU, got 0"):
        tissue_errors(crop, crop, masks, PATCH, **{**IN_HU, "hu_deviation": 0})
    with pytest.raises(ValueError, match="from 0, got -1 and 0"):
        tissue_errors(crop, crop, masks, PATCH, **{**IN_HU, "dilate": -1})


def test_the_worst_tissue_over_the_best_of_those_asked_for():
    errors = {
        name: TissueError(1, 0.0, error) for name, error in (("air", 2.0), ("bone", 0.5), ("soft", 1.0))
    }
    of = "structure_error"
    assert worst_over_best(errors, ("air", "bone"), of) == 4
    assert worst_over_best(errors, ("soft", "bone"), of) == 2
    squared = {"air": TissueError(1, 3.0, 0.0), "soft": TissueError(1, 0.5, 1.0)}
    assert worst_over_best(squared, squared, "squared_error") == 6


def test_shares_of_regions_add_up():
    hu = torch.full((1, 1, 16, 16, 16), -1000.0)
    hu[..., :8, :, :] = 40.0
    shares = region_shares((hu - HU_MEAN) / HU_DEVIATION, 8, dilate=1, erode=1)
    assert shares["soft tissue"] == 0.5 and shares["both"] + shares["either"] == pytest.approx(
        shares["soft tissue"] + shares["bone surface"]
    )
